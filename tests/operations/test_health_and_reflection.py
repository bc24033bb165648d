"""Health and reflection over real gRPC, as load balancers and command line tools use them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2 as pb

from server.gen.patchbay.v1 import executor_pb2
from tests.operations.service import Apart
from tests.support.served import Lab, Replicas, Served, registered, set_up

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
OURS = [
    f"patchbay.v1.{name}" for name in ("ActionExecutor", "Catalog", "Connections", "Directory", "Dispatch", "Identity")
]
MODULES = sorted(module.definition.service.full_name for module in registered().modules.values())
HEALTH = "grpc.health.v1.Health"
VERSIONS = ["v1", "v1alpha"]


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    """Asks for the health of a service; the empty name is the whole server."""
    request = health_pb2.HealthCheckRequest(service=service)
    answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    return int(answer.status)


@pytest.mark.parametrize("service", ["", *OURS, *MODULES])
async def test_everything_serves(served: Served, service: str) -> None:
    """The server as a whole, each of its services and each module's own are SERVING."""
    assert await health_of(served.caller.channel, service) == SERVING


async def test_health_of_what_does_not_exist(served: Served) -> None:
    """A service that is not there is NOT_FOUND, not unhealthy."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_of(served.caller.channel, "patchbay.v1.Nothing")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_draining_is_told_to_checks_and_watchers(replicas: Replicas, lab: Lab) -> None:
    """While a stopping server finishes its work, every service is NOT_SERVING; watchers of health are told at once."""
    replica = await asyncio.to_thread(replicas.start)
    caller = Apart(replica.target)
    await set_up(caller, "lab", lab.settings)
    watch = health_pb2_grpc.HealthStub(caller.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert (await watch.read()).status == SERVING
    hold = lab.control.add_fault("hang", method="POST", path_regex="^/things")
    call = asyncio.create_task(caller.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not lab.posts():
        await asyncio.sleep(0.02)
    replica.process.terminate()
    assert (await watch.read()).status == NOT_SERVING
    assert {await health_of(caller.channel, name) for name in ("", *OURS, *MODULES)} == {NOT_SERVING}
    lab.control.remove_fault(hold)
    assert (await call).state == executor_pb2.EXECUTION_STATE_SUCCEEDED
    assert await asyncio.to_thread(replica.process.wait, 30) == 0
    watch.cancel()
    await caller.close()


class Reflection:
    """One stream of a reflection service."""

    def __init__(self, channel: grpc.aio.Channel, version: str) -> None:
        method = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            pb.ServerReflectionRequest.SerializeToString,
            pb.ServerReflectionResponse.FromString,
        )
        self._stream = method(timeout=30)

    async def ask(self, **question: Any) -> pb.ServerReflectionResponse:
        """Asks one question."""
        await self._stream.write(pb.ServerReflectionRequest(**question))
        answer: pb.ServerReflectionResponse = await self._stream.read()
        return answer

    async def code(self) -> grpc.StatusCode:
        """Waits for the end of the stream without a question, and returns its status: a write may come too late."""
        code: grpc.StatusCode = await self._stream.code()
        return code

    async def files(self, symbol: str) -> dict[str, descriptor_pb2.FileDescriptorProto]:
        """Returns the file of a symbol and all files below it, as a tool needs them to make a call."""
        found, wanted = {}, [await self.ask(file_containing_symbol=symbol)]
        while wanted:
            answer = wanted.pop()
            assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
            for data in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                missing = [name for name in file.dependency if name not in found]
                found[file.name] = file
                wanted += [await self.ask(file_by_filename=name) for name in missing]
        return found

    def close(self) -> None:
        """Ends the stream."""
        self._stream.cancel()


@pytest.fixture(params=VERSIONS)
async def reflection(served: Served, request: pytest.FixtureRequest) -> AsyncIterator[Reflection]:
    """The reflection service of one version."""
    opened = Reflection(served.caller.channel, request.param)
    yield opened
    opened.close()


async def test_reflection_lists_every_service(reflection: Reflection) -> None:
    """Both versions list our services, the modules' own, health, and both versions of themselves."""
    answer = await reflection.ask(list_services="")
    names = {service.name for service in answer.list_services_response.service}
    itself = {f"grpc.reflection.{version}.ServerReflection" for version in VERSIONS}
    assert names == {*OURS, *MODULES, HEALTH, *itself}


@pytest.mark.parametrize(
    "symbol",
    [
        "patchbay.v1.ActionExecutor",
        "patchbay.v1.ActionExecutor.ExecuteAction",
        "patchbay.v1.ExecuteActionRequest",
        "patchbay.v1.ExecutionState",
        "patchbay.modules.tacticalrmm.v1.TacticalRmm.RunScript",
        "torture.lab.v1.Lab.PostThing",
        "grpc.health.v1.Health.Watch",
        "grpc.reflection.v1.ServerReflection",
    ],
)
async def test_reflection_describes(reflection: Reflection, symbol: str) -> None:
    """A service, a method, a message, an enum: the answer and the files below it make a whole descriptor pool."""
    pool = pooled(await reflection.files(symbol))
    parent, _, last = symbol.rpartition(".")
    if isinstance(service := found(pool, parent), ServiceDescriptor):
        assert last in service.methods_by_name
    else:
        assert found(pool, symbol) is not None


def pooled(files: dict[str, descriptor_pb2.FileDescriptorProto]) -> descriptor_pool.DescriptorPool:
    """Puts files into a pool of their own; fails when one refers to what is not there."""
    pool, added = descriptor_pool.DescriptorPool(), set[str]()

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for dependency in files[name].dependency:
                add(dependency)
            pool.AddSerializedFile(files[name].SerializeToString())

    for name in files:
        add(name)
    return pool


def found(pool: descriptor_pool.DescriptorPool, symbol: str) -> Any:
    """Returns a service, message or enum of a pool, None when it has none of that name."""
    for find in (pool.FindServiceByName, pool.FindMessageTypeByName, pool.FindEnumTypeByName):
        with suppress(KeyError):
            return find(symbol)
    return None


@pytest.mark.parametrize("symbol", ["patchbay.v1.Nothing", "patchbay.v1.ActionExecutor.Nothing", ""])
async def test_reflection_of_what_does_not_exist(reflection: Reflection, symbol: str) -> None:
    """An unknown symbol is answered with NOT_FOUND and the stream goes on."""
    answer = await reflection.ask(file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert (await reflection.ask(list_services="")).list_services_response.service


async def test_reflection_can_be_left_out(replicas: Replicas) -> None:
    """With `reflection` off neither version answers; health does."""
    replica = await asyncio.to_thread(replicas.start, reflection="false")
    caller = Apart(replica.target)
    for version in VERSIONS:
        assert await Reflection(caller.channel, version).code() == grpc.StatusCode.UNIMPLEMENTED
    assert await health_of(caller.channel) == SERVING
    await caller.close()
