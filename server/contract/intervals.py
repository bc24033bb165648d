"""Sets of numbers as intervals, as bounds, `const`, `in` and `not_in` of a rule describe them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from `low` to `high`, each end belonging to it or not."""

    low: Any
    high: Any
    low_closed: bool = True
    high_closed: bool = True

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return bool(self.low > self.high or (self.low == self.high and not self.is_point))

    @property
    def is_point(self) -> bool:
        """Whether it holds exactly one number, as its ends tell."""
        return bool(self.low == self.high and self.low_closed and self.high_closed)

    def __contains__(self, number: Any) -> bool:
        """Whether the number is inside."""
        above = number > self.low or (number == self.low and self.low_closed)
        return bool(above and (number < self.high or (number == self.high and self.high_closed)))


def allowed(rules: Any, domain: Interval, number: Callable[[Any], Any] = lambda value: value) -> list[Interval]:
    """Returns the numbers that a numeric rule allows.

    Args:
        rules: Any rules with `const`, `lt`, `lte`, `gt`, `gte`, `in`, `not_in`.
        domain: The numbers that the type has.
        number: Makes a comparable number of a value in the rules.
    """
    intervals = _bounded(rules, domain, number)
    if rules.HasField("const"):
        intervals = _only(intervals, [number(rules.const)])
    if chosen := getattr(rules, "in"):
        intervals = _only(intervals, [number(value) for value in chosen])
    for value in rules.not_in:
        intervals = _without(intervals, number(value))
    return [interval for interval in intervals if not interval.empty]


def _bounded(rules: Any, domain: Interval, number: Callable[[Any], Any]) -> list[Interval]:
    less, more = rules.WhichOneof("less_than"), rules.WhichOneof("greater_than")
    below, above = domain, domain
    if less in ("lt", "lte"):
        below = _cut_above(domain, number(getattr(rules, less)), closed=less == "lte")
    if more in ("gt", "gte"):
        above = _cut_below(domain, number(getattr(rules, more)), closed=more == "gte")
    if less and more and number(getattr(rules, less)) < number(getattr(rules, more)):
        return [below, above]  # crossed bounds mean: outside of them
    high, high_closed = (below.high, below.high_closed)
    return [replace(above, high=high, high_closed=high_closed)]


def _cut_above(domain: Interval, limit: Any, *, closed: bool) -> Interval:
    return domain if limit > domain.high else replace(domain, high=limit, high_closed=closed)


def _cut_below(domain: Interval, limit: Any, *, closed: bool) -> Interval:
    return domain if limit < domain.low else replace(domain, low=limit, low_closed=closed)


def _only(intervals: list[Interval], numbers: Iterable[Any]) -> list[Interval]:
    chosen = dict.fromkeys(numbers)
    return [Interval(one, one) for one in chosen if any(one in interval for interval in intervals)]


def _without(intervals: list[Interval], number: Any) -> list[Interval]:
    left: list[Interval] = []
    for interval in intervals:
        if number not in interval:
            left.append(interval)
            continue
        left.append(replace(interval, high=number, high_closed=False))
        left.append(replace(interval, low=number, low_closed=False))
    return [interval for interval in left if not interval.empty]


def whole(interval: Interval) -> Interval:
    """Returns the closed interval of the whole numbers inside one with whole ends."""
    low = interval.low if interval.low_closed else interval.low + 1
    return Interval(low, interval.high if interval.high_closed else interval.high - 1)
