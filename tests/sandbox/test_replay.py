"""The simulator answers as the recorded server did."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from tests.sandbox.captures import Exchange, recorded
from tests.sandbox.left_out import LEFT_OUT
from tests.sandbox.replay import ARRANGED_BEFORE, ARRANGED_FOR_PHASE, Replay
from tests.sandbox.shapes import compare, difference

_SEED = Path(__file__).parent / "replay_seed.json"


def _left_out(exchange: Exchange) -> bool:
    return any(exchange.phase == phase and exchange.label.startswith(label) for phase, label in LEFT_OUT)


@pytest.fixture(scope="module")
def deviations() -> Iterator[dict[int, list[str]]]:
    """What every replayed exchange deviates in, by its number; one pass in recorded order."""
    exchanges = [exchange for exchange in recorded() if not _left_out(exchange)]
    with SandboxServer(create_app(_SEED)) as server:
        replay = Replay(server.port)
        yield {one.number: compare(one.response, *replay.send(one)) for one in exchanges}


def test_every_recorded_exchange_is_answered_alike(deviations: dict[int, list[str]]) -> None:
    """Status, headers, shape and fixed texts of each answer are those of the real server."""
    names = {exchange.number: exchange.name for exchange in recorded()}
    assert {names[number]: found for number, found in deviations.items() if found} == {}


def test_at_least_220_exchanges_are_replayed(deviations: dict[int, list[str]]) -> None:
    """Leaving out is the exception: 220 of the 264 at the least, and none without an entry in the table."""
    assert len(deviations) >= 220
    assert len(deviations) + sum(map(_left_out, recorded())) == len(recorded())


def test_tables_name_only_recorded_exchanges() -> None:
    """Every entry of the left-out table and of the arrangements belongs to an exchange of the recording."""
    known = {(exchange.phase, exchange.label) for exchange in recorded()}
    assert [entry for entry in ARRANGED_BEFORE if entry not in known] == []
    unused = [e for e in LEFT_OUT if not any(phase == e[0] and label.startswith(e[1]) for phase, label in known)]
    assert unused == []
    assert set(ARRANGED_FOR_PHASE) == {phase for phase, _ in known}


@pytest.mark.parametrize(
    ("real", "ours", "found"),
    [
        ({"a": 1}, {"a": 2.5}, 0),
        ({"a": None}, {"a": "x"}, 0),
        ({"a": 1}, {"b": 1}, 1),
        ({"a": 1}, {"a": True}, 1),
        ({"status": "online"}, {"status": "offline"}, 1),
        ([{"a": 1}], [], 1),
        ([{"a": 1}, {"b": 1}], [{"b": 2}], 0),
        ([{"agent_id": "x"}], [{"agent_id": "y"}], 2),
    ],
)
def test_comparison_notices_what_matters(real: object, ours: object, found: int) -> None:
    """The comparison itself sees a missing key, another type, another fixed text, another set of agents."""
    assert len(difference(real, ours)) == found
