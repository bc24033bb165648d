"""What the exit codes mean: the one table, and the one place that chooses a code."""

from enum import IntEnum

from patchbay_client import errors


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    ACTION_FAILED = 1
    BAD_INPUT = 2
    NOT_AUTHORIZED = 3
    NOT_FOUND = 4
    OUTCOME_UNKNOWN = 5
    SERVER_UNAVAILABLE = 6
    STILL_RUNNING = 7
    INTERRUPTED = 130


MEANING: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.ACTION_FAILED: "the action, the connection or the demo failed",
    ExitCode.BAD_INPUT: "wrong usage or input, or a key that belongs to another call",
    ExitCode.NOT_AUTHORIZED: "no valid credentials, or not allowed",
    ExitCode.NOT_FOUND: "no such action, execution, tenant, connection, key or user",
    ExitCode.OUTCOME_UNKNOWN: "nobody can say whether it happened: look, then `executions resolve`",
    ExitCode.SERVER_UNAVAILABLE: "the server cannot be reached or cannot answer",
    ExitCode.STILL_RUNNING: "time is over and the execution goes on",
    ExitCode.INTERRUPTED: "interrupted; what a server has begun goes on",
}

_BY_ERROR: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.OutcomeUnknown, ExitCode.OUTCOME_UNKNOWN),
    (errors.ActionFailed, ExitCode.ACTION_FAILED),
    (errors.ConnectFailed, ExitCode.ACTION_FAILED),
    (errors.StillRunning, ExitCode.STILL_RUNNING),
    (errors.InFlight, ExitCode.STILL_RUNNING),
    (errors.Unauthenticated, ExitCode.NOT_AUTHORIZED),
    (errors.PermissionDenied, ExitCode.NOT_AUTHORIZED),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.Unavailable, ExitCode.SERVER_UNAVAILABLE),
    (errors.Overloaded, ExitCode.SERVER_UNAVAILABLE),
    (errors.DeadlineExceeded, ExitCode.SERVER_UNAVAILABLE),
    (errors.ServerDefect, ExitCode.SERVER_UNAVAILABLE),
)


def code_for(error: errors.PatchbayError) -> ExitCode:
    """Returns the exit code that an error of the client ends a command with."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.BAD_INPUT


def help_text() -> str:
    """Returns the table as text for `patchbay --help`."""
    return "\n".join(["Exit codes:", ""] + [f"- `{code:d}` {meaning}" for code, meaning in MEANING.items()])
