"""Calendar feeds: a part of the Dispatch service, and the files themselves on an HTTP port."""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.core.feed_readers import FeedReaders
from server.core.feeds import PATH, Feed, FeedReading, Feeds
from server.core.tenancy import Tenants
from server.edge.board import PERMISSION
from server.edge.http import HttpAudit, HttpReport, peer_of
from server.edge.rpc import CallInfo
from server.errors import DatabaseUnavailable
from server.gen.patchbay.v1 import dispatch_pb2 as pb
from server.sdk.times import timestamp

_SECONDS: Final = 15.0
_HEADERS: Final = {
    "Cache-Control": "private, no-cache",  # ask each time, so that a revoked feed is gone at once
    "Content-Disposition": 'inline; filename="schedule.ics"',
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class FeedsServicer:
    """CreateFeed, ListFeeds and RevokeFeed; a part of the Dispatch service.

    Args:
        tenants: Resolves names of tenants.
        feeds: The feeds.
        public_url: Where the HTTP port is reached from outside. None: not told.
    """

    def __init__(self, tenants: Tenants, feeds: Feeds, public_url: str | None) -> None:
        self._tenants = tenants
        self._feeds = feeds
        self._public_url = public_url

    async def create_feed(self, request: pb.CreateFeedRequest, call: CallInfo) -> pb.CreateFeedResponse:
        """Creates a feed."""
        call.caller.demand(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, request.tenant)
        feed, path = await self._feeds.create(call.tenant, request.user_id, request.label)
        url = f"{self._public_url.rstrip('/')}{path}" if self._public_url else ""
        return pb.CreateFeedResponse(feed=_feed(feed), path=path, url=url)

    async def list_feeds(self, request: pb.ListFeedsRequest, call: CallInfo) -> pb.ListFeedsResponse:
        """Lists feeds."""
        call.caller.demand_read(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, request.tenant)
        return pb.ListFeedsResponse(feeds=map(_feed, await self._feeds.list(call.tenant, request.user_id)))

    async def revoke_feed(self, request: pb.RevokeFeedRequest, call: CallInfo) -> pb.RevokeFeedResponse:
        """Revokes a feed."""
        call.caller.demand(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, request.tenant)
        return pb.RevokeFeedResponse(feed=_feed(await self._feeds.revoke(call.tenant, request.feed_id)))


class FeedFiles:
    """The files. Whatever is not a feed any more, or never was one, is the same 404 as any other path.

    Args:
        feeds: The feeds.
        audit: Takes a report of the first reading of each reader of a feed each day, refused ones too. An address that
            was never one leaves none.
    """

    def __init__(self, feeds: Feeds, audit: HttpAudit) -> None:
        self._feeds = feeds
        self._audit = audit
        self._readers = FeedReaders()

    @property
    def route(self) -> Route:
        """What an HTTP port answers with them."""
        return Route(PATH, self._file, methods=["GET"])  # and HEAD

    async def _file(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._answer(request)
        except (DatabaseUnavailable, TimeoutError):
            return Response(status_code=503, headers={"Retry-After": "60"})

    async def _answer(self, request: Request) -> Response:
        reading = await self._feeds.read(request.path_params["secret"])
        if reading is not None:
            await self._note(reading, peer_of(request))
        file = reading.file if reading is not None else None
        if file is None:
            raise HTTPException(404)
        headers = {**_HEADERS, "ETag": f'W/"{file.etag}"'}
        if _matches(request.headers.get("if-none-match", ""), file.etag):
            return Response(status_code=304, headers=headers)
        body = await asyncio.to_thread(file.render)
        return Response(body, headers=headers, media_type="text/calendar; charset=utf-8")

    async def _note(self, reading: FeedReading, peer: str) -> None:
        feed, reason = reading.feed, reading.reason
        if self._readers.is_new(feed.id, peer, reason):
            caller, tenants = f"feed:{feed.id}", (feed.tenant,)
            report = HttpReport(
                caller=caller, operation="feeds/read", peer=peer, tenants=tenants, actor=feed.user_id, reason=reason
            )
            await self._audit(report)


def _matches(told: str, etag: str) -> bool:
    """Compares weakly, as RFC 9110 says of If-None-Match."""
    return any(one.strip().removeprefix("W/").strip('"') in (etag, "*") for one in told.split(","))


def _feed(feed: Feed) -> pb.Feed:
    return pb.Feed(
        id=feed.id,
        user_id=feed.user_id,
        label=feed.label,
        create_time=timestamp(feed.created_at),
        last_read_time=timestamp(feed.last_read_at),
        revoke_time=timestamp(feed.revoked_at),
    )
