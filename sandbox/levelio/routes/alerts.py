"""Alerts, and updates of operating systems."""

from starlette.responses import Response

from sandbox.levelio.routing import Routes
from sandbox.levelio.wire import Call, reply
from sandbox.levelio.world import now


def list_alerts(call: Call) -> Response:
    """Alerts by device and status."""
    rows = call.matching("alerts", "device_id")
    if status := call.query.get("status"):
        rows = [row for row in rows if row["is_resolved"] == (status == "resolved")]
    return call.page(rows)


def get_alert(call: Call) -> Response:
    """One alert."""
    return reply(call.found("alerts"))


def resolve_alert(call: Call) -> Response:
    """Resolves an alert; one that is resolved is answered as it stands."""
    row = call.found("alerts")
    if not row["is_resolved"]:
        row.update(is_resolved=True, resolved_at=now())
        call.world.effects.record("resolve_alert", row["id"], {"name": row["name"]})
    return reply(row)


def list_updates(call: Call) -> Response:
    """Updates by device, category and status."""
    rows = call.matching("updates", "device_id", "category")
    if status := call.query.get("status"):
        rows = [row for row in rows if (row["installed_on"] is not None) == (status == "installed")]
    return call.page(rows)


def get_update(call: Call) -> Response:
    """One update."""
    return reply(call.found("updates"))


ROUTES: Routes = {
    ("GET", "alerts"): list_alerts,
    ("GET", "alerts/*"): get_alert,
    ("POST", "alerts/*/resolve"): resolve_alert,
    ("GET", "updates"): list_updates,
    ("GET", "updates/*"): get_update,
}
