"""The lab module: the smallest real module with an action of each effect class."""

from typing import Any

from server.sdk import (
    ActionContext,
    ActionFailure,
    ConnectionScope,
    Effect,
    IntegrationModule,
    ProbeContext,
    Registrar,
    rmm_connection,
    sends_at_once,
    transactional,
)
from server.sdk.http import HttpClient
from tests.gen.torture.lab.v1 import lab_pb2 as pb
from tests.support.paths import TESTS


class LabClient:
    """The lab's endpoints."""

    def __init__(self, scope: ConnectionScope[pb.LabConnection]) -> None:
        headers = {"authorization": f"Bearer {scope.settings.token}"}
        self._http: HttpClient = scope.http.bind(base_url=scope.settings.instance_url, headers=headers)

    async def check(self) -> None:
        """Proves the token."""
        await self._http.request("GET", "/check")

    async def read(self, name: str) -> pb.Thing:
        """Reads a thing."""
        return _thing((await self._http.request("GET", f"/things/{name}")).json())

    async def put(self, name: str) -> pb.Thing:
        """Puts a thing."""
        return _thing((await self._http.request("PUT", f"/things/{name}", json={})).json())

    async def post(self, name: str, key: str, *, vendor_key: str = "") -> pb.Thing:
        """Posts a thing."""
        headers = {"idempotency-key": vendor_key} if vendor_key else {}
        answer = await self._http.request("POST", "/things", json={"name": name, "key": key}, headers=headers)
        return _thing(answer.json())

    async def by_key(self, key: str) -> pb.Thing | None:
        """Returns what was posted with a key."""
        answer = await self._http.request("GET", f"/by-key/{key}", ok=(200, 404))
        return _thing(answer.json()) if answer.status == 200 else None


def _thing(value: dict[str, Any]) -> pb.Thing:
    return pb.Thing(id=value["id"], name=value["name"])


async def read_thing(request: pb.ReadThingRequest, ctx: ActionContext[LabClient]) -> pb.ReadThingResponse:
    """Reads a thing; the name `write!` makes it try to write."""
    if request.name == "write!":
        await ctx.client.post(request.name, "")
    return pb.ReadThingResponse(thing=await ctx.client.read(request.name))


async def put_thing(request: pb.PutThingRequest, ctx: ActionContext[LabClient]) -> pb.PutThingResponse:
    """Puts a thing."""
    return pb.PutThingResponse(thing=await ctx.client.put(request.name))


async def post_thing(request: pb.PostThingRequest, ctx: ActionContext[LabClient]) -> pb.PostThingResponse:
    """Posts a thing, or misbehaves as asked."""
    if request.mode == "closed":
        raise ActionFailure("LAB_CLOSED", "The lab is closed.")
    if request.mode == "crash_before":
        raise RuntimeError(f"a defect with {request.secret}")
    ctx.remember({"key": ctx.idempotency_key})
    thing = await ctx.client.post(request.name, ctx.idempotency_key)
    if request.mode == "read_after":
        await ctx.client.read(request.name)
    if request.mode == "crash_after":
        raise RuntimeError(f"a defect with {request.secret}")
    if request.mode == "partial":
        raise ActionFailure("CONFLICT", "Half of it was done.", effect=Effect.EFFECT_APPLIED)
    if request.mode == "invalid_output":
        thing.name = "n" * 200
    if request.mode == "long_text":
        thing.text = "ä" * 1_000
    if request.mode == "tell_secret":
        thing.text = f"it is {request.secret}"
        ctx.warn("TOLD", f"the secret is {request.secret}", request.secret)
        ctx.log.info("told", secret=request.secret)
    return pb.PostThingResponse(thing=thing)


async def probe_post(_request: pb.PostThingRequest, ctx: ProbeContext[LabClient]) -> pb.PostThingResponse | None:
    """Looks for what was posted with the key."""
    thing = await ctx.client.by_key(ctx.evidence.get("key", "-"))
    return pb.PostThingResponse(thing=thing) if thing else None


async def post_slowly(request: pb.PostSlowlyRequest, ctx: ActionContext[LabClient]) -> pb.PostSlowlyResponse:
    """Reads first, then posts."""
    await ctx.client.read(request.name)
    return pb.PostSlowlyResponse(thing=await ctx.client.post(request.name, ctx.idempotency_key))


async def post_keyed(request: pb.PostKeyedRequest, ctx: ActionContext[LabClient]) -> pb.PostKeyedResponse:
    """Posts with the vendor's own deduplication."""
    key = ctx.idempotency_key
    return pb.PostKeyedResponse(thing=await ctx.client.post(request.name, key, vendor_key=key))


@sends_at_once
async def run_raw(request: pb.RunRawRequest, ctx: ActionContext[LabClient]) -> pb.RunRawResponse:
    """Posts the text."""
    return pb.RunRawResponse(thing=await ctx.client.post(request.text, ctx.idempotency_key))


async def post_budgeted(request: pb.PostBudgetedRequest, ctx: ActionContext[LabClient]) -> pb.PostBudgetedResponse:
    """Posts within the budget."""
    return pb.PostBudgetedResponse(thing=await ctx.client.post(request.name, ctx.idempotency_key))


@transactional
async def book_thing(request: pb.BookThingRequest, ctx: ActionContext[LabClient]) -> pb.BookThingResponse:
    """Writes a row in the transaction that completes the execution."""
    assert ctx.transaction is not None
    await ctx.transaction.execute("INSERT INTO lab_bookings (name) VALUES ($1)", request.name)
    if request.mode == "refuse":
        raise ActionFailure("CONFLICT", "It is taken.")
    return pb.BookThingResponse(id=request.name)


MODULE = IntegrationModule[pb.LabConnection, LabClient](
    contract=pb.DESCRIPTOR.services_by_name["Lab"],
    availability=rmm_connection("lab", "Lab"),
    connect=LabClient,
    check=LabClient.check,
    instance_url=lambda settings: settings.instance_url,
    handlers=[read_thing, put_thing, post_thing, post_slowly, post_keyed, run_raw, post_budgeted, book_thing],
    probes={"post_thing": probe_post},
    descriptor_set=(TESTS / "gen" / "descriptors.binpb").read_bytes(),
)


def register(registrar: Registrar) -> None:
    """Adds the lab."""
    registrar.add(MODULE)
