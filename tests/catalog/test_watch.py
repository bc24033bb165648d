"""Watching availability: snapshot, changes, signs of life, resumption, shutdown."""

import asyncio
from contextlib import aclosing

import pytest

from server.core.refusals import Refusal
from server.core.watch import Watches
from server.gen.patchbay.v1 import catalog_pb2
from tests.catalog.support import TACTICAL, ZETA

pytestmark = pytest.mark.anyio

LONG = 3600.0
SHORT = 0.01


@pytest.fixture
def watches(catalog, availabilities) -> Watches:
    """Watches that neither beat nor look by themselves while a test lasts."""
    return Watches(catalog, availabilities, heartbeat=LONG, poll=LONG, spread=0)


def kind(event: catalog_pb2.WatchCatalogResponse) -> str | None:
    """Which event it is."""
    return event.WhichOneof("event")


async def settled(task: "asyncio.Task[object]") -> None:
    """Lets everything run that can run, to see whether the task stays waiting."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()


async def test_a_watch_begins_with_a_snapshot(watches, catalog, availabilities):
    """The first event holds every group in the catalog's order; its revision is the catalog's etag."""
    async with aclosing(watches.watch("a")) as events:
        first = await anext(events)
    whole = catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog("a"))
    assert kind(first) == "snapshot"
    assert first.revision == first.snapshot.etag == whole.etag
    assert [(group.group_key, group.availability) for group in first.snapshot.groups] == [
        (group.group_key, group.availability) for group in whole.groups
    ]


async def test_a_notification_brings_the_change(watches, integrations, catalog):
    """After a notification the stream tells what changed, with the revision of the new catalog."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        integrations.connect("a", "tacticalrmm", "zeta")
        watches.notify("a")
        event = await anext(events)
    assert kind(event) == "change"
    assert event.change.group_key == ZETA
    assert event.change.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    whole = catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog("a"))
    assert event.revision == whole.etag


async def test_two_changes_at_once_have_revisions_of_their_own(watches, integrations):
    """Each change's revision is the state after it, so a stream cut between them resumes with a snapshot."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        integrations.connect("a", "zeta")
        watches.notify("a")
        changes = [await anext(events), await anext(events)]
    assert [change.change.group_key for change in changes] == [ZETA, TACTICAL]
    assert changes[0].revision != changes[1].revision
    async with aclosing(watches.watch("a", changes[0].revision)) as events:
        assert kind(await anext(events)) == "snapshot"
    async with aclosing(watches.watch("a", changes[1].revision)) as events:
        assert kind(await anext(events)) == "heartbeat"


async def test_a_notification_without_a_change_is_silent(watches):
    """A notification that changed no verdict sends nothing."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        waiting = asyncio.create_task(anext(events))
        watches.notify("a")
        await settled(waiting)
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_other_tenants_are_not_woken(watches, integrations):
    """A notification for one tenant asks nothing for another."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        waiting = asyncio.create_task(anext(events))
        await settled(waiting)
        asked = integrations.asked
        watches.notify("b")
        await settled(waiting)
        assert integrations.asked == asked
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_resuming_at_the_present_revision_sends_no_snapshot(watches, catalog):
    """A stream that resumes where it was begins with a sign of life; GetCatalog's etag serves as revision too."""
    whole = catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog("a"))
    async with aclosing(watches.watch("a", whole.etag)) as events:
        first = await anext(events)
    assert (kind(first), first.revision) == ("heartbeat", whole.etag)


async def test_resuming_at_another_revision_sends_a_snapshot(watches):
    """A stream that resumes where the state is no longer begins with a snapshot."""
    async with aclosing(watches.watch("a", "long ago")) as events:
        assert kind(await anext(events)) == "snapshot"


async def test_a_change_while_away_is_in_the_snapshot(watches, integrations):
    """What happened between two streams is told by the second one's snapshot."""
    async with aclosing(watches.watch("a")) as events:
        seen = (await anext(events)).revision
    integrations.connect("a")
    watches.notify("a")
    async with aclosing(watches.watch("a", seen)) as events:
        first = await anext(events)
    states = {group.group_key: group.availability.reason for group in first.snapshot.groups}
    assert states[TACTICAL] == "NOT_CONNECTED"


