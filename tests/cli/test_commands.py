"""Commands against a peer: requests, answers for people and machines, exit codes."""

import getpass
import json
import os
import signal
import subprocess
import sys

import grpc
import pytest
from google.rpc import error_details_pb2

from server.cli.exits import ExitCode
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, failure_pb2, identity_pb2, options_pb2
from server.gen.patchbay.v1 import executor_pb2 as pb
from tests.cli.peer import ID, Refuses, execution
from tests.client.playing import because

CODE = grpc.StatusCode


def definition(effect: int) -> catalog_pb2.GetActionResponse:
    """What GetAction tells about an action."""
    schema = {
        "properties": {"agent_id": {"type": "string", "description": "Id of the agent."}},
        "required": ["agent_id"],
    }
    action = catalog_pb2.ActionDefinition(
        summary=catalog_pb2.CatalogAction(id="a.b", version=2, label="Do it", description="Does it.", effect=effect),
        input=catalog_pb2.ActionSchema(
            hash="h", bundled_json=json.dumps({"$defs": {}}), inlined_json=json.dumps(schema)
        ),
        permission="a.b",
    )
    action.failures.add(reason="AGENT_OFFLINE", description="It did not answer.", remedy="Wait.")
    return catalog_pb2.GetActionResponse(action=action)


WRITES = definition(options_pb2.EFFECT_CLASS_NON_IDEMPOTENT)
READS = definition(options_pb2.EFFECT_CLASS_READ)


def succeeded(**output: object) -> pb.ExecuteActionResponse:
    """A success with an output."""
    answer = execution("SUCCEEDED")
    answer.execution.output.json.SetInParent()
    answer.execution.output.json.update(output)
    return answer


def failed(reason: str, state: str = "FAILED") -> pb.ExecuteActionResponse:
    """A failure."""
    failure = failure_pb2.Failure(reason=reason, message="what happened", effect="EFFECT_NONE")
    failure.remedy.text = "Do this."
    return execution(state, failure=failure)


ENDINGS = [
    (succeeded(n=1), ExitCode.OK),
    (failed("AGENT_OFFLINE"), ExitCode.ACTION_FAILED),
    (failed("OUTCOME_UNKNOWN", "UNKNOWN"), ExitCode.OUTCOME_UNKNOWN),
    (Refuses(CODE.INVALID_ARGUMENT, "no", because("INPUT_INVALID")), ExitCode.BAD_INPUT),
    (Refuses(CODE.ALREADY_EXISTS, "no", because("IDEMPOTENCY_KEY_REUSED")), ExitCode.BAD_INPUT),
    (Refuses(CODE.UNAUTHENTICATED, "no", because("CREDENTIALS_MISSING")), ExitCode.NOT_AUTHORIZED),
    (Refuses(CODE.PERMISSION_DENIED, "no", because("PERMISSION_DENIED")), ExitCode.NOT_AUTHORIZED),
    (Refuses(CODE.NOT_FOUND, "no", because("ACTION_UNKNOWN")), ExitCode.NOT_FOUND),
    (Refuses(CODE.INTERNAL, "no", because("INTERNAL")), ExitCode.SERVER_UNAVAILABLE),
    (Refuses(CODE.ABORTED, "no", because("EXECUTION_IN_FLIGHT")), ExitCode.STILL_RUNNING),
]


