"""Python client of Patchbay.

    from patchbay_client import Patchbay

    with Patchbay("127.0.0.1:7700", api_key=key, tenant="acme") as patchbay:
        execution = patchbay.execute(
            "tacticalrmm.agents.run_script",
            {"agent_id": agent, "script_id": "7"},
            run="run-1",
            step="restart",
        )
        print(execution.output["exit_code"])

`AsyncPatchbay` has the same methods, awaited. Errors are typed: see `patchbay_client.errors`.
"""

from patchbay_client.administration import NewApiKey
from patchbay_client.aio import AsyncPatchbay
from patchbay_client.boards import NewFeed
from patchbay_client.client import Patchbay
from patchbay_client.errors import (
    ActionFailed,
    AlreadyExists,
    CallRefused,
    ConnectFailed,
    DeadlineExceeded,
    InFlight,
    InputNotJson,
    InvalidInput,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PatchbayError,
    PermissionDenied,
    RetryableFailure,
    ServerDefect,
    StillRunning,
    Unauthenticated,
    Unavailable,
    WrongState,
)
from patchbay_client.execution import Execution, ExecutionPage
from patchbay_client.keys import key_for, new_key
from patchbay_client.transport import TLS
from patchbay_client.values import to_json

__all__ = [
    "TLS",
    "ActionFailed",
    "AlreadyExists",
    "AsyncPatchbay",
    "CallRefused",
    "ConnectFailed",
    "DeadlineExceeded",
    "Execution",
    "ExecutionPage",
    "InFlight",
    "InputNotJson",
    "InvalidInput",
    "KeyReused",
    "NewApiKey",
    "NewFeed",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "Patchbay",
    "PatchbayError",
    "PermissionDenied",
    "RetryableFailure",
    "ServerDefect",
    "StillRunning",
    "Unauthenticated",
    "Unavailable",
    "WrongState",
    "key_for",
    "new_key",
    "to_json",
]
