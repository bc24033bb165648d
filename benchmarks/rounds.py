"""Contenders take turns: A B, B A, A B ... each for a moment; ratios are paired within a round, medians over rounds."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.processes import Child, cpu_seconds, family_cpu_seconds
from benchmarks.stage import Stage, fresh_prefix


class MeasurementInvalid(Exception):
    """Calls failed, or did not do what they were to do: there is no number."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who answers calls.

    Attributes:
        name: For the table.
        child: The process that answers.
        path: The rpc.
        requests: Serialized requests, taken in turn.
        keyed: Whether each request gets an idempotency key of its own.
        api_key: Sent with each call. Empty: none.
        check: Judges one answer of each burst; raises MeasurementInvalid.
    """

    name: str
    child: Child
    path: str
    requests: Sequence[bytes]
    keyed: bool = False
    api_key: str = ""
    check: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One burst. Rates in calls/s, latencies and processor time per call in milliseconds."""

    calls: int
    rate: float
    p50: float
    p99: float
    cpu: float
    postgres_cpu: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: float


@dataclass
class Series:
    """The samples of all contenders, one each per round; the first contender is the floor."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def of(self, name: str, value: str) -> float:
        """Returns the median of a value."""
        return float(median(getattr(sample, value) for sample in self.samples[name]))

    def ratio(self, name: str, floor: str, value: str = "rate") -> float:
        """Returns the median over the rounds of a value divided by the floor's in the same round."""
        return median(self._paired(name, floor, value))

    def spread(self, name: str, floor: str, value: str = "rate") -> tuple[float, float]:
        """Returns the smallest and the largest ratio of a round."""
        ratios = self._paired(name, floor, value)
        return min(ratios), max(ratios)

    def added(self, name: str, floor: str, value: str = "p50") -> float:
        """Returns the median over the rounds of a value less the floor's in the same round."""
        pairs = zip(self.samples[name], self.samples[floor], strict=True)
        return float(median(getattr(ours, value) - getattr(bare, value) for ours, bare in pairs))

    def calls(self, name: str) -> int:
        """Returns how many calls were made."""
        return sum(sample.calls for sample in self.samples[name])

    def _paired(self, name: str, floor: str, value: str) -> list[float]:
        pairs = zip(self.samples[name], self.samples[floor], strict=True)
        return [getattr(ours, value) / getattr(bare, value) for ours, bare in pairs if getattr(bare, value)]


def interleave(stage: Stage, contenders: Sequence[Contender], plan: Plan, in_flight: int) -> Series:
    """Measures contenders in turns, after one burst each that does not count."""
    for one in contenders:
        burst(stage, one, in_flight, seconds=min(0.5, plan.seconds))
    series = Series({one.name: [] for one in contenders})
    for number in range(plan.rounds):
        for one in contenders if number % 2 == 0 else reversed(contenders):
            series.samples[one.name].append(burst(stage, one, in_flight, seconds=plan.seconds))
    return series


def burst(stage: Stage, one: Contender, in_flight: int, **limit: float) -> Sample:
    """Makes calls for `seconds`, or a number of `calls`; raises MeasurementInvalid when one fails."""
    postgres = stage.postgres.pid or 0
    before, before_postgres = cpu_seconds(one.child.pid), family_cpu_seconds(postgres)
    stage.load.tell({**_order(one, in_flight), **limit})
    told = stage.load.hear()
    used, used_postgres = cpu_seconds(one.child.pid) - before, family_cpu_seconds(postgres) - before_postgres
    if told["errors"] or not told["calls"]:
        raise MeasurementInvalid(f"{one.name}: {told['errors'][:3] or 'no call was answered'}")
    if one.check is not None:
        one.check(base64.b64decode(told["answer"]))
    calls = told["calls"]
    return Sample(
        calls,
        calls / told["seconds"],
        told["p50"],
        told["p99"],
        used / calls * 1000,
        used_postgres / calls * 1000,
    )


def _order(one: Contender, in_flight: int) -> Mapping[str, Any]:
    return {
        "target": one.child.address,
        "path": one.path,
        "requests": encoded(one.requests),
        "keys": fresh_prefix() if one.keyed else "",
        "api_key": one.api_key,
        "in_flight": in_flight,
    }


def encoded(requests: Iterable[bytes]) -> list[str]:
    """Returns bytes as JSON can carry them."""
    return [base64.b64encode(one).decode() for one in requests]


def answer_of(stage: Stage, one: Contender) -> bytes:
    """Makes one call and returns its answer."""
    stage.load.tell({**_order(one, 1), "calls": 1})
    told = stage.load.hear()
    if told["errors"]:
        raise MeasurementInvalid(f"{one.name}: {told['errors']}")
    return base64.b64decode(told["answer"])
