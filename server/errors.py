"""The root of every exception that Patchbay raises on purpose.

PatchbayError
├── ActionFailure          the action did not succeed; becomes a Failure    sdk/
│   └── OutcomeUnknown     nobody can say whether the effect happened       sdk/
├── LeaseLost              another replica owns the execution now           sdk/
├── ContractError          a module's contract contradicts itself           contract/
├── Refusal                the call itself is not processed                 core/
└── DatabaseUnavailable    PostgreSQL does not answer                       here
"""


class PatchbayError(Exception):
    """Everything below is raised on purpose and has a message for people."""


class DatabaseUnavailable(PatchbayError):
    """PostgreSQL does not answer: refused, restarting, shut down, overloaded, or the connection broke.

    Args:
        message: What happened, for people; never holds the connection string.
        maybe_committed: True when a statement was on its way, so that nobody can say whether it took effect.
    """

    def __init__(self, message: str, *, maybe_committed: bool = False) -> None:
        super().__init__(message)
        self.maybe_committed = maybe_committed
