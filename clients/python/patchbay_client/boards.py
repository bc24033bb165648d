"""Plans of the Dispatch service: the board and calendar feeds."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from patchbay_client import calls
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Plan, Session, asked


@dataclass(frozen=True, slots=True)
class NewFeed:
    """A feed just made. Who knows its address can read it: `path` and `url` are left out of the object's text.

    Attributes:
        feed: The feed.
        path: Path on the server's HTTP port.
        url: Whole address. Empty: the server was not told how it is reached.
    """

    feed: v1.Feed
    path: str = field(repr=False)
    url: str = field(repr=False)


def get_board(
    session: Session,
    first_day: dt.date | None = None,
    *,
    days: int = 1,
    timezone: str = "",
    users: Sequence[str] = (),
    include_ended: bool = False,
    viewer: str = "",
    page_size: int = 0,
    page_token: str = "",
    tenant: str | None = None,
) -> Plan[v1.GetBoardResponse]:
    """Returns a page of the board: what technicians do on each day.

    Args:
        session: The client's defaults.
        first_day: First day. None: today.
        days: How many days, up to 31.
        timezone: IANA zone in which days begin. Empty: UTC.
        users: Ids of technicians. Empty: all who are active.
        include_ended: Whether cancelled and completed entries are shown too.
        viewer: Id of the user who sees the details of private entries of their own. Empty: nobody sees any.
        page_size: Most technicians. 0: 200.
        page_token: From the answer before. Empty: the first page.
        tenant: Tenant. None: the client's.
    """
    request = v1.GetBoardRequest(
        tenant=session.tenant_of(tenant),
        first_day=first_day.isoformat() if first_day else "",
        days=days,
        timezone=timezone,
        user_ids=list(users),
        include_ended=include_ended,
        viewer_id=viewer,
        page_size=page_size,
        page_token=page_token,
    )
    return (yield from asked(session, calls.GET_BOARD, request))


def create_feed(session: Session, user: str, *, label: str = "", tenant: str | None = None) -> Plan[NewFeed]:
    """Creates a calendar feed of a technician, by id, and returns its address, which is told this once."""
    request = v1.CreateFeedRequest(tenant=session.tenant_of(tenant), user_id=user, label=label)
    answer = yield from asked(session, calls.CREATE_FEED, request)
    return NewFeed(answer.feed or v1.Feed(), answer.path, answer.url)


def list_feeds(session: Session, *, user: str = "", tenant: str | None = None) -> Plan[list[v1.Feed]]:
    """Returns feeds without their addresses, newest first: a technician's, by id, or everybody's."""
    request = v1.ListFeedsRequest(tenant=session.tenant_of(tenant), user_id=user)
    return (yield from asked(session, calls.LIST_FEEDS, request)).feeds


def revoke_feed(session: Session, feed_id: str, *, tenant: str | None = None) -> Plan[v1.Feed]:
    """Revokes a feed: its address answers nothing any more."""
    request = v1.RevokeFeedRequest(tenant=session.tenant_of(tenant), feed_id=feed_id)
    return (yield from asked(session, calls.REVOKE_FEED, request)).feed or v1.Feed()
