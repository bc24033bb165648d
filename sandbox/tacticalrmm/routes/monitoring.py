"""Checks and alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.tacticalrmm.access import in_scope, may, may_on_agent
from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.render import alert_row, check_row, stamp
from sandbox.tacticalrmm.routes.run import UNREACHABLE
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, bad, detail, missing, reply, whole

_CHECKS_SECONDS = 15.0
_SNOOZE_WITHOUT_DAYS = "Missing 'snoozed_days' when trying to snooze alert"

Row = dict[str, Any]


async def list_checks(call: Call) -> Answer:
    """Checks of one agent."""
    wanted = call.agent.id
    return reply([check_row(row) for row in call.world.checks.values() if row["agent"] == wanted])


async def run_checks(call: Call) -> Answer:
    """Let the agent run its checks now."""
    agent = call.agent

    def started() -> None:
        call.world.effects.record("run_checks", agent.agent_id, {})

    failure = await Bus(call.world).ask(agent, _CHECKS_SECONDS, started=started, ended=lambda: None)
    return bad(UNREACHABLE) if failure else reply(f"Checks will now be run on {agent.hostname}")


def _reset(call: Call, row: Row) -> None:
    if row.get("check_result"):
        row["check_result"] = {**row["check_result"], "status": "passing", "fail_count": 0, "more_info": None}
    for alert in call.world.alerts.values():
        if alert.get("assigned_check") == row["id"]:
            _resolve(alert)


async def reset_check(call: Call) -> Answer:
    """Set one check to passing; the number is that of its result."""
    wanted = int(call.params["pk"])
    for row in call.world.checks.values():
        if row.get("check_result", {}).get("id") == wanted:
            _reset(call, row)
            return reply("The check status was reset")
    raise missing("CheckResult")


async def reset_all(call: Call) -> Answer:
    """Set every check of one agent to passing."""
    wanted = call.agent.id
    for row in call.world.checks.values():
        if row["agent"] == wanted:
            _reset(call, row)
    return reply("All checks status were reset")


def _resolve(alert: Row) -> None:
    now = stamp(datetime.now(UTC))
    alert.update({"resolved": True, "resolved_on": now, "snoozed": False, "snooze_until": None})


def _visible(call: Call) -> list[Row]:
    agents = {agent.id: agent for agent in call.world.agents.values()}
    rows = list(call.world.alerts.values())
    return [row for row in rows if row.get("agent") not in agents or in_scope(call, agents[row["agent"]])]


def _of_clients(call: Call, row: Row, clients: list[int]) -> bool:
    agent = call.world.agent_by_pk(row.get("agent") or 0)
    return agent is not None and call.world.client_of(agent).id in clients


def _filtered(call: Call, rows: list[Row], wish: Row) -> list[Row]:
    if "timeFilter" in wish:
        since = stamp(datetime.now(UTC) - timedelta(days=whole(wish["timeFilter"])))
        rows = [row for row in rows if row["alert_time"] >= since]
    if "severityFilter" in wish:
        rows = [row for row in rows if row["severity"] in wish["severityFilter"]]
    if "clientFilter" in wish:
        rows = [row for row in rows if _of_clients(call, row, wish["clientFilter"])]
    for name, column in (("resolvedFilter", "resolved"), ("snoozedFilter", "snoozed")):
        if wish.get(name) is False:
            rows = [row for row in rows if not row[column]]
    return rows


async def list_alerts(call: Call) -> Answer:
    """A query in the body of a PATCH; unknown filters are ignored."""
    wish, rows, world = call.data(), _visible(call), call.world
    if "top" in wish:
        still = [row for row in rows if not (row["resolved"] or row["snoozed"] or row["hidden"])]
        still.sort(key=lambda row: str(row["alert_time"]))
        top = [alert_row(world, row) for row in still[: whole(wish["top"])]]
        return reply({"alerts_count": len(still), "alerts": top})
    return reply([alert_row(world, row) for row in _filtered(call, rows, wish)])


async def post_alert(call: Call) -> Answer:
    """Raise an alert without an agent; its id does not come back."""
    data, world = call.data(), call.world
    alert_id = max(world.alerts, default=0) + 1
    world.alerts[alert_id] = {
        "id": alert_id,
        "agent": None,
        "alert_time": stamp(datetime.now(UTC)),
        "alert_type": data.need("alert_type"),
        "severity": data.get("severity", "info"),
        "message": data.get("message"),
        "resolved": False,
        "snoozed": False,
        "hidden": False,
    }
    return reply("ok")


def _alert(call: Call) -> Row:
    row = call.world.alerts.get(int(call.params["pk"]))
    if row is None:
        raise missing("Alert")
    agent = call.world.agent_by_pk(row.get("agent") or 0)
    if agent is not None and not in_scope(call, agent):
        raise detail(403, "You do not have permission to perform this action.")
    return row


async def get_alert(call: Call) -> Answer:
    """One alert."""
    return reply(alert_row(call.world, _alert(call)))


async def edit_alert(call: Call) -> Answer:
    """Resolve, snooze or unsnooze."""
    row, data = _alert(call), call.data()
    match data.get("type"):
        case "resolve":
            _resolve(row)
        case "snooze":
            if "snooze_days" not in data:
                return bad(_SNOOZE_WITHOUT_DAYS)
            until = datetime.now(UTC) + timedelta(days=whole(data["snooze_days"]))
            row.update({"snoozed": True, "snooze_until": stamp(until)})
        case "unsnooze":
            row.update({"snoozed": False, "snooze_until": None})
        case _:
            return bad("There was an error in the request data")
    call.world.effects.record("edit_alert", str(row["id"]), {"type": data["type"]})
    return reply("ok")


async def bulk_alerts(call: Call) -> Answer:
    """Resolve or snooze several; unknown ids are ignored."""
    data = call.data()
    action = data.get("bulk_action")
    if action not in {"resolve", "snooze"}:
        return bad("The request was invalid")
    for alert_id in data.need("alerts"):
        row = call.world.alerts.get(alert_id)
        if row is not None and action == "resolve":
            _resolve(row)
        elif row is not None:
            until = datetime.now(UTC) + timedelta(days=whole(data.need("snooze_days")))
            row.update({"snoozed": True, "snooze_until": stamp(until)})
    return reply("ok")


_POST, _READ, _MANAGE = "POST, OPTIONS", may("can_list_alerts"), may("can_manage_alerts")
_ONE = {"GET": get_alert, "PUT": edit_alert}
_ALERTS = {"PATCH": _READ, "POST": _MANAGE, "GET": _READ}

ENDPOINTS = [
    Endpoint(
        "agents/{agent_id}/checks/",
        {"GET": list_checks},
        may_on_agent("can_list_checks"),
        "GET, POST, HEAD, OPTIONS",
    ),
    Endpoint("checks/{agent_id}/run/", {"POST": run_checks}, may_on_agent("can_run_checks"), _POST),
    Endpoint("checks/{pk:int}/reset/", {"POST": reset_check}, may("can_manage_checks"), _POST),
    Endpoint("checks/{agent_id}/resetall/", {"POST": reset_all}, may_on_agent("can_manage_checks"), _POST),
    Endpoint("alerts/", {"PATCH": list_alerts, "POST": post_alert}, _ALERTS, "POST, PATCH, OPTIONS"),
    Endpoint("alerts/bulk/", {"POST": bulk_alerts}, _MANAGE, _POST),
    Endpoint("alerts/{pk:int}/", _ONE, {"GET": _READ, "PUT": _MANAGE}, "GET, PUT, DELETE, HEAD, OPTIONS"),
]
