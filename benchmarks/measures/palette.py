"""The palette of a tenant, cold and warm, one call at a time."""

import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import grpc

from benchmarks.figures import Figure
from benchmarks.measures.calls import CATALOG
from benchmarks.rounds import MeasurementInvalid
from benchmarks.stage import Stage
from server.gen.patchbay.v1 import catalog_pb2

_TENANTS = (
    "INSERT INTO tenants (tenant, slug) SELECT gen_random_uuid(), 'palette-' || n FROM generate_series(1, {count}) n"
)
_CONNECTED = """
    INSERT INTO rmm_integrations (tenant, integration_id, provider, is_active, connected_at)
    SELECT tenant, gen_random_uuid(), provider, true, now()
    FROM tenants, unnest(ARRAY['ninjaone', 'tacticalrmm', 'levelio', 'huntress']) AS provider
    WHERE slug LIKE 'palette-%'
"""


def measure(stage: Stage, tenants: int) -> Sequence[Figure]:
    """Each tenant has four modules connected and asks twice: nothing is known of it, then everything."""
    server = stage.server
    stage.sql(server.dsn, _TENANTS.format(count=tenants), _CONNECTED, "SELECT 1")
    cold, warm, answer = asyncio.run(_ask(server.child.address, server.api_key, tenants))
    ratios = [first / second for first, second in zip(cold, warm, strict=True)]
    groups = catalog_pb2.GetCatalogResponse.FromString(answer).groups
    if not groups:
        raise MeasurementInvalid("a catalog without groups")
    actions = sum(len(group.actions) for group in groups)
    return [
        Figure(
            name="Palette of a tenant that has not asked before, median time of a call alone",
            unit="ms",
            floor=median(warm),
            ours=median(cold),
            ratio=median(ratios),
            spread=(sorted(ratios)[len(ratios) // 20], sorted(ratios)[-1 - len(ratios) // 20]),
            added=median(cold) - median(warm),
            better="lower",
            note=f"floor: the same call again; {len(groups)} modules, {actions} actions, {len(answer):,} bytes; "
            "spread: 5th to 95th percentile",
        )
    ]


async def _ask(address: str, api_key: str, tenants: int) -> tuple[list[float], list[float], bytes]:
    metadata = (("authorization", f"Bearer {api_key}"),)
    cold, warm, answer = list[float](), list[float](), b""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(CATALOG)
        for number in range(1, tenants + 1):
            request = catalog_pb2.GetCatalogRequest(tenant=f"palette-{number}").SerializeToString()
            for times in (cold, warm):
                began = perf_counter()
                answer = await call(request, metadata=metadata)
                times.append((perf_counter() - began) * 1000)
    return cold[5:], warm[5:], answer
