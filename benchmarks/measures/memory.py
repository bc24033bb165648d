"""What it costs to hold the catalogs of many tenants."""

from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.measures.calls import MANY
from benchmarks.processes import resident_bytes
from benchmarks.rounds import Contender, answer_of, burst
from benchmarks.stage import TENANT, Server, Stage
from server.gen.patchbay.v1 import catalog_pb2

_CATALOG = "/patchbay.v1.Catalog/GetCatalog"
_PER = 10_000
_MIB = 1 << 20
# A third is connected to nothing, a third to one tool, a third to two.
_TENANTS = """
    INSERT INTO tenants (tenant, slug)
    SELECT md5('tenant' || n)::uuid, 'tenant-' || n FROM generate_series(1, {tenants}) n
"""
_CONNECTIONS = """
    INSERT INTO rmm_integrations (tenant, integration_id, provider, instance_url, is_active, connected_at)
    SELECT md5('tenant' || n)::uuid, gen_random_uuid(), provider, 'https://rmm.example.com', true, now()
    FROM generate_series(1, {tenants}) n, (VALUES ('tacticalrmm', 1), ('lab', 2)) AS tools (provider, least)
    WHERE n % 3 >= least
"""


def measure(stage: Stage, tenants: int) -> Sequence[Figure]:
    """The growth of the server's memory after every tenant asked, beside one copy of the answer for each."""
    server = stage.serve("bench_memory")
    counted = {"tenants": tenants}
    stage.sql(server.dsn, _TENANTS.format(**counted), _CONNECTIONS.format(**counted), "ANALYZE", "SELECT 1")
    one = _contender(server, [TENANT])
    everybody = _contender(server, [f"tenant-{number + 1}" for number in range(tenants)])
    burst(stage, one, MANY, calls=tenants)  # what traffic alone makes it grow
    before = resident_bytes(server.child.pid)
    burst(stage, everybody, MANY, calls=tenants)
    grown = (resident_bytes(server.child.pid) - before) * _PER / tenants / _MIB
    copies = len(answer_of(stage, one)) * _PER / _MIB
    ratio = grown / copies
    return [
        Figure(
            name=f"Memory per {_PER:,} tenants that asked for their catalog",
            unit="MiB",
            floor=copies,
            ours=grown,
            ratio=ratio,
            spread=(ratio, ratio),
            better="lower",
            note=f"floor: a copy of the answer for each; measured with {tenants:,} tenants, the server holds "
            f"{before / _MIB:.0f} MiB without them",
        )
    ]


def _contender(server: Server, tenants: Sequence[str]) -> Contender:
    requests = [catalog_pb2.GetCatalogRequest(tenant=tenant).SerializeToString() for tenant in tenants]
    return Contender("ours", server.child, _CATALOG, requests, api_key=server.api_key)
