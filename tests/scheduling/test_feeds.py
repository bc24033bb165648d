"""Calendar feeds: making them over gRPC, reading them over HTTP, and what nobody can learn from them."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from icalendar import Calendar

from server.app import ServerHandle
from server.core.api_keys import hash_secret
from server.core.feed_readers import FeedReaders
from server.gen.patchbay.v1 import dispatch_pb2, identity_pb2
from server.settings import SettingInvalid, Settings
from server.store.embedded import EmbeddedPostgres
from tests.scheduling.office import Office, opened
from tests.scheduling.test_board import key_of
from tests.support.grpc_errors import refused
from tests.support.postgres import Fresh
from tests.support.served import TENANT, Caller, Lab, Replica, Replicas, Served, serving, settings_for
from tests.support.web import Answer, fetch

pytestmark = pytest.mark.anyio

INVALID, DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED
PUBLIC = "https://patchbay.example.com/calendars"


@pytest.fixture
async def served(lab: Lab, fresh: Fresh, tmp_path: Path) -> AsyncIterator[Served]:
    """A server with an HTTP port."""
    settings = settings_for(fresh, tmp_path, http_listen="127.0.0.1:0", public_url=f"{PUBLIC}/")
    async with serving(settings, lab, fresh) as running:
        yield running


def facts(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    """Everything but the time of day."""
    return answer.status, answer.body, {name: value for name, value in answer.headers.items() if name != "date"}


def titles(answer: Answer) -> list[str]:
    """The titles of all events, sorted."""
    return sorted(str(event["summary"]) for event in Calendar.from_ical(answer.body).walk("VEVENT"))


async def fetched(at: ServerHandle | str, path: str, method: str = "GET", **headers: str) -> Answer:
    """Asks the HTTP port of a server in this process, or the one at an address."""
    target = at if isinstance(at, str) else at.http_targets["http_listen"]

    sent = {name.replace("_", "-"): one for name, one in headers.items()}
    return await asyncio.to_thread(fetch, target, method, path, None, sent)


async def create(office: Office, user: str, label: str = "", tenant: str = TENANT) -> dispatch_pb2.CreateFeedResponse:
    """Creates a feed."""
    request = dispatch_pb2.CreateFeedRequest(tenant=tenant, user_id=user, label=label)
    made: dispatch_pb2.CreateFeedResponse = await office.caller("Dispatch/CreateFeed", request)
    return made


async def feeds(office: Office, user: str = "", tenant: str = TENANT) -> list[dispatch_pb2.Feed]:
    """Lists feeds."""
    told = await office.caller("Dispatch/ListFeeds", dispatch_pb2.ListFeedsRequest(tenant=tenant, user_id=user))
    return list(told.feeds)


async def revoke(office: Office, feed: str, tenant: str = TENANT) -> dispatch_pb2.Feed:
    """Revokes a feed."""
    request = dispatch_pb2.RevokeFeedRequest(tenant=tenant, feed_id=feed)
    told: dispatch_pb2.Feed = (await office.caller("Dispatch/RevokeFeed", request)).feed
    return told


async def test_a_feed_shows_a_technicians_entries(office: Office, served: Served) -> None:
    """Its address answers the entries of that technician, cancelled ones too, and nobody else's."""
    ann, ben = await office.hire("Ann", last_name="Ames"), await office.hire("Ben")
    soon = await near(office, ann, "Router")
    await near(office, ben, "Not hers")
    await near(office, ann, "Gone", hours=5)
    await near(office, ann, "Old", days=-200)
    await near(office, ann, "Far", days=500)
    await office.owner.execute("UPDATE schedule_entries SET status = 'cancelled' WHERE title = 'Gone'")
    told = await fetched(served.handle, (await create(office, ann)).path)
    assert told.status == 200
    assert told.headers["content-type"] == "text/calendar; charset=utf-8"
    assert titles(told) == ["Gone", "Router"]
    states = {str(one["summary"]): str(one["status"]) for one in Calendar.from_ical(told.body).walk("VEVENT")}
    assert states == {"Gone": "CANCELLED", "Router": "CONFIRMED"}
    assert f"UID:{soon}@patchbay".encode() in told.body
    assert b"X-WR-CALNAME:Ann Ames" in told.body


async def near(office: Office, user: str, title: str, *, days: float = 1, hours: float = 0) -> str:
    """Adds an entry of an hour, some days from now, and returns its id."""
    id = str(uuid4())
    await office.owner.execute(
        "INSERT INTO schedule_entries (tenant, entry_id, title, work_item_type, status, scheduled_start, "
        "scheduled_end, sequence) "
        "SELECT $1, $2, $3, 'ad_hoc', 'scheduled', now() + $4, now() + $4 + interval '1 h', 1",
        office.tenant,
        id,
        title,
        timedelta(days=days, hours=hours),
    )
    await office.owner.execute(
        "INSERT INTO schedule_entry_assignees (tenant, entry_id, user_id) VALUES ($1, $2, $3)", office.tenant, id, user
    )
    return id