@pytest.mark.parametrize(("answer", "code"), ENDINGS, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("machine", [False, True])
def test_exit_codes(peer, patchbay, answer, code, machine) -> None:
    """Each way that an execution ends has its exit code, for people and for machines."""
    peer.tell("ExecuteAction", answer)
    ended = patchbay("execute", "a.b", "--key", "k", *(["--json"] if machine else []))
    assert ended.code == code
    if machine and code:
        assert ended.lines[-1]["error"]["exit_code"] == code


def test_still_running(peer, patchbay) -> None:
    """An execution that goes on when time is over ends with 7 and says how to look again."""
    peer.tell("ExecuteAction", execution("RUNNING"))
    peer.tell("GetExecution", pb.GetExecutionResponse(execution=execution("RUNNING").execution))
    ended = patchbay("execute", "a.b", "--key", "k", "--timeout", "0.3", "--json")
    assert ended.code == ExitCode.STILL_RUNNING
    assert ended.json["state"] == "EXECUTION_STATE_RUNNING"
    assert ID in ended.lines[-1]["error"]["remedy"]


def test_no_wait(peer, patchbay) -> None:
    """`--no-wait` asks once, and a running execution still ends with 7."""
    peer.tell("ExecuteAction", execution("RUNNING"))
    assert patchbay("execute", "a.b", "--key", "k", "--no-wait").code == ExitCode.STILL_RUNNING
    [request] = peer.asked("ExecuteAction")
    assert request.in_flight == pb.IN_FLIGHT_MODE_RETURN


def test_nobody_listens(patchbay, monkeypatch) -> None:
    """A server that is not there ends with 6 and says where to look."""
    monkeypatch.setenv("PATCHBAY_SERVER", "127.0.0.1:1")
    ended = patchbay("catalog", "--json")
    assert ended.code == ExitCode.SERVER_UNAVAILABLE
    assert "PATCHBAY_SERVER" in ended.lines[0]["error"]["remedy"]


def test_write_gets_a_key(peer, patchbay) -> None:
    """A key is made up for an action that changes something, shown on standard error, and is the one sent."""
    peer.tell("GetAction", WRITES)
    peer.tell("ExecuteAction", succeeded(n=1))
    ended = patchbay("execute", "a.b", "--input", '{"n": 1}')
    [request] = peer.asked("ExecuteAction")
    assert request.idempotency_key
    assert f"idempotency key: {request.idempotency_key}" in ended.err
    assert json.loads(ended.out) == {"n": 1}


def test_read_gets_no_key(peer, patchbay) -> None:
    """An action that only reads is sent without a key."""
    peer.tell("GetAction", READS)
    peer.tell("ExecuteAction", succeeded())
    ended = patchbay("execute", "a.b", "--json")
    assert peer.asked("ExecuteAction")[0].idempotency_key == ""
    assert ended.err == ""
    assert ended.json["output"] == {}


def test_key_without_the_right_to_look(peer, patchbay) -> None:
    """A caller who may execute but not look up actions gets a key, to be on the safe side."""
    peer.tell("GetAction", Refuses(CODE.PERMISSION_DENIED, "no", because("PERMISSION_DENIED")))
    peer.tell("ExecuteAction", succeeded())
    ended = patchbay("execute", "a.b", "--json")
    assert ended.lines[0]["idempotency_key"] == peer.asked("ExecuteAction")[0].idempotency_key != ""


def test_run_and_step(peer, patchbay) -> None:
    """Run and step make the key, and go along."""
    peer.tell("ExecuteAction", succeeded())
    for _ in range(2):
        patchbay("execute", "a.b", "--run", "r", "--step", "s")
    first, second = peer.asked("ExecuteAction")
    assert first.idempotency_key == second.idempotency_key != ""
    assert (first.run.run_id, first.run.step_path) == ("r", "s")


def test_violations_are_shown(peer, patchbay) -> None:
    """Fields at fault are named for people and listed for machines."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="input.agent_id", description="is missing", reason="required")
    peer.tell("ExecuteAction", Refuses(CODE.INVALID_ARGUMENT, "invalid", because("INPUT_INVALID"), bad))
    assert "input.agent_id: is missing" in patchbay("execute", "a.b", "--key", "k").err
    told = patchbay("execute", "a.b", "--key", "k", "--json").lines[0]["error"]
    assert told["violations"] == [{"field": "input.agent_id", "message": "is missing", "rule": "required"}]


@pytest.mark.parametrize("before", [False, True])
def test_shared_options(peer, patchbay, monkeypatch, tmp_path, before) -> None:
    """Tenant, key and JSON can stand before or after the command, and win over the environment."""
    file = tmp_path / "key"
    file.write_text("pb_file\n")
    monkeypatch.setenv("PATCHBAY_API_KEY", "pb_environment")
    monkeypatch.setenv("PATCHBAY_TENANT", "other")
    peer.tell("GetCatalog", catalog_pb2.GetCatalogResponse(etag="e"))
    shared = ["--tenant", "acme", "--api-key-file", str(file), "--json"]
    ended = patchbay(*shared, "catalog") if before else patchbay("catalog", *shared)
    assert ended.json["etag"] == "e"
    [(_, request, metadata)] = peer.calls
    assert request.tenant == "acme"
    assert metadata["authorization"] == "Bearer pb_file"


def test_environment(peer, patchbay, monkeypatch) -> None:
    """Without options the environment decides."""
    monkeypatch.setenv("PATCHBAY_API_KEY", "pb_environment")
    monkeypatch.setenv("PATCHBAY_TENANT", "acme")
    peer.tell("GetCatalog", catalog_pb2.GetCatalogResponse())
    patchbay("catalog")
    [(_, request, metadata)] = peer.calls
    assert (request.tenant, metadata["authorization"]) == ("acme", "Bearer pb_environment")


def test_catalog_for_people(peer, patchbay) -> None:
    """The catalog shows availability, remedy and actions; nothing in it can steer a terminal."""
    answer = catalog_pb2.GetCatalogResponse()
    group = answer.groups.add(group_key="app:x", label="Tool \x1b[31mX")
    group.availability.state = catalog_pb2.AVAILABILITY_STATE_UNAVAILABLE
    group.availability.message = "Not connected."
    group.availability.remedy.text = "Connect it."
    group.actions.add(id="x.y", version=1, label="Y", effect=options_pb2.EFFECT_CLASS_OPAQUE)
    peer.tell("GetCatalog", answer)
    shown = patchbay("catalog").out
    for text in ("not available: Not connected.", "Connect it.", "x.y", "OPAQUE", "Tool \\x1b[31mX"):
        assert text in shown
    assert "\x1b" not in shown


def test_describe(peer, patchbay) -> None:
    """An action is described with fields and failures; machines get both schemas as JSON."""
    peer.tell("GetAction", WRITES)
    shown = patchbay("describe", "a.b").out
    for text in ("a.b version 2: Do it", "NON_IDEMPOTENT", "agent_id", "yes", "Id of the agent.", "AGENT_OFFLINE"):
        assert text in shown
    assert patchbay("describe", "a.b", "--json").json["input"] == {"hash": "h", "schema": {"$defs": {}}}


def test_executions(peer, patchbay) -> None:
    """Executions are listed, shown, settled and cancelled."""
    told = failed("OUTCOME_UNKNOWN", "UNKNOWN").execution
    peer.tell("ListExecutions", pb.ListExecutionsResponse(executions=[told], next_page_token="t2"))
    peer.tell("GetExecution", pb.GetExecutionResponse(execution=told))
    peer.tell("ResolveExecution", pb.ResolveExecutionResponse(execution=told))
    peer.tell("CancelExecution", pb.CancelExecutionResponse(execution=told))
    listed = patchbay("executions", "list", "--state", "unknown", "--limit", "7")
    assert "OUTCOME_UNKNOWN" in listed.out
    assert "--page t2" in listed.err
    assert peer.asked("ListExecutions")[0].state == pb.EXECUTION_STATE_UNKNOWN
    assert patchbay("executions", "show", ID).code == 0
    assert patchbay("executions", "show", "--key", "k", "--json").json["id"] == ID
    assert patchbay("executions", "cancel", ID).code == 0
    settle = ("executions", "resolve", ID, "--verdict", "nothing-happened", "--reason", "looked")
    assert patchbay(*settle).code == 0
    assert peer.asked("ResolveExecution")[0].failed.effect == failure_pb2.EFFECT_NONE


def providers() -> connections_pb2.ListProvidersResponse:
    """One tool whose settings have a text, a secret, and a group with a secret."""
    secret = {"type": "string", "writeOnly": True, "title": "API key"}
    login = {"type": "object", "properties": {"username": {"type": "string"}, "password": {**secret, "title": "Pw"}}}
    schema = {
        "properties": {
            "instance_url": {"type": "string"},
            "api_key": secret,
            "login": login,
            "allow_templates": {"type": "boolean"},
        },
        "required": ["instance_url"],
    }
    answer = connections_pb2.ListProvidersResponse()
    provider = answer.providers.add(provider="tool", label="Tool")
    provider.settings.inlined_json = json.dumps(schema)
    return answer


CONNECTED = connections_pb2.ConnectResponse(connection=connections_pb2.Connection(provider="tool", active=True))


def test_connect_asks_for_secrets(peer, patchbay, monkeypatch) -> None:
    """At a terminal, secrets and what stands beside them are asked for; empty answers are left out."""
    peer.tell("ListProviders", providers())
    peer.tell("Connect", CONNECTED)
    hidden = {"API key (api_key): ": "planted", "Pw (login.password): ": ""}
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _prompt: "")
    monkeypatch.setattr("server.cli.settings_form.getpass", hidden.pop)
    options = ("--set", "instance_url=https://rmm.example.test", "--set", "allow_templates=true")
    ended = patchbay("connections", "connect", "tool", *options, "--private-network", "10.0.0.0/8")
    assert ended.code == 0
    assert hidden == {}
    assert "planted" not in ended.out + ended.err
    [request] = peer.asked("Connect")
    assert dict(request.settings) == {
        "instance_url": "https://rmm.example.test",
        "api_key": "planted",
        "allow_templates": True,
    }
    assert list(request.grant.private_networks) == ["10.0.0.0/8"]


def test_connect_reads_secrets_from_stdin(peer) -> None:
    """Without a terminal all settings come as JSON on standard input, and no secret is in the process's arguments."""
    peer.tell("ListProviders", providers())
    peer.tell("Connect", CONNECTED)
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "connections", "connect", "tool", "--settings", "-", "--json"],
        input='{"instance_url": "https://rmm.example.test", "api_key": "planted"}',
        env={**os.environ, "PATCHBAY_SERVER": peer.target},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["provider"] == "tool"
    assert peer.asked("Connect")[0].settings["api_key"] == "planted"
    assert "planted" not in done.stdout + done.stderr


