"""The page of failure reasons, written from the contract."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import EnumDescriptor, EnumValueDescriptor

from server.contract.comments import Comments
from server.contract.definitions import ModuleDefinition
from server.gen.patchbay.v1 import failure_pb2

_INTRODUCTION = """\
# Failures

Written by `scripts/generate.py` from the contract; change the protos instead.

A failure concerns the action and comes back in the `Execution`, as data. A refusal concerns the call itself and comes
as a gRPC status with `google.rpc.ErrorInfo`, domain `patchbay`. *Retryable* means that the same call with the same key
may succeed later without anybody doing anything.
"""
_STATUSES = {
    3: "INVALID_ARGUMENT",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
}
_STATUSES |= {9: "FAILED_PRECONDITION", 10: "ABORTED", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE"}
_STATUSES |= {1: "CANCELLED", 4: "DEADLINE_EXCEEDED", 11: "OUT_OF_RANGE", 16: "UNAUTHENTICATED"}


def failures_page(modules: Iterable[ModuleDefinition], comments: Comments) -> str:
    """Returns the page as Markdown.

    Args:
        modules: The modules whose declared failures are listed.
        comments: Comments of failure.proto.
    """
    lines = [_INTRODUCTION, "## Common failures", "", "Any action can answer with these.", ""]
    lines += _table(("Reason", "Category", "Retryable", "When", "What to do"), _common(comments))
    lines += ["", "## Refusals", ""]
    lines += _table(("Reason", "gRPC status", "When", "What to do"), _refusals(comments))
    for module in sorted((one for one in modules if one.actions), key=lambda one: one.group_key):
        lines += ["", f"## {module.label}", ""]
        lines += _table(("Action", "Reason", "Retryable", "When", "What to do"), _declared(module))
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    found = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return found + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def _values(enum: EnumDescriptor, prefix: str) -> Iterator[tuple[EnumValueDescriptor, str]]:
    yield from ((value, f"`{value.name.removeprefix(prefix)}`") for value in enum.values if value.number)


def _common(comments: Comments) -> Iterator[tuple[str, ...]]:
    enum = failure_pb2.FailureReason.DESCRIPTOR
    for value, name in _values(enum, "FAILURE_REASON_"):
        facts = value.GetOptions().Extensions[failure_pb2.reason]
        category = failure_pb2.FailureCategory.Name(facts.category).removeprefix("FAILURE_CATEGORY_")
        yield name, category, _yes(facts.retryable), comments.get(f"{enum.full_name}.{value.name}", ""), facts.remedy


def _refusals(comments: Comments) -> Iterator[tuple[str, ...]]:
    enum = failure_pb2.RefusalReason.DESCRIPTOR
    for value, name in _values(enum, "REFUSAL_REASON_"):
        facts = value.GetOptions().Extensions[failure_pb2.refusal]
        yield name, _STATUSES[facts.status], comments.get(f"{enum.full_name}.{value.name}", ""), facts.remedy


def _declared(module: ModuleDefinition) -> Iterator[tuple[str, ...]]:
    for action in sorted(module.actions, key=lambda one: one.key):
        name = action.id if action.version == 1 else f"{action.id} v{action.version}"
        for failure in action.failures:
            yield f"`{name}`", f"`{failure.reason}`", _yes(failure.retryable), failure.description, failure.remedy


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