async def test_a_slow_reader_is_told_the_difference_once(watches, integrations):
    """A thousand changes while a client does not read are told as the one difference that is left."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        for number in range(1_001):
            integrations.connect("a", *(["tacticalrmm"] if number % 2 else ["tacticalrmm", "zeta"]))
            watches.notify("a")
            await asyncio.sleep(0)
        event = await anext(events)
        assert (event.change.group_key, event.change.availability.reason) == (ZETA, "")
        waiting = asyncio.create_task(anext(events))
        await settled(waiting)
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_change_during_a_look_is_not_lost(watches, integrations, availabilities):
    """A notification that comes while the stream reads the state makes it read once more."""
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        integrations.gate = asyncio.Event()
        integrations.reading.clear()
        waiting = asyncio.create_task(anext(events))
        watches.notify("a")
        await integrations.reading.wait()
        integrations.connect("a", "tacticalrmm", "zeta")
        watches.notify("a")
        integrations.gate.set()
        assert (await waiting).change.group_key == ZETA


async def test_silence_is_broken_by_signs_of_life(catalog, availabilities):
    """Without changes the stream sends heartbeats with the unchanged revision and the time."""
    watches = Watches(catalog, availabilities, heartbeat=SHORT, poll=LONG)
    async with aclosing(watches.watch("a")) as events:
        first = await anext(events)
        beats = [await anext(events) for _ in range(3)]
    assert {kind(beat) for beat in beats} == {"heartbeat"}
    assert {beat.revision for beat in beats} == {first.revision}
    assert all(beat.heartbeat.HasField("time") for beat in beats)


async def test_a_lost_notification_is_noticed_by_looking(registry, integrations, catalog, availabilities):
    """A change that nobody notified is told once the stream looks by itself."""
    watches = Watches(catalog, availabilities, heartbeat=LONG, poll=SHORT)
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        integrations.connect("a", "tacticalrmm", "zeta")
        availabilities.forget("a")
        assert (await anext(events)).change.group_key == ZETA


async def test_a_failed_check_is_repeated_soon(catalog, availabilities, integrations):
    """While a check fails the stream looks again at the short interval, not at the long one."""
    integrations.broken = ConnectionError()
    watches = Watches(catalog, availabilities, heartbeat=LONG, poll=LONG, retry=SHORT)
    async with aclosing(watches.watch("a")) as events:
        first = await anext(events)
        assert {group.availability.reason for group in first.snapshot.groups} == {"", "AVAILABILITY_CHECK_FAILED"}
        integrations.broken = None
        availabilities.forget("a")
        recovered = {(await anext(events)).change.group_key for _ in range(2)}
    assert recovered == {TACTICAL, ZETA}


async def test_after_a_gap_everybody_looks_again(watches, integrations):
    """When notifications may have been lost, the streams of all tenants notice what changed."""
    async with aclosing(watches.watch("a")) as one, aclosing(watches.watch("b")) as other:
        await anext(one)
        await anext(other)
        integrations.connect("a", "tacticalrmm", "zeta")
        integrations.connect("b", "zeta")
        watches.notify_gap()
        assert (await anext(one)).change.group_key == ZETA
        assert (await anext(other)).change.group_key == ZETA


async def test_draining_ends_every_stream(watches):
    """At shutdown a waiting stream, one that is not read and a new one all end with DRAINING."""
    async with aclosing(watches.watch("a")) as waits, aclosing(watches.watch("b")) as idle:
        await anext(waits)
        await anext(idle)
        waiting = asyncio.create_task(anext(waits))
        await settled(waiting)
        watches.drain()
        for ending in (waiting, anext(idle), anext(watches.watch("c"))):
            with pytest.raises(Refusal) as refused:
                await ending
            assert refused.value.reason == "DRAINING"
    assert watches.open == 0


async def test_a_cancelled_stream_leaves_nothing(watches):
    """A client that goes away while its stream waits is forgotten."""
    events = watches.watch("a")
    await anext(events)
    assert watches.open == 1
    waiting = asyncio.create_task(anext(events))
    await settled(waiting)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert watches.open == 0


async def test_a_closed_stream_leaves_nothing(watches):
    """A client that goes away between two events is forgotten once the stream is closed."""
    events = watches.watch("a")
    await anext(events)
    await events.aclose()
    assert watches.open == 0


async def test_streams_are_bounded(catalog, availabilities):
    """One stream more than allowed is refused with advice when to try again; a freed place is given again."""
    watches = Watches(catalog, availabilities, capacity=1)
    async with aclosing(watches.watch("a")) as events:
        await anext(events)
        with pytest.raises(Refusal) as refused:
            await anext(watches.watch("b"))
        assert refused.value.reason == "OVERLOADED"
        assert refused.value.retry_after
    async with aclosing(watches.watch("b")) as events:
        assert kind(await anext(events)) == "snapshot"


async def test_a_stream_ends_after_its_lifetime(catalog, availabilities):
    """A stream ends by itself, so that a caller whose key was revoked does not listen for ever."""
    watches = Watches(catalog, availabilities, lifetime=SHORT)
    assert [kind(event) async for event in watches.watch("a")] == ["snapshot"]
    assert watches.open == 0
