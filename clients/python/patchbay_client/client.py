"""The blocking client."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import grpc

from patchbay_client import administration, boards, calls, directory, dispatching, executing, executions
from patchbay_client.details import read_details
from patchbay_client.errors import CallRefused, refusal
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Call, Pause, Plan, Session
from patchbay_client.transport import TLS, channel_options, metadata_for, tls_for
from patchbay_client.watching import STREAM_SECONDS, WatchCursor

P = ParamSpec("P")
T = TypeVar("T")


class Runner:
    """Carries plans out over a channel, blocking.

    Args:
        channel: A grpcio channel.
        session: The defaults of every call.
        metadata: Sent with every call.
        sleep: Waits the given seconds.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        session: Session,
        metadata: Sequence[tuple[str, str]] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.channel = channel
        self.session = session
        self.sleep = sleep
        self._metadata = tuple(metadata)

    def run(self, plan: Plan[T]) -> T:
        """Returns the plan's result."""
        answer: Any = None
        error: CallRefused | None = None
        while True:
            try:
                step = plan.throw(error) if error else plan.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, error = self._step(step)

    def _step(self, step: Call | Pause) -> tuple[Any, CallRefused | None]:
        if isinstance(step, Pause):
            self.sleep(step.seconds)
            return None, None
        try:
            return self._call(step), None
        except grpc.RpcError as failed:
            return None, _refused(failed)

    def _call(self, call: Call) -> Any:
        invoke = self.channel.unary_unary(
            call.method.path, request_serializer=bytes, response_deserializer=call.method.response.parse
        )
        return invoke(call.request, timeout=call.timeout, metadata=self._metadata)

    def stream(self, call: Call) -> Generator[Any]:
        """Yields the messages of one stream; leaving it cancels the stream."""
        invoke = self.channel.unary_stream(
            call.method.path, request_serializer=bytes, response_deserializer=call.method.response.parse
        )
        responses = invoke(call.request, timeout=call.timeout, metadata=self._metadata)
        try:
            yield from responses
        except grpc.RpcError as failed:
            raise _refused(failed) from failed
        finally:
            responses.cancel()


def _refused(failed: grpc.RpcError) -> CallRefused:
    call = cast("grpc.Call", failed)  # every error that a channel raises is also the call
    return refusal(call.code(), call.details() or "", read_details(call.trailing_metadata()))


def blocking(operation: Callable[Concatenate[Session, P], Plan[T]]) -> Callable[Concatenate[Any, P], T]:
    """Makes a method of a plan."""

    @wraps(operation)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        runner: Runner = self._runner
        return runner.run(operation(runner.session, *args, **kwargs))

    return cast("Callable[Concatenate[Any, P], T]", method)


class _Part:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner


class Executions(_Part):
    """What was executed."""

    get = blocking(executions.get_execution)
    list = blocking(executions.list_executions)
    resolve = blocking(executions.resolve_execution)
    cancel = blocking(executions.cancel_execution)


class Connections(_Part):
    """The tenant's connections to its tools."""

    providers = blocking(administration.list_providers)
    list = blocking(administration.list_connections)
    connect = blocking(administration.connect)
    begin_sign_in = blocking(administration.begin_sign_in)
    test = blocking(administration.try_connection)
    disconnect = blocking(administration.disconnect)


class Directory(_Part):
    """Technicians, and what they work on."""

    users = blocking(directory.list_users)
    upsert_users = blocking(directory.upsert_users)
    deactivate = blocking(directory.deactivate_user)
    link = blocking(directory.link_account)
    set_calendar = blocking(directory.set_calendar)
    work_items = blocking(directory.list_work_items)
    upsert_work_items = blocking(directory.upsert_work_items)


class Dispatch(_Part):
    """What became of the events of schedule entries."""

    sync = blocking(dispatching.get_sync)
    dead_letters = blocking(dispatching.list_dead_letters)
    retry = blocking(dispatching.retry_dead_letter)


class Keys(_Part):
    """API keys."""

    create = blocking(administration.create_api_key)
    list = blocking(administration.list_api_keys)
    revoke = blocking(administration.revoke_api_key)


class Tenants(_Part):
    """Tenants."""

    create = blocking(administration.create_tenant)
    list = blocking(administration.list_tenants)


class Feeds(_Part):
    """Calendar feeds of technicians."""

    create = blocking(boards.create_feed)
    list = blocking(boards.list_feeds)
    revoke = blocking(boards.revoke_feed)


class Patchbay:
    """A client whose calls block. Safe to share between threads.

    Args:
        target: Host and port of the server.
        api_key: Sent as `authorization: Bearer`. None: the server asks for none.
        tenant: Tenant of calls that name none: its id or slug. Empty: the key's only tenant.
        tls: None: TLS unless the target is on this machine. True, False or `TLS(...)` decide it.
        timeout: Seconds for ordinary calls.
        execute_timeout: Seconds for `execute`, waiting included.
        outage: Seconds for which a lost server is asked again before `Unavailable` is raised. 0: not at all.
        options: Further channel arguments of gRPC.
        channel: A channel to use instead of making one; the caller closes it.
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
        channel: grpc.Channel | None = None,
    ) -> None:
        session = Session(tenant=tenant, timeout=timeout, execute_timeout=execute_timeout, outage=outage)
        self._owned = channel is None
        channel = channel or _open(target, tls_for(target, tls), options)
        self._runner = Runner(channel, session, metadata_for(api_key))
        self.executions = Executions(self._runner)
        self.connections = Connections(self._runner)
        self.directory = Directory(self._runner)
        self.dispatch = Dispatch(self._runner)
        self.keys = Keys(self._runner)
        self.tenants = Tenants(self._runner)
        self.feeds = Feeds(self._runner)

    execute = blocking(executing.execute)
    validate = blocking(executions.validate)
    catalog = blocking(administration.get_catalog)
    action = blocking(administration.get_action)
    options = blocking(administration.list_field_options)
    board = blocking(boards.get_board)

    def watch(
        self, *, tenant: str | None = None, resume_from: str = "", heartbeats: bool = False
    ) -> Iterator[v1.WatchCatalogResponse]:
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
                with closing(self._runner.stream(call)) as events:
                    for event in events:
                        cursor.saw(event)
                        if heartbeats or event.heartbeat is None:
                            yield event
            except CallRefused as refused:
                lost = refused
            self._runner.sleep(cursor.lost(lost))

    def close(self) -> None:
        """Closes the channel, unless it was given."""
        if self._owned:
            self._runner.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(target: str, tls: TLS | None, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
    arguments = channel_options(tls, options)
    if tls is None:
        return grpc.insecure_channel(target, arguments)
    return grpc.secure_channel(target, tls.credentials(), arguments)
