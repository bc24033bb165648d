"""What a catalog watch remembers, so that it goes on by itself where it was cut."""

from patchbay_client.errors import CallRefused, DeadlineExceeded
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Session

STREAM_SECONDS = 600.0
"""Longest time one stream is kept before it is opened anew, so that a connection that died silently shows."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class WatchCursor:
    """The place of a watch.

    Args:
        session: Gives the default tenant, and `outage`: how long the server may stay away.
        tenant: Tenant. None: the client's.
        resume_from: Revision of the last event seen before. Empty: begin with a snapshot.
    """

    def __init__(self, session: Session, tenant: str | None, resume_from: str) -> None:
        self._session = session
        self._tenant = session.tenant_of(tenant)
        self._revision = resume_from
        self._away_since: float | None = None
        self._pause = _FIRST_PAUSE

    def request(self) -> v1.WatchCatalogRequest:
        """The request that goes on after the last event seen."""
        return v1.WatchCatalogRequest(tenant=self._tenant, resume_from=self._revision)

    def saw(self, event: v1.WatchCatalogResponse) -> None:
        """Notes an event."""
        self._revision = event.revision or self._revision
        self._away_since = None
        self._pause = _FIRST_PAUSE

    def lost(self, refusal: CallRefused | None = None) -> float:
        """Notes the end of a stream and returns the seconds to pause before opening the next.

        Raises:
            CallRefused: `refusal`, when it is no outage or the server has been away for too long.
        """
        now = self._session.clock()
        self._away_since = now if self._away_since is None else self._away_since
        if refusal is not None and not self._bearable(refusal, now - self._away_since):
            raise refusal
        pause = max(self._pause, (refusal.retry_after or 0.0) if refusal else 0.0)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return pause

    def _bearable(self, refusal: CallRefused, away: float) -> bool:
        return isinstance(refusal, DeadlineExceeded) or (refusal.passing and away < self._session.outage)
