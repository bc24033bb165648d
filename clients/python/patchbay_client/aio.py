"""The asyncio client: the same plans, awaited."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import grpc
import grpc.aio

from patchbay_client import administration, boards, calls, directory, dispatching, executing, executions
from patchbay_client.details import read_details
from patchbay_client.errors import CallRefused, refusal
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Call, Pause, Plan, Session
from patchbay_client.transport import TLS, channel_options, metadata_for, tls_for
from patchbay_client.watching import STREAM_SECONDS, WatchCursor

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRunner:
    """Carries plans out over a channel that is made at the first call, in the loop that makes it.

    Args:
        open_channel: Makes the channel.
        session: The defaults of every call.
        metadata: Sent with every call.
    """

    def __init__(
        self,
        open_channel: Callable[[], grpc.aio.Channel],
        session: Session,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.session = session
        self._open = open_channel
        self._channel: grpc.aio.Channel | None = None
        self._metadata = tuple(metadata)

    async def run(self, plan: Plan[T]) -> T:
        """Returns the plan's result. Cancelling it cancels the call, never what a server has begun."""
        answer: Any = None
        error: CallRefused | None = None
        while True:
            try:
                step = plan.throw(error) if error else plan.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, error = await self._step(step)

    async def _step(self, step: Call | Pause) -> tuple[Any, CallRefused | None]:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None, None
        try:
            return await self._call(step), None
        except grpc.aio.AioRpcError as failed:
            return None, _refused(failed)

    async def _call(self, call: Call) -> Any:
        invoke = self.channel().unary_unary(
            call.method.path, request_serializer=bytes, response_deserializer=call.method.response.parse
        )
        return await invoke(call.request, timeout=call.timeout, metadata=self._metadata)

    async def stream(self, call: Call) -> AsyncGenerator[Any]:
        """Yields the messages of one stream; leaving it cancels the stream."""
        invoke = self.channel().unary_stream(
            call.method.path, request_serializer=bytes, response_deserializer=call.method.response.parse
        )
        responses = invoke(call.request, timeout=call.timeout, metadata=self._metadata)
        try:
            async for response in responses:
                yield response
        except grpc.aio.AioRpcError as failed:
            raise _refused(failed) from failed
        finally:
            responses.cancel()

    def channel(self) -> grpc.aio.Channel:
        """Returns the channel, making it first if there is none."""
        if self._channel is None:
            self._channel = self._open()
        return self._channel

    async def close(self) -> None:
        """Closes the channel that was made."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def _refused(failed: grpc.aio.AioRpcError) -> CallRefused:
    trailers = cast("Sequence[tuple[str, str | bytes]]", failed.trailing_metadata() or ())
    return refusal(failed.code(), failed.details() or "", read_details(trailers))


def awaiting(
    operation: Callable[Concatenate[Session, P], Plan[T]],
) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """Makes a coroutine method of a plan."""

    @wraps(operation)
    async def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        runner: AsyncRunner = self._runner
        return await runner.run(operation(runner.session, *args, **kwargs))

    return cast("Callable[Concatenate[Any, P], Awaitable[T]]", method)


class _Part:
    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner


class AsyncExecutions(_Part):
    """What was executed."""

    get = awaiting(executions.get_execution)
    list = awaiting(executions.list_executions)
    resolve = awaiting(executions.resolve_execution)
    cancel = awaiting(executions.cancel_execution)


class AsyncConnections(_Part):
    """The tenant's connections to its tools."""

    providers = awaiting(administration.list_providers)
    list = awaiting(administration.list_connections)
    connect = awaiting(administration.connect)
    begin_sign_in = awaiting(administration.begin_sign_in)
    test = awaiting(administration.try_connection)
    disconnect = awaiting(administration.disconnect)


class AsyncDirectory(_Part):
    """Technicians, and what they work on."""

    users = awaiting(directory.list_users)
    upsert_users = awaiting(directory.upsert_users)
    deactivate = awaiting(directory.deactivate_user)
    link = awaiting(directory.link_account)
    set_calendar = awaiting(directory.set_calendar)
    work_items = awaiting(directory.list_work_items)
    upsert_work_items = awaiting(directory.upsert_work_items)


