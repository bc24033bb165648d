"""The asyncio client over real gRPC: details on the wire, a server that comes back, streams, cancelling."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from patchbay_client import AsyncPatchbay, Execution, Patchbay, errors

from server.gen.patchbay.v1 import catalog_pb2
from server.gen.patchbay.v1 import executor_pb2 as pb
from tests.client.playing import because, trailers

pytestmark = pytest.mark.anyio
CODE = grpc.StatusCode
ID = "11111111-1111-4111-8111-111111111111"


class Peer(grpc.GenericRpcHandler):
    """The other end of the wire: answers each call with what the test puts in."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[bytes, grpc.aio.ServicerContext], Any]] = {}
        self.calls: list[tuple[str, bytes]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Finds the handler of a call."""
        name = details.method.rpartition("/")[2]
        if name == "WatchCatalog":
            return grpc.unary_stream_rpc_method_handler(self._streamed(name))
        return grpc.unary_unary_rpc_method_handler(self._single(name))

    def _single(self, name: str) -> Any:
        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            self.calls.append((name, request))
            return (await self.answers[name](request, context)).SerializeToString()

        return answer

    def _streamed(self, name: str) -> Any:
        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            self.calls.append((name, request))
            async for event in self.answers[name](request, context):
                yield event.SerializeToString()

        return answer


@asynccontextmanager
async def serving(peer: Peer, port: int = 0) -> AsyncIterator[int]:
    """Serves a peer on a loopback port."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((peer,))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def succeed(request: bytes, context: grpc.aio.ServicerContext) -> pb.ExecuteActionResponse:
    """Answers with a success that tells the key back."""
    asked = pb.ExecuteActionRequest.FromString(request)
    execution = pb.Execution(id=ID, state=pb.EXECUTION_STATE_SUCCEEDED, idempotency_key=asked.idempotency_key)
    execution.output.json.update({"tenant": asked.tenant})
    return pb.ExecuteActionResponse(execution=execution)


async def test_execute() -> None:
    """Both clients bring the same execution back over the wire."""
    peer = Peer()
    peer.answers["ExecuteAction"] = succeed
    async with serving(peer) as port, AsyncPatchbay(f"127.0.0.1:{port}", tenant="acme") as patchbay:
        awaited = await patchbay.execute("a.b", {"n": 1}, run="r", step="s")
        with Patchbay(f"127.0.0.1:{port}", tenant="acme") as blocking:
            blocked = await asyncio.to_thread(blocking.execute, "a.b", {"n": 1}, run="r", step="s")
    assert awaited == blocked
    assert awaited.output == {"tenant": "acme"}
    assert peer.calls[0] == peer.calls[1]


async def executed(target: str, *, blocking: bool) -> Execution:
    """Executes with one of the clients."""
    if blocking:
        with Patchbay(target) as client:
            return await asyncio.to_thread(client.execute, "a.b", {}, key="k")
    async with AsyncPatchbay(target) as patchbay:
        return await patchbay.execute("a.b", {}, key="k")


@pytest.mark.parametrize("blocking", [False, True])
async def test_details_cross_the_wire(blocking: bool) -> None:
    """The status details arrive in the trailing metadata of both clients."""

    async def refuse(request: bytes, context: grpc.aio.ServicerContext) -> pb.ExecuteActionResponse:
        found = trailers(CODE.ALREADY_EXISTS, "reused", because("IDEMPOTENCY_KEY_REUSED", remedy="New key."))
        await context.abort(CODE.ALREADY_EXISTS, "reused", found)

    peer = Peer()
    peer.answers["ExecuteAction"] = refuse
    async with serving(peer) as port:
        with pytest.raises(errors.KeyReused) as caught:
            await executed(f"127.0.0.1:{port}", blocking=blocking)
    assert (caught.value.reason, caught.value.remedy) == ("IDEMPOTENCY_KEY_REUSED", "New key.")


async def test_server_dies_and_comes_back() -> None:
    """A call in flight when its server dies attaches to the next server with the same key."""
    arrived = asyncio.Event()

    async def hang(request: bytes, context: grpc.aio.ServicerContext) -> pb.ExecuteActionResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError("never answers")

    first, second = Peer(), Peer()
    first.answers["ExecuteAction"] = hang
    second.answers["ExecuteAction"] = succeed
    async with serving(first) as port:
        patchbay = AsyncPatchbay(f"127.0.0.1:{port}")
        running = asyncio.create_task(patchbay.execute("a.b", {}, key="k-1"))
        await arrived.wait()
    async with serving(second, port), patchbay:
        execution = await running
    assert execution.key == "k-1"
    assert second.calls == first.calls


async def test_nobody_listens() -> None:
    """A port where nobody listens is unavailable, at once when no patience is wanted."""
    async with serving(Peer()) as port:
        pass
    async with AsyncPatchbay(f"127.0.0.1:{port}", outage=0.0) as patchbay:
        with pytest.raises(errors.Unavailable):
            await patchbay.catalog()


async def test_deadline() -> None:
    """The server sees the deadline that the caller gives, and the client's own when it gives none."""
    seen: list[float] = []

    async def note(request: bytes, context: grpc.aio.ServicerContext) -> pb.ExecuteActionResponse:
        seen.append(context.time_remaining())
        return await succeed(request, context)

    peer = Peer()
    peer.answers["ExecuteAction"] = note
    async with serving(peer) as port, AsyncPatchbay(f"127.0.0.1:{port}") as patchbay:
        await patchbay.execute("a.b", {}, key="k", timeout=1000.0)
        await patchbay.execute("a.b", {}, key="k")
    given, default = seen
    assert default < 400 < given < 1100  # gRPC rounds what it sends


async def test_cancelling_cancels_the_call() -> None:
    """Cancelling the awaiting task ends the call at the server."""
    arrived, left = asyncio.Event(), asyncio.Event()

    async def hang(request: bytes, context: grpc.aio.ServicerContext) -> pb.ExecuteActionResponse:
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError("never answers")

    peer = Peer()
    peer.answers["ExecuteAction"] = hang
    async with serving(peer) as port, AsyncPatchbay(f"127.0.0.1:{port}") as patchbay:
        running = asyncio.create_task(patchbay.execute("a.b", {}, key="k"))
        await arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await left.wait()


async def test_watch() -> None:
    """A watch goes on by itself after its stream broke, from the revision it had."""

    async def stream(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        asked = catalog_pb2.WatchCatalogRequest.FromString(request)
        number = int(asked.resume_from or "0") + 1
        event = catalog_pb2.WatchCatalogResponse(revision=str(number))
        event.change.group_key = f"app:{number}"
        yield event
        await context.abort(CODE.UNAVAILABLE, "gone")

    peer = Peer()
    peer.answers["WatchCatalog"] = stream
    seen = []
    async with serving(peer) as port, AsyncPatchbay(f"127.0.0.1:{port}") as patchbay:
        events = patchbay.watch()
        async for event in events:
            seen.append(event.change.group_key)
            if len(seen) == 3:
                break
        await events.aclose()
    assert seen == ["app:1", "app:2", "app:3"]
