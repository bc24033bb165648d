"""Operations as plans: generators that say what to call and how long to pause, but do no input or output.

`client.Patchbay` and `aio.AsyncPatchbay` carry the same plans out, one blocking, one awaiting, so that
waiting, re-attaching and deadlines exist once.

A plan yields `Call` (and is sent the response, or thrown the `CallRefused`) or `Pause`, and returns a result.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from betterproto2 import Message

from patchbay_client.calls import Method, RequestT, ResponseT
from patchbay_client.errors import CallRefused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Make this call, with this deadline in seconds from now."""

    method: Method[Any, Any]
    request: Message
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Plan = Generator[Call | Pause, Any, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a client knows by default.

    Attributes:
        tenant: Tenant of calls that name none: its id or slug. Empty: the caller's only tenant.
        timeout: Seconds for ordinary calls.
        execute_timeout: Seconds for `execute`, waiting included.
        outage: Seconds for which a lost server is asked again before `Unavailable` is raised. 0: not at all.
        clock: Seconds that only go forward.
        jitter: Numbers from 0 to 1.
    """

    tenant: str = ""
    timeout: float = 30.0
    execute_timeout: float = 300.0
    outage: float = 20.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def tenant_of(self, tenant: str | None) -> str:
        """Returns the tenant of a call: the one it names, else the default."""
        return self.tenant if tenant is None else tenant


class Deadline:
    """A point in time by the session's clock."""

    def __init__(self, session: Session, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError("a timeout must be more than 0 seconds")
        self._clock = session.clock
        self._end = session.clock() + seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock())


class Outage:
    """The patience with a server that cannot answer now: pauses that double, as long as time is left.

    Args:
        session: Gives the patience.
        deadline: End of the whole operation.
    """

    FIRST = 0.1
    LONGEST = 5.0

    def __init__(self, session: Session, deadline: Deadline) -> None:
        self._session = session
        self._deadline = deadline
        self._since: float | None = None
        self._next = self.FIRST

    def over(self) -> None:
        """Notes that the server answered."""
        self._since = None
        self._next = self.FIRST

    def bridge(self, refusal: CallRefused) -> Plan[None]:
        """Pauses before the next try.

        Raises:
            CallRefused: `refusal`, when its cause does not pass by itself or no time is left for another try.
        """
        if not refusal.passing or not (yield from self.pause(refusal.retry_after or 0.0)):
            raise refusal

    def pause(self, at_least: float = 0.0) -> Plan[bool]:
        """Pauses before the next try. False, without a pause: there is no time left for one."""
        wait = max(self._next * (0.5 + self._session.jitter() / 2), at_least)
        if wait >= self._patience():
            return False
        self._next = min(self._next * 2, self.LONGEST)
        yield Pause(wait)
        return True

    def _patience(self) -> float:
        now = self._session.clock()
        self._since = now if self._since is None else self._since
        return min(self._since + self._session.outage - now, self._deadline.left())


def ask(method: Method[RequestT, ResponseT], request: RequestT, timeout: float) -> Plan[ResponseT]:
    """One call, once."""
    answer: ResponseT = yield Call(method, request, timeout)
    return answer


def asked(
    session: Session, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None = None
) -> Plan[ResponseT]:
    """One call, made again through an outage when repeating it is harmless."""
    deadline = Deadline(session, session.timeout if timeout is None else timeout)
    outage = Outage(session, deadline)
    while True:
        try:
            return (yield from ask(method, request, deadline.left()))
        except CallRefused as refusal:
            if not method.repeatable:
                raise
            yield from outage.bridge(refusal)
