"""What can be wrong with a contract, and with a payload under a contract."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_TOLD: Final = 50


class ContractError(Exception):
    """A contract contradicts itself.

    Attributes:
        defects: One sentence for each defect, each naming the element at fault.
    """

    def __init__(self, subject: str, defects: Iterable[str]) -> None:
        self.defects = tuple(defects)
        super().__init__(f"{subject}: " + "; ".join(self.defects))


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault.

    Attributes:
        field: Path, such as `args[2]`. Empty: the message as a whole.
        message: What is wrong and what is allowed. Never holds the value itself.
        rule: Id of the rule, such as `string.min_len` (protovalidate's) or `json.type` (ours).
    """

    field: str
    message: str
    rule: str


class PayloadInvalid(ValueError):
    """A payload does not fulfil its contract.

    Attributes:
        violations: Every field at fault, in the order found; at least one. Of more than `MAX_TOLD` the rest is
            only counted, since an answer has to fit into the trailers of a call.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = tuple(violations)
        if len(found) > MAX_TOLD:
            rest = f"and {len(found) - MAX_TOLD} more violations"
            found = (*found[:MAX_TOLD], Violation("", rest, "json.more"))
        self.violations = found
        super().__init__("; ".join(f"{one.field or 'input'}: {one.message}" for one in self.violations))