async def test_the_address_is_told_once_and_stored_as_a_hash(office: Office) -> None:
    """The answer to CreateFeed has path and whole address; lists and the row have neither."""
    ann = await office.hire("Ann")
    made = await create(office, ann.upper(), "Phone")
    assert made.url == f"{PUBLIC}{made.path}"
    secret = made.path.removeprefix("/feeds/").removesuffix(".ics")
    assert len(secret) == 43
    (listed,) = await feeds(office)
    assert (listed.id, listed.user_id, listed.label) == (made.feed.id, ann, "Phone")
    assert secret not in str(listed)
    row = await office.owner.fetchrow("SELECT * FROM schedule_feeds")
    assert row["secret_hash"] == hash_secret(secret)
    assert secret not in str({**row, "secret_hash": ""})


async def test_a_feed_is_sent_again_only_when_it_has_changed(office: Office, served: Served) -> None:
    """If-None-Match gets 304 without a body until an entry is changed, added or goes."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    path = (await create(office, ann)).path
    first = await fetched(served.handle, path)
    etag = first.headers["etag"]
    for told in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        same = await fetched(served.handle, path, If_None_Match=told)
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", etag)
        assert same.headers["cache-control"] == "private, no-cache"
    assert (await fetched(served.handle, path, If_None_Match='"other"')).status == 200
    await office.done("complete", {"entry_id": booked["entry_id"]})
    changed = await fetched(served.handle, path, If_None_Match=etag)
    assert (changed.status, changed.headers["etag"] != etag) == (200, True)
    assert b"TRANSP:TRANSPARENT" in changed.body
    await office.owner.execute("DELETE FROM schedule_entries")
    empty = await fetched(served.handle, path, If_None_Match=changed.headers["etag"])
    assert (empty.status, titles(empty)) == (200, [])


async def test_head_tells_the_headers_alone(office: Office, served: Served) -> None:
    """HEAD has the headers of GET, its length included, and no body; other methods are not allowed."""
    ann = await office.hire("Ann")
    await office.book(ann)
    path = (await create(office, ann)).path
    whole = await fetched(served.handle, path)
    head = await fetched(served.handle, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert facts(head)[2] == facts(whole)[2]
    assert (await fetched(served.handle, path, "POST")).status == 405


async def test_whatever_is_no_feed_is_the_same_404(office: Office, served: Served) -> None:
    """Revoked, never made, malformed, of somebody who left, or another path: answers that differ in nothing."""
    ann, cid = await office.hire("Ann"), await office.hire("Cid")
    revoked, left, kept = await create(office, ann), await create(office, cid), await create(office, ann)
    gone = await revoke(office, revoked.feed.id)
    assert gone.HasField("revoke_time")
    assert await revoke(office, revoked.feed.id) == gone
    await office.owner.execute("UPDATE users SET is_inactive = true WHERE user_id = $1", cid)
    nothing = await fetched(served.handle, "/favicon.ico")
    assert nothing.status == 404
    paths = [revoked.path, left.path, f"/feeds/{'x' * 43}.ics", "/feeds/..ics", "/feeds/%00.ics", kept.path[:-4]]
    paths += [kept.path.replace("/feeds/", "/feeds/x"), kept.path.upper(), f"/feeds/{kept.feed.id}.ics"]
    for path in paths:
        assert facts(await fetched(served.handle, path)) == facts(nothing), path
    assert (await fetched(served.handle, kept.path)).status == 200


async def test_reading_is_noted_once_an_hour(office: Office, served: Served) -> None:
    """A feed says when it was last read, to the hour; reading it again within the hour writes nothing."""
    ann = await office.hire("Ann")
    made = await create(office, ann)
    assert not made.feed.HasField("last_read_time")
    await fetched(served.handle, made.path)
    (listed,) = await feeds(office)
    assert listed.last_read_time.seconds % 3600 == 0
    version = "SELECT xmin::text, last_read_at FROM schedule_feeds"
    before = await office.owner.fetchrow(version)
    await fetched(served.handle, made.path)
    assert await office.owner.fetchrow(version) == before
    await office.owner.execute("UPDATE schedule_feeds SET last_read_at = last_read_at - interval '1 h'")
    await fetched(served.handle, made.path)
    assert (await feeds(office))[0].last_read_time == listed.last_read_time


async def readings(office: Office, served: Served) -> list[tuple[str, str, str, str, str]]:
    """Caller, technician, address, outcome and reason of every reading in the tenant's audit log."""
    await served.handle.house.audit.flush()
    rows = await office.owner.fetch(
        "SELECT caller, actor, peer, outcome, reason FROM audit_log "
        "WHERE tenant = $1 AND operation = 'feeds/read' ORDER BY id",
        office.tenant,
    )
    return [tuple(row) for row in rows]


