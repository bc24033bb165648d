"""The control plane: state, effects, requests, reset, credentials, and the server that carries it all."""

import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox.__main__ import vendors
from sandbox.client import AsyncSandboxControl, SandboxControl, SandboxRefused
from sandbox.control import seed_of
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from sandbox.tacticalrmm.vault import KEY_VARIABLE
from tests.sandbox.conftest import Caller

HOST = "HD-DC01"


def test_effects_are_counted_by_kind_and_can_be_filtered(caller: Caller) -> None:
    """Totals count everything, items follow the filters, each item tells what ran where."""
    caller.run_script(HOST, args=["a"])
    caller.run_script("HD-FRONT-02", args=["b"])
    caller.command(HOST, "echo hi")
    caller.call("POST", f"/agents/{caller.agents[HOST]}/reboot/")
    assert caller.control.effects().by_kind == {"run_script": 2, "run_command": 1, "reboot": 1}
    found = caller.control.effects(kind="run_script", target=caller.agents[HOST])
    assert (found.total, [item["detail"]["args"] for item in found.items]) == (4, [["a"]])


def test_requests_are_remembered_without_credentials(caller: Caller) -> None:
    """Keys and tokens appear as fingerprints behind their scheme, passwords and codes not at all."""
    caller.call("GET", "/core/version/")
    caller.call("GET", "/agents/?detail=false")
    user = caller.control.credentials()["users"][0]
    login = {"username": user["username"], "password": user["password"]}
    caller.call("POST", "/v2/checkcreds/", login, headers={"Authorization": "Token secret-token"})
    form = f"username=a&password={user['password']}"
    caller.call("POST", "/v2/checkcreds/", form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    first, second, third, fourth = caller.control.requests()
    assert first["headers"]["x-api-key"] == second["headers"]["x-api-key"]
    assert first["headers"]["x-api-key"].startswith("sha256:")
    assert (second["path"], second["query"], second["status"]) == ("/agents/", "detail=false", 200)
    text = json.dumps([first, second, third, fourth])
    for secret in (caller.key, user["password"], "secret-token"):
        assert secret not in text
    assert third["headers"]["authorization"].startswith("Token sha256:")
    assert third["status"] == 401


def test_a_long_body_is_remembered_cut(caller: Caller) -> None:
    """Of a body 4 KiB are kept."""
    caller.run_script(HOST, args=["x" * 10_000])
    assert len(caller.control.requests()[-1]["body"]) == 4096


def test_requests_are_limited_to_the_newest(caller: Caller) -> None:
    """The limit keeps the newest; numbers go on counting."""
    for _ in range(5):
        caller.call("GET", "/")
    assert [entry["seq"] for entry in caller.control.requests(limit=2)] == [4, 5]


def test_state_shows_no_credential(caller: Caller) -> None:
    """Neither the key nor a password nor a TOTP secret is part of the state."""
    credentials = caller.control.credentials()
    state = json.dumps(caller.control.state())
    secrets = [credentials["api_key"], *(user["password"] for user in credentials["users"])]
    secrets += [user["totp_secret"] for user in credentials["users"] if user["totp_secret"]]
    assert [secret for secret in secrets if secret in state] == []


def test_reset_returns_to_the_seed_and_keeps_the_key(caller: Caller) -> None:
    """World, faults, effects, requests and history start anew; the client's key stays valid."""
    seeded = create_app().simulator.snapshot()
    caller.run_script(HOST)
    caller.control.add_fault("status", times=0)
    caller.control.patch_state(agents={HOST: {"state": "offline"}}, add_clients=[{"name": "New"}])
    caller.control.reset()
    assert caller.control.state() == seeded
    assert (caller.control.faults(), caller.control.requests(), caller.control.effects().total) == ([], [], 0)
    assert caller.history(HOST) == []
    caller.run_script(HOST)
    assert caller.history(HOST)[0]["id"] == 1


def test_reset_forgets_what_still_runs(caller: Caller) -> None:
    """A script that is still running at the reset leaves no row in the new world."""
    caller.run_script(HOST, script=7, output="forget")
    assert caller.control.state()["running"] == 1
    caller.control.reset()
    assert caller.control.state()["running"] == 0


def test_patch_adds_and_changes_records(caller: Caller) -> None:
    """Agents and scripts can be added and changed by name, and are used at once."""
    caller.control.patch_state(
        add_agents=[{"agent_id": "A" * 40, "hostname": "NEW-01", "site": 1}],
        add_scripts=[{"name": "Shout", "behaviour": {"stdout": "HEY", "retcode": 4}}],
        scripts={"Echo": {"behaviour": {"stdout": "changed"}}},
    )
    caller.agents["NEW-01"] = "A" * 40
    added = [script["id"] for script in caller.control.state()["scripts"] if script["name"] == "Shout"]
    assert caller.run_script("NEW-01", script=added[0]) == "HEY"
    assert caller.run_script("NEW-01", script=3) == "changed"


@pytest.mark.parametrize(
    "changes",
    [
        {"agents": {"NOBODY": {"state": "offline"}}},
        {"agents": {HOST: {"state": "sleepy"}}},
        {"agents": {HOST: {"colour": "red"}}},
        {"settings": {"time_scale": "fast"}},
        {"settings": {"beta": 1}},
        {"weather": {}},
        {"add_weather": []},
        {"add_agents": [{"hostname": "X"}]},
        {"add_alerts": [{}]},
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(caller: Caller, changes: dict[str, object]) -> None:
    """A wish that cannot be fulfilled is a 400 and leaves even its possible parts undone."""
    before = caller.control.state()
    with pytest.raises(SandboxRefused, match="400"):
        caller.control.patch_state(settings_first=None, **changes)
    with pytest.raises(SandboxRefused, match="400"):
        caller.control.patch_state(add_clients=[{"name": "Possible"}], **changes)
    assert caller.control.state() == before


def test_the_demo_key_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment decides the demo key; without it each start makes another one."""
    assert create_app().simulator.credentials()["api_key"] != create_app().simulator.credentials()["api_key"]
    monkeypatch.setenv(KEY_VARIABLE, "GIVENKEY")
    assert create_app().simulator.credentials()["api_key"] == "GIVENKEY"


def test_the_demo_world_is_varied() -> None:
    """Eight agents of three platforms and four states, in two clients and three sites, and ten scripts or more."""
    seed = seed_of("tacticalrmm")
    assert (len(seed["agents"]), len(seed["clients"]), len(seed["sites"])) == (8, 2, 3)
    assert {agent.get("state", "online") for agent in seed["agents"]} == {"online", "offline", "overdue", "slow"}
    assert {agent.get("plat", "windows") for agent in seed["agents"]} == {"windows", "linux", "darwin"}
    assert len(seed["scripts"]) >= 10


@pytest.mark.anyio
async def test_the_asynchronous_ways_do_the_same() -> None:
    """Server and control work from a coroutine without blocking its loop."""
    async with SandboxServer(create_app()) as server:
        control = AsyncSandboxControl(server.url)
        assert await control.health() == {"ok": True, "simulator": "tacticalrmm"}
        fault = await control.add_fault("status", method="GET", status=500)
        assert [one["id"] for one in await control.faults()] == [fault]
        await control.remove_fault(fault)
        await control.patch_state(settings={"beta": True})
        assert (await control.state())["settings"]["beta"] is True
        await control.reset()
        await control.clear_faults()
        assert (await control.effects()).total == 0
        assert await control.requests() == []
        assert (await control.credentials())["api_key"]


def test_stopping_aborts_open_requests_and_frees_the_port() -> None:
    """A hanging client is let go, the thread ends, and a second server can take the port."""
    server = SandboxServer(create_app()).start()
    port = server.port
    caller = Caller(server)
    caller.control.add_fault("hang", path_regex="^/$")
    failed: list[type[BaseException]] = []

    def hang() -> None:
        try:
            caller.call("GET", "/")
        except (OSError, http.client.HTTPException) as error:
            failed.append(type(error))

    thread = threading.Thread(target=hang)
    thread.start()
    while not caller.control.requests():
        time.sleep(0.01)
    server.stop()
    server.stop()
    thread.join(timeout=20)
    assert len(failed) == 1
    with SandboxServer(create_app(), port=port) as second:
        assert SandboxControl(second.url).health()["ok"] is True


def test_two_servers_live_side_by_side() -> None:
    """Each server has its own world."""
    with SandboxServer(create_app()) as one, SandboxServer(create_app()) as two:
        Caller(one).run_script(HOST)
        assert SandboxControl(one.url).effects().total == 1
        assert SandboxControl(two.url).effects().total == 0


def test_the_command_line_serves_and_writes_its_port(tmp_path: Path) -> None:
    """`python -m sandbox tacticalrmm` answers on the port it wrote, and prints no secret."""
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "sandbox", "tacticalrmm", "--port-file", str(port_file), "--seed-demo"]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root)
    try:
        while not port_file.exists() and process.poll() is None:
            time.sleep(0.02)
        key = SandboxControl(f"http://127.0.0.1:{int(port_file.read_text())}").credentials()["api_key"]
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert output.startswith("tacticalrmm sandbox on http://127.0.0.1:")
    assert key not in output
    assert [path.name for path in tmp_path.iterdir()] == ["port"]


def test_vendors_are_found_by_their_folder() -> None:
    """The command line offers every simulator, and not the shared control plane."""
    assert "tacticalrmm" in vendors()
    assert "control" not in vendors()
