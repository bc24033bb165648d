"""The module as the server registers it."""

import ast
from pathlib import Path

import pytest

import server.modules.tacticalrmm as module
from sandbox.client import SandboxControl
from server.core.registry import Registry
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import ListScriptsRequest
from server.modules.tacticalrmm.actions import list_scripts
from tests.modules.harness import Connected

pytestmark = pytest.mark.anyio

FOLDER = Path(module.__file__).parent


def test_registering_binds_every_action_once() -> None:
    """Six actions, their handlers and the probe fit the contract; a second registration changes nothing."""
    registry = Registry()
    module.register(registry)
    module.register(registry)
    assert sorted(action.definition.id for action in registry.actions) == [
        "tacticalrmm.agents.find",
        "tacticalrmm.agents.get",
        "tacticalrmm.agents.reboot",
        "tacticalrmm.agents.run_command",
        "tacticalrmm.agents.run_script",
        "tacticalrmm.scripts.list",
    ]
    assert registry.provider("tacticalrmm") is registry.modules["app:tacticalrmm"]
    assert registry.action("tacticalrmm.agents.run_script").probe is not None
    assert registry.action("tacticalrmm.agents.reboot").sends_at_once
    assert not registry.action("tacticalrmm.agents.run_script").sends_at_once


def imports(path: Path) -> set[str]:
    """Returns the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_the_module_stays_in_its_room() -> None:
    """It imports the SDK, generated code and itself from the server; handlers know neither HTTP nor JSON nor SQL."""
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) <= 5
    ours = {name for file in files for name in imports(file) if name.partition(".")[0] in {"server", "sandbox"}}
    allowed = ("server.sdk", "server.gen", "server.modules.tacticalrmm")
    assert {name for name in ours if not name.startswith(allowed)} == set()
    assert imports(FOLDER / "actions.py").isdisjoint({"server.sdk.http", "json", "httpx", "aiohttp", "asyncpg"})


async def test_scripts_are_listed_by_name_without_hidden_ones(connected: Connected, vendor: SandboxControl) -> None:
    """Every visible script with what the vendor tells, sorted by name in any case; ids are text."""
    answer = await connected.run(list_scripts, ListScriptsRequest())
    assert [script.name for script in answer.scripts] == ["Clear temp", "disk report", "Endless", "Obey"]
    assert answer.count == 4
    first, second = answer.scripts[:2]
    assert (first.id, first.shell, first.category) == ("1", "powershell", "Maintenance")
    assert list(first.supported_platforms) == ["windows"]
    assert not first.HasField("description")
    assert second.description == "Free space"
    assert not second.HasField("category")
    assert vendor.effects().total == 0


@pytest.mark.parametrize(
    ("query", "limit", "names"),
    [("DISK", 0, ["disk report"]), ("e", 2, ["Clear temp", "disk report"]), ("attic", 0, []), ("", 1, ["Clear temp"])],
)
async def test_scripts_are_filtered_before_they_are_cut(
    connected: Connected, query: str, limit: int, names: list[str]
) -> None:
    """The text is looked for in the name in any case; the limit counts what was found."""
    request = ListScriptsRequest(query=query, limit=limit or None)
    answer = await connected.run(list_scripts, request)
    assert [script.name for script in answer.scripts] == names
    assert answer.count == len(names)


async def test_fields_that_are_null_are_unset(connected: Connected, vendor: SandboxControl) -> None:
    """Scripts may lack nearly everything."""
    vendor.patch_state(scripts={"1": {"description": None, "category": None, "supported_platforms": None}})
    (script,) = (await connected.run(list_scripts, ListScriptsRequest(query="clear"))).scripts
    assert (script.HasField("description"), script.HasField("category")) == (False, False)
    assert list(script.supported_platforms) == []
