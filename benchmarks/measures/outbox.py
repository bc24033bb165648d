"""How long an event of the board takes from its commit to a receiver of webhooks."""

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from uuid import uuid4

import httpx
from patchbay_client import Patchbay
from standardwebhooks.webhooks import Webhook

from benchmarks.figures import Figure
from benchmarks.rounds import MeasurementInvalid
from benchmarks.stage import Server, Stage
from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.webhook import create_app, demo_connection

_PATIENCE = 60.0
_TECHNICIAN = """
    WITH made AS (
        INSERT INTO users (tenant, user_id, username) SELECT tenant, '{user}', 'mina' FROM tenants RETURNING tenant
    ), role AS (
        INSERT INTO roles (tenant, role_name) SELECT tenant, 'Technician' FROM made RETURNING tenant, role_id
    )
    SELECT tenant, role_id FROM role
"""
_ROLE = "INSERT INTO user_roles (tenant, user_id, role_id) SELECT tenant, '{user}', role_id FROM roles"
_BEGUN = "SELECT event_id::text, extract(epoch FROM created_at) AS at FROM outbox_events"


def measure(stage: Stage, bookings: int) -> Sequence[Figure]:
    """One booking after the other; the floor is a signed post to the same receiver without anything around it."""
    server = stage.serve("bench_outbox")
    with SandboxServer(create_app()) as receiver:
        control = SandboxControl(receiver.url)
        settings = demo_connection(receiver.url, control.credentials())
        with closing(server.client()) as client:
            client.connections.connect("webhook", settings, private_networks=["127.0.0.0/8"], plain_http=True)
            control.reset()
            _book(stage, server, client, bookings)
        delays = _delays(stage, server, control, bookings)
        floor = _posts(settings, bookings)
    ours = median(delays)
    return [
        Figure(
            name="Event from its commit to the receiver, median",
            unit="ms",
            floor=floor,
            ours=ours,
            ratio=ours / floor,
            spread=(ours / floor, ours / floor),
            added=ours - floor,
            better="lower",
            note=f"99 % within {quantiles(delays, n=100)[98]:.1f} ms",
        )
    ]


def _book(stage: Stage, server: Server, client: Patchbay, bookings: int) -> None:
    user = str(uuid4())
    scope = "SELECT set_config('patchbay.tenant', '*', false)"
    stage.sql(server.dsn, scope, _TECHNICIAN.format(user=user), _ROLE.format(user=user), "SELECT 1")
    for number in range(bookings):
        start = datetime(2027, 3, 1, tzinfo=UTC) + timedelta(hours=number)
        window = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
        wanted = {"assigned_user_ids": [user], "title": "Visit", "window": window}
        client.execute("scheduling.create_entry", wanted, key=str(uuid4()))


def _delays(stage: Stage, server: Server, control: SandboxControl, bookings: int) -> list[float]:
    """Returns milliseconds; both ends are read from the clock of this machine."""
    deadline = time.monotonic() + _PATIENCE
    while len(arrived := control.effects(kind="event").items) < bookings:
        if time.monotonic() > deadline:
            raise MeasurementInvalid(f"{len(arrived)} of {bookings} events have arrived")
        time.sleep(0.1)
    scope = "SELECT set_config('patchbay.tenant', '*', false)"
    begun = {row["event_id"]: float(row["at"]) for row in stage.sql(server.dsn, scope, _BEGUN)}
    return [1000 * (one["at"] - begun[one["detail"]["id"]]) for one in arrived]


def _posts(settings: dict[str, str], posts: int) -> float:
    signer, times = Webhook(settings["signing_secret"]), list[float]()
    with httpx.Client(trust_env=False) as client:
        for _ in range(posts):
            id, now, text = str(uuid4()), datetime.now(UTC), '{"type":"t","data":{}}'
            headers = {
                "webhook-id": id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signer.sign(id, now, text),
            }
            began = time.perf_counter()
            client.post(settings["url"], content=text, headers=headers).raise_for_status()
            times.append(1000 * (time.perf_counter() - began))
    return median(times)
