"""The simulated Tactical RMM server where the recording does not reach: time, states, limits, refusals."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from tests.sandbox.conftest import Caller

HOST = "HD-DC01"
RUN = {"script": 3, "output": "wait", "args": [], "env_vars": [], "run_as_user": False, "timeout": 5}


def _filled(caller: Caller, host: str) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while caller.history(host)[-1]["script_results"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    results: dict[str, object] = caller.history(host)[-1]["script_results"]
    return results


def test_an_offline_agent_times_out_without_effect(caller: Caller) -> None:
    """The answer is the word timeout with status 200, the history row stays empty, nothing ran."""
    assert caller.run_script("HD-XRAY-03", timeout=1) == "timeout"
    assert caller.history("HD-XRAY-03")[0]["script_results"] is None
    assert caller.control.effects().total == 0


def test_a_slow_agent_times_out_and_reports_later(caller: Caller) -> None:
    """The answer is timeout, the effect is counted once, and the row is filled afterwards."""
    assert caller.run_script("HD-SLOW-05", timeout=1, args=["late"]) == "timeout"
    assert caller.control.effects().count("run_script") == 1
    assert _filled(caller, "HD-SLOW-05")["stdout"] == "late\n"


def test_a_script_beyond_its_limit_is_killed(caller: Caller) -> None:
    """The answer is timeout; the row tells exit code 98 and the limit of timeout plus three seconds."""
    assert caller.run_script(HOST, script=4, timeout=2, args=["sleep=60"]) == "timeout"
    results = _filled(caller, HOST)
    assert (results["retcode"], results["stderr"]) == (98, "Script timed out after 5 seconds")


def test_the_history_row_can_lag_behind_the_answer(caller: Caller) -> None:
    """With a lag the output is answered before the row holds it."""
    caller.control.patch_state(settings={"history_lag": 30.0})
    assert caller.run_script(HOST, args=["now"]) == "now\n"
    assert caller.history(HOST)[0]["script_results"] is None
    assert _filled(caller, HOST)["stdout"] == "now\n"


def test_history_keeps_the_newest_rows(caller: Caller) -> None:
    """The limit bounds the list; ids go on."""
    caller.control.patch_state(settings={"history_limit": 2})
    for _ in range(4):
        caller.run_script(HOST)
    assert [row["id"] for row in caller.history(HOST)] == [3, 4]


def test_a_script_obeys_its_arguments(caller: Caller) -> None:
    """Output, error text and exit code are what the arguments ask for."""
    assert caller.run_script(HOST, script=4, args=["stdout=out", "stderr=err", "exit=7"]) == "outerr"
    assert caller.history(HOST)[0]["script_results"]["retcode"] == 7


def test_templates_are_expanded_as_the_server_does(caller: Caller) -> None:
    """Names are quoted in arguments and bare in the environment; unknown templates stay."""
    caller.run_script(HOST, args=["{{agent.hostname}}", "{{global.x}}"], env_vars=["H={{client.name}}", "NOEQUALS"])
    detail = caller.control.effects().items[0]["detail"]
    assert detail["args"] == ["'HD-DC01'", "{{global.x}}"]
    assert detail["env_vars"] == ["H=Harbor Dental"]


def test_a_plain_string_of_arguments_falls_apart(caller: Caller) -> None:
    """The real server splits it into characters, and so does this one."""
    assert caller.run_script(HOST, args="abc") == "a b c\n"


@pytest.mark.parametrize(
    ("host", "text", "answer"),
    [
        (HOST, "echo one two", "one two\r\n"),
        ("BF-WEB01", "echo 'one two'", "one two\n"),
        ("BF-WEB01", "echo 'open", "'open\n"),
        ("BF-WEB01", "hostname", "BF-WEB01\n"),
        (HOST, "exit 3", ""),
        (HOST, "sleep 1", ""),
        ("BF-WEB01", "sleep 60", "\nTimed out after 5 seconds"),
        (HOST, "sleep 60", ""),
        ("BF-WEB01", "frobnicate x", "/bin/bash: line 1: frobnicate: command not found\n"),
    ],
)
def test_commands_do_the_usual_things(caller: Caller, host: str, text: str, answer: str) -> None:
    """Echo, sleep, exit and unknown commands answer as a shell's output would; only Unix tells of a kill."""
    assert caller.command(host, text) == (200, answer)
    assert caller.control.effects().by_kind == {"run_command": 1}