async def test_who_reads_a_feed_stands_in_the_audit_once_a_day(office: Office, served: Served) -> None:
    """One row per feed, reader and day, with the reader's address, that which a proxy on this machine tells too."""
    ann = await office.hire("Ann")
    made, other = await create(office, ann), await create(office, ann)
    etag = (await fetched(served.handle, made.path)).headers["etag"]
    for path, more in ((made.path, {}), (made.path, {"If_None_Match": etag}), (other.path, {})):
        await fetched(served.handle, path, **more)
        await fetched(served.handle, path, X_Forwarded_For="192.0.2.7", **more)
    assert await readings(office, served) == [
        (f"feed:{feed}", ann, peer, "OK", "")
        for feed in (made.feed.id, other.feed.id)
        for peer in ("127.0.0.1", "192.0.2.7")
    ]


async def test_refused_readings_stand_in_the_audit_when_the_feed_exists(office: Office, served: Served) -> None:
    """Of a revoked feed and of one whose technician left: a row a day; an address that never was one leaves none."""
    ann, cid = await office.hire("Ann"), await office.hire("Cid")
    revoked, left = await create(office, ann), await create(office, cid)
    await fetched(served.handle, revoked.path)
    await revoke(office, revoked.feed.id)
    await office.owner.execute("UPDATE users SET is_inactive = true WHERE user_id = $1", cid)
    for _ in range(3):
        for path in (revoked.path, left.path, f"/feeds/{'x' * 43}.ics", "/feeds/..ics"):
            assert (await fetched(served.handle, path)).status == 404
    here = "127.0.0.1"
    assert await readings(office, served) == [
        (f"feed:{revoked.feed.id}", ann, here, "OK", ""),
        (f"feed:{revoked.feed.id}", ann, here, "REFUSED", "FEED_REVOKED"),
        (f"feed:{left.feed.id}", cid, here, "REFUSED", "USER_INACTIVE"),
    ]


def test_readers_are_new_each_day_and_not_without_end() -> None:
    """The next day (UTC) a reader is noted again; of one feed a hundred readings a day are, whoever reads."""
    now = datetime(2027, 3, 1, 23, 0, tzinfo=UTC)
    readers = FeedReaders(lambda: now)
    assert [readers.is_new("a", "192.0.2.1", reason) for reason in ("", "", "FEED_REVOKED")] == [True, False, True]
    assert readers.is_new("b", "192.0.2.1", "")
    assert sum(readers.is_new("a", f"198.51.100.{number}", "") for number in range(200)) == 98
    now += timedelta(hours=1)
    assert readers.is_new("a", "192.0.2.1", "")


@pytest.mark.parametrize("user", ["", "me", str(uuid4())], ids=["empty", "me", "nobody"])
async def test_feeds_are_for_users_there_are(office: Office, user: str) -> None:
    """A technician who does not exist is INPUT_INVALID at `user_id`."""
    with refused("INPUT_INVALID", INVALID, "user_id"):
        await create(office, user)


async def test_the_inactive_get_no_feed(office: Office) -> None:
    """Nobody makes a feed for somebody who cannot read it; a label can be too long."""
    cid = await office.hire("Cid", is_inactive=True)
    with refused("INPUT_INVALID", INVALID, "user_id"):
        await create(office, cid)
    with refused("INPUT_INVALID", INVALID, "label"):
        await create(office, cid, "x" * 101)