class AsyncDispatch(_Part):
    """What became of the events of schedule entries."""

    sync = awaiting(dispatching.get_sync)
    dead_letters = awaiting(dispatching.list_dead_letters)
    retry = awaiting(dispatching.retry_dead_letter)


class AsyncKeys(_Part):
    """API keys."""

    create = awaiting(administration.create_api_key)
    list = awaiting(administration.list_api_keys)
    revoke = awaiting(administration.revoke_api_key)


class AsyncTenants(_Part):
    """Tenants."""

    create = awaiting(administration.create_tenant)
    list = awaiting(administration.list_tenants)


class AsyncFeeds(_Part):
    """Calendar feeds of technicians."""

    create = awaiting(boards.create_feed)
    list = awaiting(boards.list_feeds)
    revoke = awaiting(boards.revoke_feed)


class AsyncPatchbay:
    """A client whose calls are awaited. Belongs to the event loop that first uses it.

    Args:
        target: Host and port of the server.
        api_key: Sent as `authorization: Bearer`. None: the server asks for none.
        tenant: Tenant of calls that name none: its id or slug. Empty: the key's only tenant.
        tls: None: TLS unless the target is on this machine. True, False or `TLS(...)` decide it.
        timeout: Seconds for ordinary calls.
        execute_timeout: Seconds for `execute`, waiting included.
        outage: Seconds for which a lost server is asked again before `Unavailable` is raised. 0: not at all.
        options: Further channel arguments of gRPC.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:7700",
        *,
        api_key: str | None = None,
        tenant: str = "",
        tls: TLS | bool | None = None,
        timeout: float = 30.0,
        execute_timeout: float = 300.0,
        outage: float = 20.0,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        session = Session(tenant=tenant, timeout=timeout, execute_timeout=execute_timeout, outage=outage)
        self._runner = AsyncRunner(lambda: _open(target, tls_for(target, tls), options), session, metadata_for(api_key))
        self.executions = AsyncExecutions(self._runner)
        self.connections = AsyncConnections(self._runner)
        self.directory = AsyncDirectory(self._runner)
        self.dispatch = AsyncDispatch(self._runner)
        self.keys = AsyncKeys(self._runner)
        self.tenants = AsyncTenants(self._runner)
        self.feeds = AsyncFeeds(self._runner)

    execute = awaiting(executing.execute)
    validate = awaiting(executions.validate)
    catalog = awaiting(administration.get_catalog)
    action = awaiting(administration.get_action)
    options = awaiting(administration.list_field_options)
    board = awaiting(boards.get_board)

    async def watch(
        self, *, tenant: str | None = None, resume_from: str = "", heartbeats: bool = False
    ) -> AsyncIterator[v1.WatchCatalogResponse]:
        """Yields a snapshot of all availability, then every change; goes on by itself when it was cut.

        Args:
            tenant: Tenant. None: the client's.
            resume_from: `revision` of the last event seen. Empty: begin with a snapshot.
            heartbeats: Also yield the server's signs of life.

        Raises:
            CallRefused: The watch is not allowed, or the server stayed away longer than `outage`.
        """
        cursor = WatchCursor(self._runner.session, tenant, resume_from)
        while True:
            lost: CallRefused | None = None
            call = Call(calls.WATCH_CATALOG, cursor.request(), STREAM_SECONDS)
            try:
                async with aclosing(self._runner.stream(call)) as events:
                    async for event in events:
                        cursor.saw(event)
                        if heartbeats or event.heartbeat is None:
                            yield event
            except CallRefused as refused:
                lost = refused
            await asyncio.sleep(cursor.lost(lost))

    async def close(self) -> None:
        """Closes the channel."""
        await self._runner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _open(target: str, tls: TLS | None, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
    arguments = channel_options(tls, options)
    if tls is None:
        return grpc.aio.insecure_channel(target, arguments)
    return grpc.aio.secure_channel(target, tls.credentials(), arguments)
