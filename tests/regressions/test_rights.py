"""A12, A14, S2, S3, S4: who may, who did."""

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2
from tests.regressions.calling import SERVICES, actions, direct, holding, new_key
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller, Served

pytestmark = pytest.mark.anyio


async def test_a12_a14_s2_every_action_asks_for_its_own_permission(served: Served) -> None:
    """A key for all other actions is refused before the input is looked at; a key for this one alone is not."""
    operator = Caller(served.handle.target, await new_key(served.caller))
    every = await actions(operator, TENANT)
    assert len(every) >= 14
    for action in every:
        others = [one.id for one in every if one.id != action.id]
        async with holding(served.handle.target, operator, permissions=["catalog", *others]) as poor:
            with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
                await poor.execute(action.id, {"nonsense": 1}, "k")
        async with holding(served.handle.target, operator, permissions=[action.id]) as rich:
            with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "input.nonsense"):
                await rich.execute(action.id, {"nonsense": 1}, "k")
    await operator.close()


async def test_a12_a14_s2_a_modules_own_rpc_asks_for_the_same_permission(served: Served) -> None:
    """No typed rpc of any module is open to a key without permissions for actions."""
    operator = Caller(served.handle.target, await new_key(served.caller))
    async with holding(served.handle.target, operator, permissions=["catalog", "executions.*"]) as poor:
        tried = 0
        for name, service in SERVICES.items():
            for method in service.methods:
                request = method.input_type._concrete_class()
                metadata = (("x-patchbay-tenant", TENANT), ("idempotency-key", "k"))
                with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
                    await direct(poor, f"{name}/{method.name}", request, *metadata)
                tried += 1
    assert tried == len(await actions(operator, TENANT))
    assert served.lab.posts() == 0
    await operator.close()


async def test_a12_s2_choices_need_the_permission_of_the_action_that_lists_them(served: Served) -> None:
    """A picker is no way around a permission."""
    operator = Caller(served.handle.target, await new_key(served.caller))
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action="tacticalrmm.agents.run_script", field="agent_id"
    )
    granted = ["catalog", "tacticalrmm.agents.run_script"]
    async with holding(served.handle.target, operator, permissions=granted) as poor:
        with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
            await poor("Catalog/ListFieldOptions", request)
    await operator.close()


async def audited(served: Served, where: str, *values: object) -> list[tuple[str, str, str, str]]:
    """Audit rows of executions."""
    await served.handle.house.audit.flush()
    async with served.handle.house.database.system() as connection:
        rows = await connection.fetch(
            f"SELECT caller, actor, action, outcome FROM audit_log WHERE {where} ORDER BY at, id", *values
        )
    return [tuple(row) for row in rows]


async def test_s3_who_acts_is_who_calls_and_what_it_says_is_only_written_down(served: Served) -> None:
    """The audit row names the key that called and the person it acts for; naming an operator gives no right."""
    operator = Caller(served.handle.target, await new_key(served.caller))
    async with holding(served.handle.target, operator, permissions=["lab.things.read"]) as reader:
        await reader.execute("lab.things.read", {"name": "a"}, actor="operator")
        with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
            await reader.execute("lab.things.post", {"name": "a"}, "k", actor="operator")
        key_id = reader.metadata[0][1].split("_")[1]
    rows = await audited(served, "actor = 'operator'")
    assert rows == [
        (f"key:{key_id}", "operator", "lab.things.read", "SUCCEEDED"),
        (f"key:{key_id}", "operator", "lab.things.post", "REFUSED"),
    ]
    await operator.close()


async def test_s4_every_call_of_every_action_leaves_an_audit_row(served: Served) -> None:
    """Through ExecuteAction and through the typed rpc, refused or done, replayed or not: one row each."""
    every = await actions(served.caller, TENANT)
    for action in every:
        with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
            await served.caller.execute(action.id, {"nonsense": 1}, "k")
    for _ in range(2):
        await served.execute("post", {"name": "a"}, "k")
    request = SERVICES["Lab"].methods_by_name["ReadThing"].input_type._concrete_class(name="a")
    await direct(served.caller, "Lab/ReadThing", request, ("x-patchbay-tenant", TENANT))
    rows = await audited(served, "action <> ''")
    assert [(action, outcome) for _, _, action, outcome in rows] == [
        *((action.id, "REFUSED") for action in every),
        ("lab.things.post", "SUCCEEDED"),
        ("lab.things.post", "SUCCEEDED"),
        ("lab.things.read", "SUCCEEDED"),
    ]
