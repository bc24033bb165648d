"""What is known about one request while it is under way: above all, whether it may have left."""

from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import ClientConnectionError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from server.sdk.scope import CallScope


@dataclass(slots=True)
class Flight:
    """One request on its way.

    Attributes:
        scope: The execution it belongs to.
        writes: Whether it may change something at the vendor.
        departed: Whether bytes may have left; False proves that the vendor saw nothing.
        stopped: Why the send mark was not recorded; nothing was sent then.
    """

    scope: CallScope
    writes: bool
    departed: bool = False
    stopped: Exception | None = None


flights: ContextVar[Flight] = ContextVar("patchbay_flight")


class MarkingConnector(TCPConnector):
    """Records the send mark between the connection and the first byte of a write."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        """Returns a connection on which the request of the current flight may be sent, once."""
        flight = flights.get()
        if flight.departed:
            # aiohttp sends PUT and DELETE again when a kept-alive connection breaks; that is not its decision here.
            raise ClientConnectionError("the request may have been sent already")
        connection = await super().connect(req, traces, timeout)
        while flight.writes and not flight.scope.sent:
            await self._mark(flight, connection)
            if connection.closed:
                connection.close()
                connection = await super().connect(req, traces, timeout)
        flight.departed = True
        return connection

    @staticmethod
    async def _mark(flight: Flight, connection: Connection) -> None:
        try:
            await flight.scope.before_write()
        except BaseException as error:
            connection.release()
            flight.stopped = error if isinstance(error, Exception) else None
            raise
