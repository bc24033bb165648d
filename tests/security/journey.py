"""Every way that a secret can take through the server, successes and failures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from server.conformance.canaries import forms
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, failure_pb2, identity_pb2
from tests.gen.torture.lab.v1 import lab_pb2
from tests.modules.tacticalrmm.world import LINUX, ONLINE
from tests.security.hearing import Heard
from tests.security.stage import Stage
from tests.support.served import TENANT, struct

STATUSES = (400, 401, 403, 404, 409, 422, 429, 500, 502, 503)
MODES = ("", "tell_secret", "crash_before", "crash_after", "partial", "invalid_output", "closed")
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN


def repeat(stage: Stage, status: int, token: str) -> None:
    """Makes the lab answer the next checks with a status and the token that it was sent."""
    stage.lab.control.clear_faults()
    stage.lab.control.add_fault("status", path_regex="/check", status=status, body={"error": forms([token])}, times=0)


async def connecting(stage: Stage) -> None:
    """Accepted, refused, unreachable, untrusted, late, broken; tested, listed, disconnected."""
    planted = stage.planted
    assert (await stage.connect_lab()).HasField("connection")
    assert (await stage.connect_lab(token=planted.refused)).failure.reason == "CREDENTIALS_REFUSED"
    assert (await stage.connect_lab(instance_url=stage.tls_url)).failure.reason == "TLS_FAILED"
    assert (await stage.connect_lab(instance_url="http://127.0.0.1:1")).failure.reason == "VENDOR_UNAVAILABLE"
    settings = {"instance_url": stage.lab.url, "token": planted.lab_token}
    refused = await stage.connect("lab", settings, grant=connections_pb2.EgressGrant())
    assert refused.failure.reason == "EGRESS_REFUSED"
    named = connections_pb2.TestConnectionRequest(tenant=TENANT, provider="lab")
    for status in STATUSES:
        repeat(stage, status, planted.refused)
        assert (await stage.connect_lab(token=planted.refused)).HasField("failure")
        repeat(stage, status, planted.lab_token)
        assert (await stage.heard("Connections/TestConnection", named)).HasField("failure")
        stage.lab.control.clear_faults()
    stage.lab.control.add_fault("hang", path_regex="/check", times=0)
    late = await stage.connect("lab", settings, timeout=3.0)
    assert late.failure.reason == "TIMED_OUT"
    stage.lab.control.clear_faults()
    for kind in ("garbage", "reset_after", "truncate"):
        stage.lab.control.add_fault(kind, path_regex="/check", body=forms([planted.lab_token]))
        await stage.heard("Connections/TestConnection", named)
    await stage.heard("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab"))
    assert (await stage.connect_lab()).HasField("connection")


async def signing_in(stage: Stage) -> None:
    """Tactical RMM by password, with and without a second factor, wrong ones, expired sessions; then by API key."""
    planted = stage.planted
    login = {"username": "careful", "password": planted.password, "totp_secret": planted.totp}
    wrong = {**login, "password": planted.refused}
    assert (await stage.connect_tactical(api_key=None, login=login)).HasField("connection")
    assert (await stage.connect_tactical(api_key=None, login=wrong)).HasField("failure")
    assert (await stage.connect_tactical(api_key=planted.refused)).HasField("failure")
    done = await stage.heard.execute("tacticalrmm.agents.find", {"live": True})
    assert done.output.json["count"] == 6
    body = {"non_field_errors": [forms([planted.password, planted.totp])]}
    stage.tactical.control.add_fault("status", path_regex="login|checkcreds", status=400, body=body, times=0)
    assert (await stage.connect_tactical(api_key=None, login=login)).HasField("failure")
    stage.tactical.control.clear_faults()
    assert (await stage.connect_tactical()).HasField("connection")


def answers(sent: list[str], elsewhere: str) -> list[tuple[str, dict[str, Any]]]:
    """Every answer that a vendor may give; each repeats the secrets that it was sent."""
    echo = forms(sent)
    return [
        *(("status", {"status": status, "body": {"error": echo}}) for status in STATUSES),
        ("status", {"status": 422, "body": f"<title>{echo}</title>"}),
        ("status", {"status": 302, "headers": {"location": elsewhere}}),
        ("status", {"status": 201, "body": {"id": echo, "name": "a"}}),
        ("status", {"status": 201, "body": {"id": "1", "name": echo}}),
        ("status", {"status": 422, "body": echo}),
        ("garbage", {"body": echo}),
        ("truncate", {"body": echo}),
        ("reset_before", {}),
        ("reset_after", {}),
    ]


async def executing(stage: Stage) -> None:
    """Every mode of the lab's action, then every answer that a vendor may give."""
    planted, execute, faults = stage.planted, stage.heard.execute, stage.lab.control
    for mode in MODES:
        given = {"name": "a", "mode": mode, "secret": planted.secret}
        for _ in range(2):
            assert await execute("lab.things.post", given, f"mode-{mode}") is not None
    elsewhere = f"https://x.invalid/{planted.misplaced}"
    for number, (kind, fault) in enumerate(answers([planted.lab_token, planted.secret], elsewhere)):
        faults.add_fault(kind, path_regex="^/things", times=0, **fault)
        await execute("lab.things.post", {"name": "a", "secret": planted.secret}, f"fault-{number}")
        request = lab_pb2.PostThingRequest(name="a", secret=planted.secret)
        await stage.heard.direct("Lab/PostThing", request, f"direct-{number}")
        faults.clear_faults()
    for number, (kind, fault) in enumerate(answers([planted.lab_token], elsewhere)):
        faults.add_fault(kind, path_regex="^/(things|by-key)", times=0, **fault)
        await execute("lab.things.read", {"name": "a"})
        await execute("lab.things.put", {"name": "a"}, f"put-{number}")
        await execute("lab.things.run_raw", {"text": "a"}, f"raw-{number}")
        faults.clear_faults()