async def test_lists_are_of_everybody_or_of_one(office: Office) -> None:
    """Feeds come newest first: a tenant's or a technician's."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    made = [(await create(office, user)).feed.id for user in (ann, ben, ann)]
    assert [one.id for one in await feeds(office)] == made[::-1]
    assert [one.id for one in await feeds(office, ann.upper())] == [made[2], made[0]]


async def test_another_tenant_reaches_no_feed(office: Office, served: Served) -> None:
    """A tenant that names the other's users and feeds finds, makes and revokes none of them."""
    ann = await office.hire("Ann")
    made = await create(office, ann)
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="rival"))
    assert await feeds(office, tenant="rival") == []
    assert await feeds(office, ann, tenant="rival") == []
    with refused("INPUT_INVALID", INVALID, "user_id"):
        await create(office, ann, tenant="rival")
    with refused("FEED_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await revoke(office, made.feed.id, tenant="rival")
    assert (await fetched(served.handle, made.path)).status == 200


async def test_making_and_revoking_need_the_whole_permission(office: Office) -> None:
    """`dispatch.read` lists feeds but neither makes nor revokes one: an address would outlive the key."""
    ann = await office.hire("Ann")
    made = await create(office, ann)
    caller = await key_of(office.caller, TENANT, "dispatch.read")
    reader = Office(caller, office.owner, office.tenant)
    assert [one.id for one in await feeds(reader)] == [made.feed.id]
    with refused("PERMISSION_DENIED", DENIED):
        await create(reader, ann)
    with refused("PERMISSION_DENIED", DENIED):
        await revoke(reader, made.feed.id)
    await caller.close()


async def test_no_log_line_and_no_audit_row_has_an_address(replicas: Replicas) -> None:
    """Making, reading, a defect while reading, and revoking: neither the finest log nor the audit has the secret."""
    replica = replicas.start(http_listen="127.0.0.1:0")
    caller = Caller(replica.target)
    await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
    async with opened(caller, replicas.fresh.dsn) as office:
        made = await create(office, await office.hire("Ann"))
        (target,) = (one["target"] for one in logged(replica) if one["event"] == "serving HTTP")
        assert (await fetched(target, made.path)).status == 200
        await office.owner.execute("ALTER TABLE schedule_entry_assignees RENAME TO away")
        assert (await fetched(target, made.path)).status == 500
        await revoke(office, made.feed.id)
        assert (await fetched(target, made.path)).status == 404
        replica.kill(signal.SIGTERM)
        rows = [str(dict(row)) for row in await office.owner.fetch("SELECT * FROM audit_log")]
    await caller.close()
    secret = made.path.removeprefix("/feeds/").removesuffix(".ics")
    assert sum("CreateFeed" in row or "RevokeFeed" in row for row in rows) == 2
    assert "UndefinedTableError" in replica.log.read_text()
    assert secret not in replica.log.read_text()
    assert not any(secret in row for row in rows)


def logged(replica: Replica) -> list[dict[str, Any]]:
    """Returns the lines of a log."""
    return [json.loads(line) for line in replica.log.read_text().splitlines() if line.startswith("{")]


async def test_while_the_database_is_away_a_feed_is_503(
    own_postgres: EmbeddedPostgres, lab: Lab, tmp_path: Path
) -> None:
    """A lost database is no lost feed: calendars are told to come again, and then find it."""
    database = Fresh(own_postgres.dsn, own_postgres.app_dsn)
    settings = settings_for(database, tmp_path, http_listen="127.0.0.1:0")
    async with serving(settings, lab, database) as running:
        async with opened(running.caller, database.dsn) as office:
            path = (await create(office, await office.hire("Ann"))).path
        await asyncio.to_thread(own_postgres.stop)
        lost = await fetched(running.handle, path)
        assert (lost.status, lost.headers["retry-after"]) == (503, "60")
        await asyncio.to_thread(own_postgres.start)
        assert (await fetched(running.handle, path)).status == 200


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"http_listen": "7780"}, "http_listen"),
        ({"http_listen": "127.0.0.1:70000"}, "http_listen"),
        ({"http_listen": "127.0.0.1:7700", "listen": "127.0.0.1:7700"}, "another port"),
        ({"http_listen": "127.0.0.1:0", "workers": 2}, "fixed port"),
        ({"public_url": "patchbay.example.com"}, "public_url"),
        ({"public_url": "http://patchbay.example.com"}, "public_url"),
        ({"public_url": "https://"}, "public_url"),
        ({"public_url": "https://user:pass@patchbay.example.com"}, "public_url"),
        ({"public_url": "https://patchbay.example.com/?a=b"}, "public_url"),
        ({"public_url": "https://[patchbay"}, "public_url"),
    ],
)
def test_settings_of_the_port_are_checked(wrong: dict[str, Any], named: str) -> None:
    """What no port and no public address can be is refused by name; plain http is for this machine only."""
    with pytest.raises(SettingInvalid, match=named):
        Settings(**wrong)
    assert Settings(public_url="http://127.0.0.1:7780").public_url == "http://127.0.0.1:7780"


async def test_both_kinds_of_paths_can_share_a_port(lab: Lab, fresh: Fresh, tmp_path: Path) -> None:
    """With the same address for bots and feeds one port answers both."""
    settings = settings_for(fresh, tmp_path, http_listen="127.0.0.1:0", bot_listen="127.0.0.1:0")
    async with serving(settings, lab, fresh) as running:
        targets = running.handle.http_targets
        assert targets["http_listen"] == targets["bot_listen"]
        assert (await fetched(running.handle, "/api/messages", "POST")).status == 401
        assert (await fetched(running.handle, f"/feeds/{'x' * 43}.ics")).status == 404
