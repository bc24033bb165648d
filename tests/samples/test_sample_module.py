"""A module from another package: built, installed, found through its entry point, executed over gRPC."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import grpc
import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.v1 import catalog_pb2, executor_pb2
from tests.samples.conftest import SAMPLE, Process, environment
from tests.support.served import TENANT, Caller, set_up

pytestmark = pytest.mark.anyio

GEN = Path("patchbay_statusboard/gen")
LIST, OPEN = "statusboard.components.list", "statusboard.incidents.open"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"sample_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def vendor() -> Iterator[SandboxServer]:
    """The sample's own small vendor."""
    with SandboxServer(_load(SAMPLE / "tests" / "vendor.py").create_app()) as server:
        yield server


@pytest.fixture
async def caller(serving: Process) -> AsyncIterator[Caller]:
    """Calls the server that runs from the installed packages."""
    made = Caller(serving.target)
    yield made
    await made.close()


@pytest.fixture
async def connected(caller: Caller, vendor: SandboxServer) -> Caller:
    """The same, with the tenant connected to the vendor."""
    settings = {"instance_url": vendor.url, "token": SandboxControl(vendor.url).credentials()["token"]}
    await set_up(caller, "statusboard", settings)
    return caller


def test_generated_code_of_the_sample_is_up_to_date(installed: Path, tmp_path: Path) -> None:
    """The sample's generator, run against the installed server, gives exactly what is committed."""
    command = [sys.executable, str(SAMPLE / "generate.py"), "--into", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment(installed), timeout=60)
    assert _tree(tmp_path / GEN) == _tree(SAMPLE / GEN), "run `python examples/sample_module/generate.py`"


def test_the_samples_own_tests_pass(installed: Path, checkout: Path) -> None:
    """The tests that the sample brings pass against the installed packages: its own, and the conformance suite."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, check=False, cwd=checkout, env=environment(installed), capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 60, done.stdout


async def test_the_catalog_has_the_module(caller: Caller, connected: Caller) -> None:
    """A server that was never told of the module lists it, with the comments of its proto."""
    answer = await caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    group = next(group for group in answer.groups if group.group_key == "app:statusboard")
    assert group.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    told = {action.id: action.description for action in group.actions}
    assert told[LIST] == "Lists components by name, in any state or in one."
    assert set(told) == {LIST, OPEN}


async def test_both_actions_run_over_grpc(connected: Caller, vendor: SandboxServer) -> None:
    """The READ action answers the vendor's components; the write happens once for two calls with one key."""
    listed = await connected.execute(LIST, {"query": "remote"})
    assert listed.state == executor_pb2.EXECUTION_STATE_SUCCEEDED, listed.failure
    (component,) = listed.output.json["components"]
    assert component["name"] == "Remote access"
    order = {"component_id": component["id"], "title": "Nobody gets in"}
    first = await connected.execute(OPEN, order, "sample-1")
    again = await connected.execute(OPEN, order, "sample-1")
    assert (first.state, first.replayed) == (executor_pb2.EXECUTION_STATE_SUCCEEDED, False)
    assert (again.id, again.replayed) == (first.id, True)
    assert SandboxControl(vendor.url).effects().count("incident") == 1


async def test_the_modules_own_service_is_served(connected: Caller) -> None:
    """The module's rpc can be called directly, with the tenant in the metadata."""
    call = connected.channel.unary_unary("/statusboard.v1.Statusboard/ListComponents")(
        b"", timeout=30, metadata=(("x-patchbay-tenant", TENANT),)
    )
    answer = await call
    trailers = dict(await call.trailing_metadata())
    assert (await call.code(), trailers["x-patchbay-state"]) == (grpc.StatusCode.OK, "SUCCEEDED")
    assert b"Remote access" in answer


def test_programs_run_from_the_wheels(installed: Path) -> None:
    """The installed packages hide the working tree, and the wheel carries descriptors and migrations."""
    program = "import server, patchbay_client, patchbay_statusboard as s; print(server.__file__, s.__file__)"
    command = [sys.executable, "-c", program]
    told = subprocess.run(
        command, check=True, cwd=installed, env=environment(installed), capture_output=True, text=True
    )
    assert all(Path(file).is_relative_to(installed) for file in told.stdout.split())
    assert (installed / "server" / "gen" / "descriptors.binpb").exists()
    assert list((installed / "server" / "store" / "migrations").glob("*.sql"))