async def running_scripts(stage: Stage) -> None:
    """Scripts that print their variables, servers that repeat the order; commands, choices, searches."""
    planted, execute = stage.planted, stage.heard.execute
    order = {"agent_id": ONLINE, "script_id": "2", "timeout": 5, "env_vars": [f"PASS={planted.variable}"]}
    done = await execute("tacticalrmm.agents.run_script", {**order, "script_id": "3", "args": ["stdout=ok"]}, "s-0")
    assert done.output.json["stdout"] == "ok", done
    printed = await execute("tacticalrmm.agents.run_script", {**order, "agent_id": LINUX}, "s-1")
    assert "***" in printed.output.json["stdout"], printed
    own = forms([planted.api_key])
    both = forms([planted.api_key, f"PASS={planted.variable}", planted.variable])
    add_fault = stage.tactical.control.add_fault
    pages = [(400, "{}"), (500, "<h1>{}</h1>"), (200, "{}"), (200, '{{"a": "{}')]
    for number, (status, page) in enumerate(pages):
        if status != 200:  # otherwise the history is watched for minutes
            add_fault("status", path_regex="/runscript/", status=status, body=page.format(both))
            await execute("tacticalrmm.agents.run_script", {**order, "script_id": "3"}, f"r-{number}")
        add_fault("status", path_regex="/cmd/", status=status, body=page.format(own))
        await execute("tacticalrmm.agents.run_command", {"agent_id": ONLINE, "command": "whoami"}, f"c-{number}")
        add_fault("status", path_regex="/scripts/", status=status, body=page.format(own))
        await execute("tacticalrmm.scripts.list", {})
    request = tacticalrmm_pb2.RunScriptRequest(agent_id=ONLINE, script_id="3", env_vars=[f"PASS={planted.variable}"])
    await stage.heard.direct("TacticalRmm/RunScript", request, "s-direct")
    for field in ("agent_id", "script_id", "env_vars"):
        asked = {"tenant": TENANT, "action": "tacticalrmm.agents.run_script", "field": field, "query": "a"}
        await stage.heard("Catalog/ListFieldOptions", catalog_pb2.ListFieldOptionsRequest(**asked))


async def misplacing(stage: Stage) -> None:
    """Secrets where they do not belong: in fields of another type, unknown fields, addresses, patterns, headers."""
    lost, execute = stage.planted.misplaced, stage.heard.execute
    for given in (
        {"name": {"x": lost}},
        {"name": "a", "times": lost},
        {"name": "a", "secret": [lost]},
        {"name": "a", "secret": {"x": lost}},
        {"name": "a", "secrt": lost},
        {"name": lost * 3},
    ):
        assert await execute("lab.things.post", given, "k") is None
        call = executor_pb2.ExecuteActionRequest(
            tenant=TENANT, action="lab.things.post", input=executor_pb2.Payload(json=struct(given))
        )
        await stage.heard("ActionExecutor/ValidateAction", executor_pb2.ValidateActionRequest(call=call))
    order = {"agent_id": ONLINE, "script_id": "3"}
    for wrong in ({"env_vars": [lost]}, {"env_vars": lost}, {"script_id": lost}, {"agent_id": f"a b {lost}"}):
        assert await execute("tacticalrmm.agents.run_script", {**order, **wrong}, "k") is None
    await execute("tacticalrmm.agents.run_command", {"agent_id": ONLINE, "command": "x", "shell": lost}, "k")
    bytes_ = executor_pb2.Payload(proto=b"\x0a\xff" + lost.encode())
    request = executor_pb2.ExecuteActionRequest(
        tenant=TENANT, action="lab.things.post", idempotency_key="k", input=bytes_
    )
    await stage.heard("ActionExecutor/ExecuteAction", request)
    for settings in (
        {"token": [lost]},
        {"token": {"x": lost}},
        {"token": None, "tokn": lost},
        {"instance_url": f"https://user:{lost}@vendor.invalid"},
        {"instance_url": f"{stage.lab.url}/?token={lost}"},
        {"instance_url": f"{stage.lab.url}/#{lost}"},
    ):
        await stage.connect_lab(**settings)
    for settings in (
        {"api_key": lost * 10},
        {"instance_url": f"{stage.tactical.url}/?key={lost}"},
        {"instance_url": f"{stage.tactical.url}/#{lost}"},
        {"instance_url": f"http://user:{lost}@127.0.0.1:1"},
        {"login": lost},
        {"login": {"username": "u", "password": lost}},
        {"max_wait": lost},
        {"api_key": None, "login": {"username": "u", "password": "p", "totp_secret": f"{lost}!"}},
    ):
        await stage.connect_tactical(**settings)
    await stage.connect_lab()
    await stage.connect_tactical()