def test_connect_needs_a_terminal_or_stdin(peer, patchbay, monkeypatch) -> None:
    """Without a terminal and without settings the command says how to give them."""
    peer.tell("ListProviders", providers())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    ended = patchbay("connections", "connect", "tool")
    assert ended.code == ExitCode.BAD_INPUT
    assert "--settings -" in ended.err


def test_connect_refused_by_vendor(peer, patchbay, tmp_path) -> None:
    """A vendor's refusal ends with 1 and its reason; an unknown tool with 4 and the known ones."""
    peer.tell("ListProviders", providers())
    failure = failure_pb2.Failure(reason="CREDENTIALS_REFUSED", message="no")
    peer.tell("Connect", connections_pb2.ConnectResponse(failure=failure))
    file = tmp_path / "settings.json"
    file.write_text('{"api_key": "planted"}')
    ended = patchbay("connections", "connect", "tool", "--settings", f"@{file}", "--json")
    assert ended.code == ExitCode.ACTION_FAILED
    assert ended.lines[0]["error"]["reason"] == "CREDENTIALS_REFUSED"
    missing = patchbay("connections", "connect", "other", "--settings", f"@{file}")
    assert missing.code == ExitCode.NOT_FOUND
    assert "there are: tool" in missing.err


def test_connections(peer, patchbay) -> None:
    """Connections are listed, tested and ended; providers are shown with their secret settings marked."""
    connection = connections_pb2.Connection(provider="tool", active=True, instance_url="https://rmm.example.test")
    peer.tell("ListConnections", connections_pb2.ListConnectionsResponse(connections=[connection]))
    peer.tell("TestConnection", connections_pb2.TestConnectionResponse(connection=connection))
    peer.tell("Disconnect", connections_pb2.DisconnectResponse(connection=connection))
    peer.tell("ListProviders", providers())
    assert "https://rmm.example.test" in patchbay("connections", "list").out
    assert "tool works" in patchbay("connections", "test", "tool").out
    assert "tool is disconnected" in patchbay("connections", "disconnect", "tool").out
    assert "secret" in patchbay("connections", "providers").out
    assert patchbay("connections", "providers", "--json").json[0]["provider"] == "tool"


