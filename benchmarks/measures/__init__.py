"""The measurements, by the name that `--only` takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.measures import board, calls, memory, outbox, palette, rows, scheduling, startup
from benchmarks.rounds import Plan
from benchmarks.stage import Stage


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        plan: Rounds of calls.
        tenants: Tenants that ask for their catalog.
        rows: Rows of the large table.
        starts: Starts of the server.
        bookings: Bookings whose events are followed to a receiver.
    """

    plan: Plan
    tenants: int
    rows: int
    starts: int
    bookings: int


Measure = Callable[[Stage, Size], Sequence[Figure]]

ALL: Mapping[str, Measure] = {
    "catalog": lambda stage, size: calls.catalog(stage, size.plan),
    "palette": lambda stage, size: palette.measure(stage, size.tenants // 20),
    "execute": lambda stage, size: calls.execute(stage, size.plan),
    "two-step": lambda stage, size: calls.two_step(stage, size.plan),
    "replay": lambda stage, size: calls.replay(stage, size.plan),
    "read": lambda stage, size: calls.read(stage, size.plan),
    "booking": lambda stage, size: scheduling.booking(stage, size.plan),
    "board": lambda stage, size: board.measure(stage, size.plan, min(10_000, size.rows // 2)),
    "rows": lambda stage, size: rows.measure(stage, size.plan, size.rows),
    "outbox": lambda stage, size: outbox.measure(stage, size.bookings),
    "memory": lambda stage, size: memory.measure(stage, size.tenants),
    "startup": lambda stage, size: startup.measure(stage, size.starts),
}