async def looking(stage: Stage) -> None:
    """Reading, listing, catalog, providers, connections, keys."""
    call = stage.heard
    await call("ActionExecutor/ListExecutions", executor_pb2.ListExecutionsRequest(tenant=TENANT, page_size=500))
    for key in ("mode-tell_secret", "mode-crash_after", "fault-5", "fault-12", "s-0", "s-1", "direct-7"):
        await call("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest(tenant=TENANT, idempotency_key=key))
    given = {"name": "a", "secret": stage.planted.secret}
    request = executor_pb2.ExecuteActionRequest(
        tenant=TENANT, action="lab.things.post", input=executor_pb2.Payload(json=struct(given))
    )
    checked = await call("ActionExecutor/ValidateAction", executor_pb2.ValidateActionRequest(call=request))
    assert checked.input["secret"] == "***"
    await call("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    for action in ("lab.things.post", "tacticalrmm.agents.run_script"):
        await call("Catalog/GetAction", catalog_pb2.GetActionRequest(tenant=TENANT, action=action))
    await call("Connections/ListConnections", connections_pb2.ListConnectionsRequest(tenant=TENANT))
    await call("Connections/ListProviders", connections_pb2.ListProvidersRequest())
    await call("Identity/ListTenants", identity_pb2.ListTenantsRequest())
    await call("Identity/ListApiKeys", identity_pb2.ListApiKeysRequest())


async def presenting_keys(stage: Stage) -> None:
    """Keys that are right, wrong by one character, revoked, and presented in the wrong way."""
    key = await stage.new_key(tenants=[TENANT], permissions=["lab.*"])
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    request = executor_pb2.ListExecutionsRequest(tenant=TENANT)
    headers = [f"Bearer {key}", f"Bearer {wrong}", key, f"Basic {key}", f"Bearer {key} {key}", f"Bearer a.{key}.c"]
    bare = Heard(stage.replica.target, "", stage.heard.told)
    for header in headers:
        await bare("ActionExecutor/ListExecutions", request, authorization=header)
    await bare("ActionExecutor/ListExecutions", request, x_api_key=key)
    await stage.heard("Identity/RevokeApiKey", identity_pb2.RevokeApiKeyRequest(id=key.split("_")[1]))
    await bare("ActionExecutor/ListExecutions", request, authorization=f"Bearer {key}")
    await bare.caller.close()


async def settling(stage: Stage) -> None:
    """Unknown outcomes: a probe that is answered with secrets, a person's verdict, a cancelled execution."""
    planted, call = stage.planted, stage.heard
    stage.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    body = {"id": planted.lab_token, "name": "a"}
    stage.lab.control.add_fault("status", method="GET", path_regex="^/by-key", status=200, body=body, times=0)
    unsure = await call.execute("lab.things.post", {"name": "a", "secret": planted.secret}, "probed")
    assert unsure.state == UNKNOWN
    get = executor_pb2.GetExecutionRequest(tenant=TENANT, idempotency_key="probed")
    async with asyncio.timeout(20):
        while (await call("ActionExecutor/GetExecution", get)).execution.state == UNKNOWN:
            await asyncio.sleep(0.2)
    stage.lab.control.clear_faults()
    stage.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    raw = await call.execute("lab.things.run_raw", {"text": "a"}, "judged")
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_NONE)
    await call(
        "ActionExecutor/ResolveExecution",
        executor_pb2.ResolveExecutionRequest(tenant=TENANT, id=raw.id, failed=verdict, reason="looked"),
    )
    stage.lab.control.add_fault("hang", method="GET", path_regex="^/things", times=0)
    waiting = asyncio.create_task(call.execute("lab.things.post_slowly", {"name": "a"}, "cancelled"))
    get = executor_pb2.GetExecutionRequest(tenant=TENANT, idempotency_key="cancelled")
    while (found := await call("ActionExecutor/GetExecution", get)) is None:
        await asyncio.sleep(0.05)
    request = executor_pb2.CancelExecutionRequest(tenant=TENANT, id=found.execution.id)
    await call("ActionExecutor/CancelExecution", request)
    await waiting
    stage.lab.control.clear_faults()


JOURNEYS: list[Callable[[Stage], Awaitable[None]]] = [
    connecting,
    signing_in,
    executing,
    running_scripts,
    misplacing,
    presenting_keys,
    settling,
    looking,
]
