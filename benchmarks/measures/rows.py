"""Whether an execution costs the same in an empty table and in a large one."""

from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.measures.calls import MANY, execution
from benchmarks.rounds import Contender, Plan, interleave
from benchmarks.stage import Server, Stage
from tests.gen.torture.lab.v1 import lab_pb2

_FEW = 10
_TENANTS = 100
_FILL = """
    INSERT INTO workflow_action_invocations (
        tenant, invocation_id, idempotency_key, action_id, action_version, effect_class, status, lease_owner,
        sent_at, first_sent_at, fingerprint, fingerprint_algorithm, run_id, step_path, caller, input_json,
        output_json, created_at, started_at, completed_at)
    SELECT CASE WHEN n % {tenants} = 0 THEN '{tenant}'::uuid ELSE md5((n % {tenants})::text)::uuid END,
        gen_random_uuid(), 'run-' || n / 7 || '/step-' || n, 'lab.things.run_raw', 1, 5, 'SUCCEEDED',
        md5('owner')::uuid, at, at, sha256(n::text::bytea), 'sha256-v1', 'run-' || n / 7, 'step-' || n,
        'key:benchmarks', '{{"text":"thing"}}', '{{"thing":{{"id":"1","name":"thing","text":""}}}}', at, at, at
    FROM (SELECT n, now() - interval '5 days' * (1 - n::float / {rows}) AS at FROM generate_series(1, {rows}) n) made
"""


def measure(stage: Stage, plan: Plan, rows: int) -> Sequence[Figure]:
    """The same action on two servers of one PostgreSQL: ten rows there, many here."""
    few, many = _filled(stage, "bench_few", _FEW), _filled(stage, "bench_many", rows)
    contenders = [_contender("floor", few), _contender("ours", many)]
    alone = interleave(stage, contenders, plan, 1)
    crowded = interleave(stage, contenders, plan, MANY)
    title = f"Effectful action with {rows:,} rows instead of {_FEW}"
    return [
        Figure(
            name=f"{title}, median time of a call alone",
            unit="ms",
            floor=alone.of("floor", "p50"),
            ours=alone.of("ours", "p50"),
            ratio=alone.ratio("ours", "floor", "p50"),
            spread=alone.spread("ours", "floor", "p50"),
            goal=1.1,
            better="lower",
        ),
        Figure(
            name=f"{title}, {MANY} in flight",
            unit="calls/s",
            floor=crowded.of("floor", "rate"),
            ours=crowded.of("ours", "rate"),
            ratio=crowded.ratio("ours", "floor"),
            spread=crowded.spread("ours", "floor"),
            goal=0.9,
            note=f"PostgreSQL {crowded.of('ours', 'postgres_cpu'):.2f} ms a call instead of "
            f"{crowded.of('floor', 'postgres_cpu'):.2f}",
        ),
    ]


def _contender(name: str, server: Server) -> Contender:
    one = execution(server, "lab.things.run_raw", lab_pb2.RunRawRequest(text="thing"))
    return Contender(name, one.child, one.path, one.requests, one.keyed, one.api_key, one.check)


def _filled(stage: Stage, database: str, rows: int) -> Server:
    server = stage.serve(database)
    fill = _FILL.format(tenant=server.tenant_id, tenants=_TENANTS, rows=rows)
    stage.sql(server.dsn, fill, "VACUUM ANALYZE workflow_action_invocations", "CHECKPOINT", "SELECT 1")
    return server
