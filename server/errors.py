"""The root of every exception that Patchbay raises on purpose.

    PatchbayError
    ├── ContractError          a module's contract contradicts itself           contract/
    ├── PayloadInvalid         an input or output breaks its contract           contract/
    ├── ActionFailure          the action did not succeed; becomes a Failure    sdk/
    │   └── OutcomeUnknown     nobody can say whether the effect happened       sdk/
    ├── LeaseLost              another replica owns the execution now           sdk/
    ├── Refusal                the call itself is not processed                 core/
    └── DatabaseUnavailable    PostgreSQL does not answer                       store/
"""


class PatchbayError(Exception):
    """Everything below is raised on purpose and has a message for people."""
