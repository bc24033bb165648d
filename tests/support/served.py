"""Servers for tests: in this process on the test's own loop, in a thread, and in processes of their own.

`lab`              the lab's vendor behind its control plane, reset before each test.
`served`           a server in this process with the lab and all modules, tenant `acme` connected to the lab.
`replicas`         makes server processes on the test's database; they are killed at the end.
`patchbay_server`  a server in a thread with a sandbox Tactical RMM, tenant `acme` connected; for blocking tests.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app as create_tactical
from server.app import ServerHandle, running_server
from server.composition import all_modules
from server.core.registry import Registry
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, directory_pb2, dispatch_pb2, executor_pb2, identity_pb2
from server.sdk import Registrar
from server.settings import Settings
from tests.support import lab as lab_module
from tests.support import lab_vendor, oauth_lab
from tests.support.paths import ROOT
from tests.support.postgres import Fresh

SERVICES: dict[str, ServiceDescriptor] = {
    name: file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (executor_pb2, "ActionExecutor"),
        (catalog_pb2, "Catalog"),
        (connections_pb2, "Connections"),
        (directory_pb2, "Directory"),
        (dispatch_pb2, "Dispatch"),
        (identity_pb2, "Identity"),
    )
}
LOOPBACK = connections_pb2.EgressGrant(private_networks=["127.0.0.0/8"], plain_http=True)
TENANT = "acme"


def everything(registrar: Registrar) -> None:
    """Registers all modules and the labs."""
    all_modules(registrar)
    lab_module.register(registrar)
    oauth_lab.register(registrar)


def registered() -> Registry:
    """Returns a registry of everything."""
    registry = Registry()
    everything(registry)
    return registry


def struct(value: dict[str, Any]) -> Struct:
    """Returns a Struct."""
    made = Struct()
    made.update(value)
    return made


class Caller:
    """Calls our services by name over one channel: `await caller("ActionExecutor/GetExecution", request)`.

    `apart`: on a connection of its own; gRPC otherwise shares one between channels to the same address.
    """

    def __init__(
        self, target: str, api_key: str = "", *, tls: grpc.ChannelCredentials | None = None, apart: bool = False
    ) -> None:
        self.target = target
        options = [("grpc.use_local_subchannel_pool", int(apart))]
        self.channel = (
            grpc.aio.secure_channel(target, tls, options) if tls else grpc.aio.insecure_channel(target, options)
        )
        self.metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()

    async def __call__(self, rpc: str, request: Message, timeout: float = 30.0, **headers: str) -> Any:
        """Makes one unary call."""
        service, method = rpc.split("/")
        descriptor = SERVICES[service].methods_by_name[method]
        parse = message_factory.GetMessageClass(descriptor.output_type).FromString
        path = f"/{SERVICES[service].full_name}/{method}"
        stub = self.channel.unary_unary(path, type(request).SerializeToString, parse)
        metadata = (*self.metadata, *((name.replace("_", "-"), value) for name, value in headers.items()))
        return await stub(request, timeout=timeout, metadata=metadata)

    async def execute(
        self, action: str, input: dict[str, Any], key: str = "", *, timeout: float = 30.0, **fields: Any
    ) -> executor_pb2.Execution:
        """Executes an action for the tenant and returns the execution."""
        fields.setdefault("tenant", TENANT)
        request = executor_pb2.ExecuteActionRequest(
            action=action, input=executor_pb2.Payload(json=struct(input)), idempotency_key=key, **fields
        )
        answer = await self("ActionExecutor/ExecuteAction", request, timeout)
        execution: executor_pb2.Execution = answer.execution
        return execution

    async def execution(self, key: str = "", *, id: str = "", wait: float = 0.0) -> executor_pb2.Execution:
        """Reads an execution by key or id."""
        request = executor_pb2.GetExecutionRequest(tenant=TENANT)
        if id:
            request.id = id
        else:
            request.idempotency_key = key
        request.wait.FromMilliseconds(round(wait * 1000))
        answer = await self("ActionExecutor/GetExecution", request)
        execution: executor_pb2.Execution = answer.execution
        return execution

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()


async def set_up(caller: Caller, provider: str, settings: dict[str, Any], tenant: str = TENANT) -> None:
    """Creates a tenant and connects it."""
    await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=tenant))
    request = connections_pb2.ConnectRequest(
        tenant=tenant, provider=provider, settings=struct(settings), grant=LOOPBACK
    )
    answer = await caller("Connections/Connect", request)
    assert not answer.HasField("failure"), answer.failure


@dataclass
class Lab:
    """The lab's vendor."""

    url: str
    control: SandboxControl

    @property
    def settings(self) -> dict[str, str]:
        """What a connection to it needs."""
        return {"instance_url": self.url, "token": lab_vendor.TOKEN}

    def posts(self) -> int:
        """How many things were posted."""
        return self.control.effects().count("post")

    def hold(self, method: str) -> Callable[[], object]:
        """Holds the answer to the next request of a method back, after its effect; returns what lets it go."""
        return partial(self.control.remove_fault, self.control.add_fault("hang", method=method, path_regex="^/things"))


