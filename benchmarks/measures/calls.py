"""Calls over gRPC beside bare handlers that do the same outside work."""

from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.rounds import Contender, MeasurementInvalid, Plan, Series, answer_of, interleave
from benchmarks.stage import TENANT, Server, Stage
from server.gen.patchbay.v1 import catalog_pb2, executor_pb2
from tests.gen.torture.lab.v1 import lab_pb2

MANY = 32
CATALOG = "/patchbay.v1.Catalog/GetCatalog"
EXECUTE = "/patchbay.v1.ActionExecutor/ExecuteAction"
_SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


def catalog(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """GetCatalog, and a bare echo of as many bytes."""
    request = catalog_pb2.GetCatalogRequest(tenant=TENANT).SerializeToString()
    server = stage.server
    ours = Contender("ours", server.child, CATALOG, [request], api_key=server.api_key, check=_check_catalog)
    floor = floor_of(stage, "Echo", ours)
    series = interleave(stage, [floor, ours], plan, MANY)
    size = len(answer_of(stage, ours))
    return [
        throughput(series, "Catalog call", goal=0.9, note=f"answer of {size:,} bytes"),
        processor(series, "Catalog call"),
    ]


def execute(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """An effectful action whose first request is the effect, and a bare handler that makes the same HTTP call."""
    ours = execution(stage.server, "lab.things.run_raw", lab_pb2.RunRawRequest(text="thing"))
    floor, durable = floor_of(stage, "Post", ours), floor_of(stage, "DurablePost", ours, "durable")
    before = stage.posts()
    crowded = interleave(stage, [floor, ours, durable], plan, MANY)
    alone = interleave(stage, [floor, ours, durable], plan, 1)
    _demand_effects(stage, before, [crowded, alone])
    return [
        throughput(crowded, "Effectful action", goal=0.6, note="the durable record included"),
        throughput(crowded, "Effectful action, floor with two commits", "durable"),
        processor(crowded, "Effectful action"),
        latency(alone, "Effectful action", goal=3.0),
        latency(alone, "Effectful action, floor with two commits", "durable"),
    ]


def two_step(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """An action that asks first and then has its effect, as running a script does; its send mark is a commit."""
    ours = execution(stage.server, "lab.things.post_slowly", lab_pb2.PostSlowlyRequest(name="thing"))
    floor = floor_of(stage, "ReadThenPost", ours)
    before = stage.posts()
    crowded = interleave(stage, [floor, ours], plan, MANY)
    alone = interleave(stage, [floor, ours], plan, 1)
    _demand_effects(stage, before, [crowded, alone])
    return [
        throughput(crowded, "Two-step action", note="three commits, two HTTP calls"),
        processor(crowded, "Two-step action"),
        latency(alone, "Two-step action", goal=3.0),
    ]


def replay(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """A call whose key is known, and a bare handler that selects the row by its key."""
    server, key = stage.server, "replayed"
    request = _request("lab.things.run_raw", lab_pb2.RunRawRequest(text="thing"))
    request.idempotency_key = key
    serialized = request.SerializeToString()
    ours = Contender("ours", server.child, EXECUTE, [serialized], api_key=server.api_key, check=_check_execution)
    answer_of(stage, ours)
    floor = floor_of(stage, "Row", ours, request=f"{server.tenant_id}|{key}".encode())
    _check_execution(answer_of(stage, floor))
    series = interleave(stage, [floor, ours], plan, MANY)
    return [throughput(series, "Replay of a known key"), processor(series, "Replay of a known key")]


def read(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """A READ action, and a bare handler that makes the same HTTP call."""
    ours = execution(stage.server, "lab.things.read", lab_pb2.ReadThingRequest(name="thing"), keyed=False)
    floor = floor_of(stage, "Read", ours)
    crowded = interleave(stage, [floor, ours], plan, MANY)
    alone = interleave(stage, [floor, ours], plan, 1)
    return [
        throughput(crowded, "Reading action"),
        processor(crowded, "Reading action"),
        latency(alone, "Reading action"),
    ]


def execution(server: Server, action: str, message: object, *, keyed: bool = True) -> Contender:
    """Returns the contender that executes an action of the lab."""
    serialized = _request(action, message).SerializeToString()
    return Contender("ours", server.child, EXECUTE, [serialized], keyed, server.api_key, _check_execution)


def floor_of(
    stage: Stage, method: str, ours: Contender, name: str = "floor", request: bytes | None = None
) -> Contender:
    """Returns a floor that answers the bytes that ours answers, to the request and the metadata that ours gets."""
    keep = Contender(name, stage.floor, "/floor/Keep", [answer_of(stage, ours)])
    answer_of(stage, keep)
    requests = ours.requests if request is None else [request]
    return Contender(name, stage.floor, f"/floor/{method}", requests, ours.keyed and request is None, ours.api_key)


def throughput(series: Series, name: str, floor: str = "floor", *, goal: float | None = None, note: str = "") -> Figure:
    """Returns the calls per second beside the floor's."""
    return Figure(
        name=f"{name}, {MANY} in flight",
        unit="calls/s",
        floor=series.of(floor, "rate"),
        ours=series.of("ours", "rate"),
        ratio=series.ratio("ours", floor),
        spread=series.spread("ours", floor),
        goal=goal,
        note=note,
    )


def processor(series: Series, name: str, floor: str = "floor") -> Figure:
    """Returns the processor time of the server process beside the floor's."""
    postgres = series.of("ours", "postgres_cpu")
    return Figure(
        name=f"{name}, processor time of the server",
        unit="ms/call",
        floor=series.of(floor, "cpu"),
        ours=series.of("ours", "cpu"),
        ratio=series.ratio("ours", floor, "cpu"),
        spread=series.spread("ours", floor, "cpu"),
        added=series.added("ours", floor, "cpu"),
        better="lower",
        note=f"and {postgres:.2f} ms of PostgreSQL",
    )


def latency(series: Series, name: str, floor: str = "floor", *, goal: float | None = None) -> Figure:
    """Returns the median time of a call beside the floor's."""
    added = series.added("ours", floor)
    return Figure(
        name=f"{name}, median time of a call alone",
        unit="ms",
        floor=series.of(floor, "p50"),
        ours=series.of("ours", "p50"),
        ratio=series.ratio("ours", floor, "p50"),
        spread=series.spread("ours", floor, "p50"),
        added=added,
        goal=goal,
        goal_on="added",
        better="lower",
        note=f"{added:+.2f} ms; 99th percentile {series.of('ours', 'p99'):.1f} ms",
    )


def _request(action: str, message: object) -> executor_pb2.ExecuteActionRequest:
    request = executor_pb2.ExecuteActionRequest(tenant=TENANT, action=action, version=1)
    for field, value in message.ListFields():  # type: ignore[attr-defined] # any message of the lab
        request.input.json[field.name] = value
    return request


def _check_catalog(answer: bytes) -> None:
    if not catalog_pb2.GetCatalogResponse.FromString(answer).groups:
        raise MeasurementInvalid("a catalog without groups")


def _check_execution(answer: bytes) -> None:
    execution = executor_pb2.ExecuteActionResponse.FromString(answer).execution
    if execution.state != _SUCCEEDED:
        raise MeasurementInvalid(f"an execution that did not succeed: {execution.failure.message}")


def _demand_effects(stage: Stage, before: int, series: Sequence[Series]) -> None:
    """Raises MeasurementInvalid when the vendor saw fewer effects than calls were counted, or an execution failed.

    More effects are expected: those of bursts that do not count. That none happens twice is for the tests to prove.
    """
    counted = sum(one.calls(name) for one in series for name in one.samples)
    seen = stage.posts() - before
    if seen < counted:
        raise MeasurementInvalid(f"{counted} calls were answered, {seen} effects happened")
    statement = "SELECT count(*) FROM workflow_action_invocations WHERE status <> 'SUCCEEDED'"
    if (unfinished := stage.sql(stage.server.dsn, statement)[0][0]) != 0:
        raise MeasurementInvalid(f"{unfinished} executions did not succeed")
