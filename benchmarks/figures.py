"""One row of the table."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured beside its floor.

    Attributes:
        name: What it is.
        unit: Of floor and ours.
        floor: The floor's value.
        ours: Patchbay's value.
        ratio: Ours divided by the floor's; the median over the rounds, so not exactly the quotient of the two.
        spread: Smallest and largest ratio of a round; equal when there was one.
        goal: The ratio to reach, or the difference when `goal_on` says so. None: there is none.
        goal_on: What the goal speaks of.
        better: Whether a higher or a lower value is the better one.
        added: Ours less the floor's.
        note: What the reader should know.
    """

    name: str
    unit: str
    floor: float
    ours: float
    ratio: float
    spread: tuple[float, float]
    added: float = 0.0
    goal: float | None = None
    goal_on: Literal["ratio", "added"] = "ratio"
    better: Better = "higher"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        value = self.ratio if self.goal_on == "ratio" else self.added
        return value >= self.goal if self.better == "higher" else value <= self.goal

    @property
    def goal_text(self) -> str:
        """The goal as the table tells it."""
        if self.goal is None:
            return ""
        sign = "at least" if self.better == "higher" else "at most"
        if self.goal_on == "added":
            return f"{sign} {self.goal:g} {self.unit} more"
        return f"{sign} {self.goal:g}"
