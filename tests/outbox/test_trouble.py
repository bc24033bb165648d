"""Receivers in trouble: what is tried again, what is given up, and what others notice of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from server.gen.patchbay.v1 import dispatch_pb2
from tests.outbox.desk import Desk, until
from tests.support.grpc_errors import refused
from tests.support.served import Served

pytestmark = pytest.mark.anyio

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _failed(desk: Desk, entry: str) -> bool:
    return (await desk.sync(entry))[0].HasField("last_failure")


async def _first(desk: Desk, entry: str) -> dispatch_pb2.EventDelivery:
    await until(lambda: _failed(desk, entry))
    return (await desk.sync(entry))[0]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 400}, "VENDOR_REJECTED_INPUT"),
        ({"status": 401}, "CREDENTIALS_REFUSED"),
        ({"status": 500}, "VENDOR_UNAVAILABLE"),
        ({"status": 302, "headers": {"location": "/hooks/elsewhere"}}, "VENDOR_ANSWER_INVALID"),
    ],
    ids=["refused", "unsigned", "broken", "moved"],
)
async def test_what_may_be_put_right_is_tried_again(desk: Desk, fault: dict[str, Any], reason: str) -> None:
    """The failure is shown meanwhile; the next try delivers, and nothing was followed to another address."""
    desk.receiver.add_fault("status", **fault)
    entry = await desk.book()
    shown = await _first(desk, entry)
    assert (shown.state, shown.attempts, shown.last_failure.reason) == ("pending", 1, reason)
    await desk.settled(entry)
    assert (await desk.sync(entry))[0].attempts == 2
    assert len({one["path"] for one in desk.receiver.requests()}) == 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_a_try_is_one_request(desk: Desk, status: int) -> None:
    """Only the outbox tries again: what the HTTP client would repeat elsewhere counts as a try, with its pause."""
    desk.receiver.add_fault("status", status=status, times=3)
    entry = await desk.book()
    await desk.settled(entry)
    ((delivery,), requests) = await desk.sync(entry), desk.receiver.requests()
    assert (delivery.state, delivery.attempts, len(requests)) == ("delivered", 4, 4)


async def test_an_event_keeps_its_id_over_tries(desk: Desk) -> None:
    """A receiver that took an event and could not say so is told the same id again."""
    desk.receiver.add_fault("reset_after", times=1)
    entry = await desk.book()
    await desk.settled(entry)
    (first,), (again,) = desk.received(), desk.received("again")
    assert first == again


async def test_a_receiver_that_asks_for_patience_gets_it(desk: Desk) -> None:
    """Retry-After decides when the next try is, also when it is later than the back-off."""
    desk.receiver.add_fault("status", status=429, headers={"retry-after": "600"})
    begun = datetime.now(UTC)
    shown = await _first(desk, await desk.book())
    assert shown.last_failure.reason == "RATE_LIMITED"
    assert shown.next_try_time.ToDatetime(tzinfo=UTC) >= begun + timedelta(seconds=600)


async def test_gone_is_given_up_at_once(desk: Desk) -> None:
    """410 Gone ends the tries for that event; later ones of the entry go on, and it can be tried once more by hand."""
    desk.receiver.add_fault("status", status=410)
    entry = await desk.book()
    await desk.move(entry, 2)
    await desk.settled(entry)
    assert await desk.states(entry) == ["dead", "delivered"]
    (letter,) = await desk.dead()
    assert (letter.sequence, letter.attempts, letter.last_failure.vendor_status) == (1, 1, 410)
    assert (await desk.retry(letter.event_id)).state == "pending"
    await desk.settled(entry)
    assert await desk.states(entry) == ["delivered", "delivered"]
    assert (desk.told(entry), await desk.dead()) == ([2, 1], [])
    assert (await desk.retry(letter.event_id)).state == "delivered"


async def test_tries_end(desk: Desk) -> None:
    """After as many tries as the settings say the event is given up, and the next one of the entry has its own."""
    desk.receiver.add_fault("status", status=400, times=4)
    entry = await desk.book()
    await desk.move(entry, 2)
    await desk.settled(entry)
    assert await desk.states(entry) == ["dead", "delivered"]
    assert (await desk.dead())[0].attempts == 4


async def test_a_hanging_receiver_delays_nobody_else(house: Served, desk: Desk, receiver_url: str) -> None:
    """While 200 events of one tenant hang, those of another arrive; at most 4 of the first hang at the same time."""
    other = await Desk.open(house.caller, house.fresh, receiver_url, slug="umbra", hook="other")
    path = desk.receiver.credentials()["hooks"]["demo"]["path"]
    desk.receiver.add_fault("hang", path_regex=path, times=0)
    entry = await desk.book()
    await _pile_up(desk, entry, 200)
    assert await _leased(desk) in range(5)
    for hour in range(10):
        told = await other.book(hour)
        await other.settled(told)
        assert await _leased(desk) in range(5)
    assert len(other.received()) == 10
    assert await desk.owner.fetchval("SELECT count(*) FROM outbox_deliveries WHERE delivered_at IS NULL") >= 200
    desk.receiver.clear_faults()
    await other.owner.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("'[]'", "it is no object"),
        ("data - 'title'", "`title` is missing or of another type"),
        ("jsonb_set(data, '{assigned_user_ids}', '7')", "`assigned_user_ids` is missing or of another type"),
        ("jsonb_set(data, '{assigned_user_ids}', '[7]')", "`assigned_user_ids` holds something else than ids"),
        ("jsonb_set(data, '{scheduled_start}', '\"soon\"')", "`scheduled_start` is no time with an offset"),
        ("jsonb_set(data, '{scheduled_end}', '\"2027-03-01T09:00\"')", "`scheduled_end` is no time with an offset"),
    ],
    ids=["no object", "field missing", "field of another type", "no ids", "no time", "time without offset"],
)
async def test_an_event_that_cannot_be_read_stops_no_others(desk: Desk, change: str, why: str) -> None:
    """It is a dead letter that says why; what was taken with it arrives, later events of its entry in their order."""
    desk.receiver.add_fault("status", status=429, headers={"retry-after": "600"}, times=2)
    broken, other = await desk.book(0), await desk.book(1)
    for entry in (broken, other):
        await _first(desk, entry)
        for hour in (10, 20):
            await desk.move(entry, hour + (entry == other))
    await desk.owner.execute(
        f"UPDATE outbox_events SET data = {change} WHERE subject = $1::uuid AND sequence = 1", broken
    )
    await desk.owner.execute("UPDATE outbox_deliveries SET next_try_at = now()")
    for entry in (broken, other):
        await desk.settled(entry)
    assert await desk.states(broken) == ["dead", "delivered", "delivered"]
    assert (desk.told(broken), desk.told(other)) == ([2, 3], [1, 2, 3])
    (letter,) = await desk.dead()
    assert (letter.sequence, letter.last_failure.reason) == (1, "INTERNAL")
    assert letter.last_failure.message == f"What is stored of the event cannot be read: {why}."


async def test_an_event_that_was_put_right_arrives(desk: Desk) -> None:
    """The dead letter of an event that could not be read is tried again by hand, as any other."""
    desk.receiver.add_fault("status", status=429, headers={"retry-after": "600"})
    entry = await desk.book()
    await _first(desk, entry)
    await desk.owner.execute("UPDATE outbox_events SET data = jsonb_build_object('data', data)")
    await desk.owner.execute("UPDATE outbox_deliveries SET next_try_at = now()")
    await desk.settled(entry)
    (letter,) = await desk.dead()
    await desk.owner.execute("UPDATE outbox_events SET data = data -> 'data'")
    await desk.retry(letter.event_id)
    await desk.settled(entry)
    assert (desk.told(entry), await desk.dead()) == ([1], [])


async def _pile_up(desk: Desk, entry: str, many: int) -> None:
    """Copies the event of an entry for as many entries that the board does not have."""
    await desk.owner.execute(
        """WITH told AS (
            INSERT INTO outbox_events (tenant, type, subject, sequence, data)
            SELECT tenant, type, gen_random_uuid(), 1, data FROM outbox_events, generate_series(1, $2)
            WHERE subject = $1::uuid RETURNING tenant, event_id, subject)
        INSERT INTO outbox_deliveries (tenant, event_id, integration_id, consumer, subject, sequence)
        SELECT told.tenant, told.event_id, i.integration_id, 'webhook', told.subject, 1
        FROM told JOIN rmm_integrations i ON i.tenant = told.tenant AND i.provider = 'webhook'""",
        entry,
        many,
    )


async def _leased(desk: Desk) -> int:
    """Returns how many deliveries of the tenant are worked on."""
    sql = "SELECT count(*) FROM outbox_deliveries WHERE tenant = $1 AND delivered_at IS NULL AND lease_until > now()"
    return int(await desk.owner.fetchval(sql, desk.tenant))


async def test_deliveries_wait_for_a_connection_that_is_off(desk: Desk) -> None:
    """While it is off nothing is tried or counted; then what waited arrives, and the last event of what it missed."""
    desk.receiver.add_fault("status", status=503, headers={"retry-after": "3"})
    entry = await desk.book()
    await _first(desk, entry)
    await desk.disconnect()
    await desk.move(entry, 2)
    await desk.move(entry, 3)
    await desk.owner.execute("UPDATE outbox_deliveries SET next_try_at = now()")
    requests = len(desk.receiver.requests())
    await asyncio.sleep(2.5)  # more than two rounds of the dispatcher
    (waiting,) = await desk.sync(entry)
    assert (waiting.state, waiting.attempts, len(desk.receiver.requests())) == ("pending", 1, requests)
    await desk.connect()
    await desk.settled(entry)
    assert desk.told(entry) == [1, 3]


async def test_who_connects_later_is_told_what_is_to_come(desk: Desk) -> None:
    """The last event of each entry to come arrives, once, however often is connected; what is over does not."""
    await desk.disconnect()
    over, coming = await desk.book(0), await desk.book(1)
    await desk.move(coming, 2)
    await _end(desk, over)
    await desk.connect()
    await desk.settled(coming)
    await desk.connect()
    await asyncio.sleep(1.5)  # more than a round of the dispatcher
    assert (desk.told(over), desk.told(coming), desk.told(coming, "again")) == ([], [2], [])


async def test_credentials_that_cannot_be_read_are_no_try(desk: Desk) -> None:
    """The event waits, with the reason, until somebody connects again."""
    await desk.owner.execute("DELETE FROM connection_credentials WHERE tenant = $1", desk.tenant)
    await desk.owner.execute("UPDATE rmm_integrations SET revision = revision + 1 WHERE tenant = $1", desk.tenant)
    entry = await desk.book()
    shown = await _first(desk, entry)
    assert (shown.state, shown.attempts) == ("pending", 0)
    assert shown.last_failure.reason == "INTEGRATION_MISCONFIGURED"
    await desk.connect()
    await desk.owner.execute("UPDATE outbox_deliveries SET next_try_at = now()")
    await desk.settled(entry)
    assert desk.told(entry) == [1]


async def test_deliveries_go_with_their_connection(desk: Desk) -> None:
    """When the row of a connection is deleted, nothing is left to be delivered to it."""
    desk.receiver.add_fault("status", status=400, times=0)
    entry = await desk.book()
    await _first(desk, entry)
    await desk.owner.execute("DELETE FROM rmm_integrations WHERE tenant = $1 AND provider = 'webhook'", desk.tenant)
    assert await desk.sync(entry) == []


async def test_old_events_are_forgotten(house: Served, desk: Desk) -> None:
    """Pruning takes what was delivered or given up, or waits for a connection that is off; not what is to come."""
    desk.receiver.add_fault("status", status=410)
    dead = await desk.book(0)
    await desk.settled(dead)
    done = await desk.book(1)
    await desk.settled(done)
    desk.receiver.add_fault("status", status=429, headers={"retry-after": "600"}, times=0)
    due = await desk.book(2)
    await _first(desk, due)
    coming = await desk.book(3)
    await _end(desk, dead, done, due)
    await desk.owner.execute("UPDATE outbox_events SET created_at = now() - interval '31 days'")
    await house.handle.house.dispatcher.prune()
    assert [await desk.states(entry) for entry in (dead, done, due)] == [[], [], ["pending"]]
    assert await desk.dead() == []
    await desk.disconnect()
    await house.handle.house.dispatcher.prune()
    assert [await desk.states(entry) for entry in (due, coming)] == [[], ["pending"]]


async def _end(desk: Desk, *entries: str) -> None:
    """Lets entries be over."""
    await desk.owner.execute(
        "UPDATE schedule_entries SET scheduled_start = now() - interval '2 days', "
        "scheduled_end = now() - interval '1 day' WHERE entry_id = ANY ($1::uuid[])",
        list(entries),
    )


async def test_what_does_not_exist_is_told_with_a_remedy(desk: Desk) -> None:
    """Unknown entries and dead letters are NOT_FOUND, malformed ids INPUT_INVALID with the field."""
    with refused("ENTRY_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await desk.sync(NOBODY)
    with refused("DEAD_LETTER_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await desk.retry(NOBODY)
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "entry_id"):
        await desk.sync("nonsense")
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "event_id"):
        await desk.retry("nonsense")
    request = dispatch_pb2.ListDeadLettersRequest(tenant="acme", limit=501)
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "limit"):
        await desk.caller("Dispatch/ListDeadLetters", request)