def test_windows_answers_standard_error_alone(caller: Caller) -> None:
    """When a Windows command writes to standard error, its output is lost."""
    caller.control.patch_state(commands={"both": {"stdout": "out", "stderr": "err"}})
    assert caller.command(HOST, "both") == (200, "err")
    assert caller.command("BF-WEB01", "both") == (200, "outerr")


@pytest.mark.parametrize(
    ("nats", "run", "command"),
    [("down", "natsdown", (200, "natsdown")), ("up", "timeout", (400, "Unable to contact the agent"))],
)
def test_a_bus_that_is_down_differs_from_a_silent_agent(
    caller: Caller, nats: str, run: str, command: tuple[int, str]
) -> None:
    """Both are 200 for a script; for a command one is 200 and the other 400."""
    caller.control.patch_state(settings={"nats": nats})
    assert caller.run_script("HD-XRAY-03", timeout=1) == run
    assert caller.command("HD-XRAY-03", "echo x", timeout=1) == command
    assert caller.control.effects().total == 0


def test_forget_promises_even_when_nothing_can_be_sent(caller: Caller) -> None:
    """With the bus down the success sentence comes all the same, and nothing runs."""
    caller.control.patch_state(settings={"nats": "down"})
    assert caller.run_script(HOST, output="forget") == "Echo will now be run on HD-DC01"
    assert caller.control.effects().total == 0


def test_every_reboot_is_an_effect(caller: Caller) -> None:
    """Two calls reboot twice: the vendor has no idempotency; an offline agent is not rebooted."""
    for _ in range(2):
        assert caller.call("POST", f"/agents/{caller.agents[HOST]}/reboot/") == (200, '"ok"')
    status, text = caller.call("POST", f"/agents/{caller.agents['HD-XRAY-03']}/reboot/")
    assert (status, text) == (400, '"Unable to contact the agent"')
    assert caller.control.effects().by_kind == {"reboot": 2}


@pytest.mark.parametrize("field", sorted(RUN))
def test_a_missing_field_crashes_the_server(caller: Caller, field: str) -> None:
    """The answer is an HTML 500 and no script starts."""
    body = {name: value for name, value in RUN.items() if name != field}
    status, text = caller.call("POST", f"/agents/{caller.agents[HOST]}/runscript/", body)
    assert (status, "Server Error (500)" in text) == (500, True)
    assert caller.control.effects().total == 0


@pytest.mark.parametrize("body", ["[]", '"x"', "7"])
def test_a_body_that_is_no_object_crashes_the_server(caller: Caller, body: str) -> None:
    """JSON of another kind than an object is an HTML 500."""
    assert caller.call("POST", f"/agents/{caller.agents[HOST]}/cmd/", body)[0] == 500


def test_a_key_can_lose_its_rights(caller: Caller) -> None:
    """Changed roles, expired keys and inactive users are refused at once."""
    path = f"/agents/{caller.agents[HOST]}/runscript/"
    caller.control.patch_state(roles={"workflow": {"permissions": ["can_list_agents"]}})
    assert caller.call("POST", path, RUN)[0] == 403
    assert caller.call("GET", "/agents/")[0] == 200
    caller.control.patch_state(keys={"demo": {"expiry": 1.0}})
    assert caller.call("GET", "/agents/") == (401, '{"detail":"The token has expired."}')
    caller.control.patch_state(keys={"demo": {"expiry": None}}, users={"workflow": {"active": False}})
    assert caller.call("GET", "/agents/") == (401, '{"detail":"User inactive or deleted."}')
    assert caller.control.effects().total == 0


