"""Errors of the client as facts, for `--json` and for the lines below a message."""

from typing import Any

from patchbay_client import errors
from patchbay_client.gen.patchbay import v1
from patchbay_client.values import to_json


def explained(error: errors.PatchbayError) -> dict[str, Any]:
    """Returns what is known about an error as a JSON object."""
    kind = {"kind": type(error).__name__}
    match error:
        case errors.CallRefused():
            return kind | _refusal(error)
        case errors.ActionFailed():
            return kind | failure_facts(error.failure) | {"execution": error.execution.to_json()}
        case errors.ConnectFailed():
            return kind | failure_facts(error.failure)
        case errors.StillRunning():
            return kind | {"execution": error.execution.to_json(), "remedy": _look_again(error)}
    return kind


def _refusal(error: errors.CallRefused) -> dict[str, Any]:
    violations = [{"field": item.field, "message": item.message, "rule": item.rule} for item in error.violations]
    return {
        "status": error.status.name,
        "reason": error.reason,
        "remedy": error.remedy or _own_remedy(error),
        "retry_after": error.retry_after,
        "violations": violations,
    }


def _own_remedy(error: errors.CallRefused) -> str:
    if isinstance(error, errors.Unavailable) and not error.reason:
        return "Check the address (--server or PATCHBAY_SERVER) and that a server runs there (`patchbay up`)."
    return ""


def failure_facts(failure: v1.Failure) -> dict[str, Any]:
    """Returns a failure as a JSON object, its remedy as one text."""
    facts = to_json(failure)
    del facts["message"]
    remedy = failure.remedy
    facts["remedy"] = " ".join(filter(None, (remedy.text, remedy.link))) if remedy else ""
    return facts


def _look_again(error: errors.StillRunning) -> str:
    return f"Run `patchbay executions show {error.execution.id} --wait 60`, or execute again with the same key."