@pytest.fixture(scope="session")
def lab_server() -> Iterator[Lab]:
    """The lab's vendor for the whole run."""
    with SandboxServer(lab_vendor.create_app()) as server:
        yield Lab(server.url, SandboxControl(server.url))


@pytest.fixture
def lab(lab_server: Lab) -> Lab:
    """The lab's vendor, as new."""
    lab_server.control.reset()
    return lab_server


@dataclass
class Served:
    """A server in this process with a connected tenant."""

    handle: ServerHandle
    caller: Caller
    lab: Lab
    fresh: Fresh

    async def execute(self, action: str, input: dict[str, Any], key: str = "", **more: Any) -> executor_pb2.Execution:
        """Executes an action of the lab."""
        return await self.caller.execute(f"lab.things.{action}", input, key, **more)


def settings_for(fresh: Fresh, folder: Path, **changes: Any) -> Settings:
    """Settings of a server on a test's database."""
    return Settings(
        **{"listen": "127.0.0.1:0", "database_url": fresh.dsn, "data_dir": folder, "drain_seconds": 5.0, **changes}
    )


@asynccontextmanager
async def serving(settings: Settings, lab: Lab, fresh: Fresh) -> AsyncIterator[Served]:
    """Runs a server in this process, with the tenant connected to the lab."""
    async with AsyncExitStack() as stack:
        handle = await stack.enter_async_context(running_server(settings, everything))
        caller = Caller(handle.target)
        stack.push_async_callback(caller.close)
        await set_up(caller, "lab", lab.settings)
        yield Served(handle, caller, lab, fresh)


@pytest.fixture
async def served(lab: Lab, fresh: Fresh, tmp_path: Path) -> AsyncIterator[Served]:
    """A server in this process on the test's own database."""
    async with serving(settings_for(fresh, tmp_path), lab, fresh) as running:
        yield running


@dataclass
class Replica:
    """A server process."""

    process: "subprocess.Popen[bytes]"
    target: str
    log: Path

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Sends a signal and waits for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@dataclass
class Replicas:
    """Server processes on one database."""

    fresh: Fresh
    folder: Path
    started: list[Replica] = field(default_factory=list)

    def start(self, program: str = "tests.support.serve", **settings: Any) -> Replica:
        """Starts a process and returns when it answers. `program` calls `serve` of `tests.support.serve`."""
        number = len(self.started)
        target_file, log = self.folder / f"target-{number}", self.folder / f"log-{number}"
        environment = {
            **os.environ,
            "PATCHBAY_DATABASE_URL": self.fresh.dsn,
            "PATCHBAY_DATA_DIR": str(self.folder),
            "PATCHBAY_LISTEN": "127.0.0.1:0",
            "TARGET_FILE": str(target_file),
            **{f"PATCHBAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        with log.open("wb") as output:
            command = [sys.executable, "-m", program]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=output, stdout=output)
        deadline = time.monotonic() + 30
        while not target_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        replica = Replica(process, target_file.read_text(), log)
        self.started.append(replica)
        return replica

    def end(self) -> None:
        """Kills what still runs."""
        for replica in self.started:
            if replica.process.poll() is None:
                replica.kill()


@pytest.fixture
def replicas(fresh: Fresh, tmp_path: Path) -> Iterator[Replicas]:
    """Makes server processes on the test's database."""
    made = Replicas(fresh, tmp_path)
    yield made
    made.end()


class ThreadedServer:
    """A server on a loop of its own in a thread; for tests that block."""

    def __init__(self, settings: Settings, prepare: Callable[[str], Any]) -> None:
        self._settings = settings
        self._prepare = prepare
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="patchbay", daemon=True)
        self.handle: ServerHandle | None = None
        self.prepared: Any = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._stack = AsyncExitStack()
        opening = self._stack.enter_async_context(running_server(self._settings, everything))
        self.handle = asyncio.run_coroutine_threadsafe(opening, self._loop).result(60)
        self.prepared = asyncio.run_coroutine_threadsafe(self._prepare(self.handle.target), self._loop).result(60)
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class PatchbayServer:
    """What blocking tests need: address, an operator's key, tenant, the sandbox behind it."""

    target: str
    api_key: str
    tenant: str
    sandbox: SandboxControl
    sandbox_url: str


async def _prepare_tactical(target: str, url: str, api_key: str) -> str:
    caller = Caller(target)
    await set_up(caller, "tacticalrmm", {"instance_url": url, "api_key": api_key})
    request = identity_pb2.CreateApiKeyRequest(label="tests", permissions=["*"])
    answer = await caller("Identity/CreateApiKey", request)
    await caller.close()
    return str(answer.secret)


@pytest.fixture
def patchbay_server(fresh: Fresh, tmp_path: Path) -> Iterator[PatchbayServer]:
    """A server in a thread, its tenant connected to a sandbox Tactical RMM."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxServer(create_tactical()))
        control = SandboxControl(sandbox.url)
        key = control.credentials()["api_key"]
        server = ThreadedServer(
            settings_for(fresh, tmp_path), lambda target: _prepare_tactical(target, sandbox.url, key)
        )
        stack.enter_context(server)
        assert server.handle is not None
        yield PatchbayServer(server.handle.target, server.prepared, TENANT, control, sandbox.url)