def test_a_role_sees_only_its_clients(caller: Caller) -> None:
    """Lists are cut to the role's clients, other agents are a 403, and clients and sites follow."""
    caller.control.patch_state(roles={"workflow": {"clients": [2]}})
    seen = {row["hostname"] for row in json.loads(caller.call("GET", "/agents/")[1])}
    assert seen == {"BF-WEB01", "BF-DB01", "BF-STUDIO-08"}
    assert caller.call("GET", f"/agents/{caller.agents[HOST]}/")[0] == 403
    assert [row["name"] for row in json.loads(caller.call("GET", "/clients/")[1])] == ["Birch Farms"]


def test_a_password_login_needs_its_code(caller: Caller) -> None:
    """An account with TOTP logs in with password and code, uses its token, and loses it at logout."""
    user = next(one for one in caller.control.credentials()["users"] if one["totp_secret"])
    login = {"username": user["username"], "password": user["password"]}
    json_only = {"Content-Type": "application/json"}
    assert caller.call("POST", "/v2/checkcreds/", login, headers=json_only) == (200, '{"totp":true}')
    code = pyotp.TOTP(user["totp_secret"]).now()
    status, text = caller.call("POST", "/v2/login/", {**login, "twofactor": code}, headers=json_only)
    assert status == 200
    token = {"Authorization": f"Token {json.loads(text)['token']}"}
    assert caller.call("GET", "/core/version/", headers=token) == (200, '"0.0.203"')
    assert caller.call("POST", "/logout/", headers=token) == (204, "")
    assert caller.call("GET", "/core/version/", headers=token)[0] == 401


def test_a_reset_ends_password_sessions(caller: Caller) -> None:
    """Tokens live in the world: after a reset they are unknown, and the account logs in again."""
    user = next(one for one in caller.control.credentials()["users"] if not one["totp_secret"])
    login = {"username": user["username"], "password": user["password"]}
    _, text = caller.call("POST", "/v2/checkcreds/", login, headers={"Content-Type": "application/json"})
    token = {"Authorization": f"Token {json.loads(text)['token']}"}
    assert caller.call("GET", "/core/version/", headers=token)[0] == 200
    caller.control.reset()
    assert caller.call("GET", "/core/version/", headers=token) == (401, '{"detail":"Invalid token."}')


def test_password_logins_are_throttled(caller: Caller) -> None:
    """The eleventh anonymous call within a minute is a 429 that says when to come back."""
    body, plain = {"username": "x", "password": "y"}, {"Content-Type": "application/json"}
    answers = [caller.call("POST", "/v2/checkcreds/", body, headers=plain) for _ in range(11)]
    assert [status for status, _ in answers] == [400] * 10 + [429]
    assert answers[-1][1].startswith('{"detail":"Request was throttled. Expected available in ')
    assert caller.call("GET", "/agents/")[0] == 200


def test_bulk_runs_reach_every_matching_agent(caller: Caller) -> None:
    """A script for a client's Linux agents runs once on each of them and leaves a row."""
    caller.control.patch_state(roles={"workflow": {"superuser": True}})
    body = {"mode": "script", "target": "client", "client": 2, "monType": "all", "osType": "linux", "script": 2}
    rest = {"args": [], "env_vars": [], "timeout": 60, "run_as_user": False}
    status, text = caller.call("POST", "/agents/actions/bulk/", {**body, **rest})
    assert (status, "2 agents" in text) == (200, True)
    assert _filled(caller, "BF-WEB01")["retcode"] == 0
    assert _filled(caller, "BF-DB01")["retcode"] == 0
    assert caller.control.effects().by_kind == {"run_script": 2}