def test_keys(peer, patchbay) -> None:
    """A new key's secret goes to standard output alone; lists show no secret."""
    key = identity_pb2.ApiKey(id="k1", label="ci", permissions=["catalog"])
    peer.tell("CreateApiKey", identity_pb2.CreateApiKeyResponse(key=key, secret="pb_s"))
    peer.tell("ListApiKeys", identity_pb2.ListApiKeysResponse(keys=[key]))
    peer.tell("RevokeApiKey", identity_pb2.RevokeApiKeyResponse(key=key))
    created = patchbay("keys", "create", "ci", "--allow", "catalog", "--for-tenant", "acme", "--days", "30")
    assert created.out == "pb_s\n"
    assert "pb_s" not in created.err
    [request] = peer.asked("CreateApiKey")
    assert (list(request.permissions), list(request.tenants)) == (["catalog"], ["acme"])
    assert request.HasField("expire_time")
    assert patchbay("keys", "create", "ci", "--json").json["secret"] == "pb_s"
    assert "active" in patchbay("keys", "list").out
    assert patchbay("keys", "revoke", "k1").code == 0


def test_tenants(peer, patchbay) -> None:
    """Tenants are created and listed."""
    tenant = identity_pb2.Tenant(id=ID, slug="acme")
    peer.tell("CreateTenant", identity_pb2.CreateTenantResponse(tenant=tenant))
    peer.tell("ListTenants", identity_pb2.ListTenantsResponse(tenants=[tenant]))
    assert ID in patchbay("tenants", "create", "acme").out
    assert patchbay("tenants", "list", "--json").json[0]["slug"] == "acme"


def test_interrupt(peer) -> None:
    """Ctrl-C while waiting ends with 130 and without a traceback."""

    def hang(_request, context: grpc.ServicerContext):
        while context.is_active():
            context.add_callback(peer.arrived.clear)
            peer.arrived.wait(0.05)
        return execution("RUNNING")

    peer.tell("ExecuteAction", hang)
    # A background job of a shell starts with SIGINT ignored; Python then leaves it so.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = listening + "from server.cli import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", program, "execute", "a.b", "--key", "k", "--json"],
        env={**os.environ, "PATCHBAY_SERVER": peer.target},
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        try:
            assert peer.arrived.wait(60)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == ExitCode.INTERRUPTED
    assert json.loads(err)["error"]["message"] == "interrupted"


def test_secret_prompt_is_getpass() -> None:
    """Secrets are read by the standard library's hidden prompt."""
    from server.cli import settings_form  # noqa: PLC0415 - the real one, whatever other tests put there

    assert settings_form.getpass is getpass.getpass