def test_ten_concurrent_runs_are_ten_effects(caller: Caller) -> None:
    """Runs that overlap keep their own rows and outputs."""

    def run(number: int) -> str:
        return str(caller.run_script(HOST, script=4, args=["sleep=3", f"stdout={number}"]))

    with ThreadPoolExecutor(10) as pool:
        outputs = list(pool.map(run, range(10)))
    assert outputs == [str(number) for number in range(10)]
    rows = {row["id"]: row["script_results"]["stdout"] for row in caller.history(HOST)}
    assert len(rows) == 10
    details = [item["detail"] for item in caller.control.effects().items]
    assert {detail["history_id"]: detail["args"][1] for detail in details} == {
        row_id: f"stdout={text}" for row_id, text in rows.items()
    }


def test_an_agent_can_be_edited(caller: Caller) -> None:
    """Good values show in list and detail, a bad one is a 400 that names the field and changes nothing."""
    caller.control.patch_state(roles={"workflow": {"superuser": True}})
    path = f"/agents/{caller.agents[HOST]}/"
    done = (200, '"The agent was updated successfully"')
    assert caller.call("PUT", path, {"maintenance_mode": "true", "description": "till", "site": 2}) == done
    detail = json.loads(caller.call("GET", path)[1])
    assert (detail["maintenance_mode"], detail["description"], detail["site_name"]) == (True, "till", "Annex")
    status, text = caller.call("PUT", path, {"site": 99, "description": "never"})
    assert (status, json.loads(text)) == (400, {"site": ['Invalid pk "99" - object does not exist.']})
    assert caller.call("PUT", path, {"overdue_time": "x"})[0] == 400
    assert json.loads(caller.call("GET", path)[1])["description"] == "till"


def test_the_beta_api_is_off_by_default(caller: Caller) -> None:
    """Its paths are an HTML 404 until the switch is set, and then show agents beyond the role's clients."""
    assert caller.call("GET", "/beta/v1/agent/")[0] == 404
    assert caller.call("GET", "/beta/v1/agent")[0] == 404
    caller.control.patch_state(settings={"beta": True}, roles={"workflow": {"clients": [2]}})
    assert json.loads(caller.call("GET", "/beta/v1/agent/?page_size=3&page=2")[1])["count"] == 8
    assert json.loads(caller.call("GET", "/beta/v1/agent/?page_size=3&page=3")[1])["next"] is None


def test_a_policy_shows_only_when_there_is_one(caller: Caller) -> None:
    """The key is absent in rows of agents without a policy."""
    caller.control.patch_state(agents={HOST: {"policy": 7}})
    rows = {row["hostname"]: row for row in json.loads(caller.call("GET", "/agents/")[1])}
    assert rows[HOST]["policy"] == 7
    assert "policy" not in rows["HD-FRONT-02"]


def test_status_follows_the_agents_state(caller: Caller) -> None:
    """Online and slow agents are online; the moment last seen is older than the limit of the others."""
    rows = {row["hostname"]: row for row in json.loads(caller.call("GET", "/agents/")[1])}
    states = {name: rows[name]["status"] for name in (HOST, "HD-SLOW-05", "HD-XRAY-03", "HD-LAB-04")}
    assert list(states.values()) == ["online", "online", "offline", "overdue"]
    assert rows["HD-LAB-04"]["last_seen"] < rows["HD-XRAY-03"]["last_seen"] < rows[HOST]["last_seen"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "[::1]:80", ""])
def test_a_foreign_host_name_is_refused(caller: Caller, host: str) -> None:
    """Before any login, the answer is an HTML 400."""
    status, text = caller.call("GET", "/agents/", headers={"Host": host})
    assert (status, "Bad Request (400)" in text) == (400, True)


def test_scripts_hide_and_show(caller: Caller) -> None:
    """Hidden scripts appear on request, community scripts go on request, and 0 is no request."""

    def names(query: str) -> set[str]:
        return {row["name"] for row in json.loads(caller.call("GET", f"/scripts/{query}")[1])}

    assert "Old cleanup" not in names("")
    assert "Old cleanup" in names("?showHiddenScripts=true")
    assert "Flush DNS" in names("?showCommunityScripts=0")
    assert "Flush DNS" not in names("?showCommunityScripts=false")
