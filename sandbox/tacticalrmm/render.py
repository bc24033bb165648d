"""Vendor rows of the world's records."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.tacticalrmm.models import Agent, HistoryRow, Script
from sandbox.tacticalrmm.world import World

_AGE = {"online": timedelta(seconds=20), "slow": timedelta(seconds=20)}
_DEFAULT_SHELLS = {"windows": "cmd", "linux": "bash", "darwin": "bash"}


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def last_seen(agent: Agent) -> str:
    """A moment that fits the agent's state: seconds ago, or beyond the offline or overdue limit."""
    minutes = {"offline": agent.offline_time + 6, "overdue": agent.overdue_time + 15}.get(agent.state, 0)
    return stamp(datetime.now(UTC) - _AGE.get(agent.state, timedelta(minutes=minutes)))


def check_counts(world: World, agent: Agent) -> dict[str, Any]:
    """How many checks of the agent pass and fail."""
    rows = [row for row in world.checks.values() if row["agent"] == agent.id]
    counts = {"total": len(rows), "passing": 0, "failing": 0, "warning": 0, "info": 0}
    for row in rows:
        result = row.get("check_result", {})
        status = result.get("status")
        if status == "failing":
            counts[{"warning": "warning", "info": "info"}.get(result.get("alert_severity"), "failing")] += 1
        elif status == "passing":
            counts["passing"] += 1
    return {**counts, "has_failing_checks": counts["failing"] + counts["warning"] > 0}


def _pending(world: World, agent: Agent) -> int:
    return sum(1 for row in world.pending.values() if row["agent"] == agent.id and row["status"] == "pending")


def hardware(agent: Agent) -> dict[str, Any]:
    """The facts list and detail name alike."""
    return {
        "cpu_model": agent.cpu_model,
        "graphics": agent.graphics,
        "local_ips": agent.local_ips,
        "make_model": agent.make_model,
        "physical_disks": agent.physical_disks,
    }


def _system(agent: Agent) -> dict[str, Any]:
    return {
        "plat": agent.plat,
        "goarch": agent.goarch,
        "version": agent.version,
        "operating_system": agent.operating_system,
        "public_ip": agent.public_ip,
    }


def agent_short(world: World, agent: Agent) -> dict[str, Any]:
    """A row of `GET /agents/?detail=false`."""
    return {
        "id": agent.id,
        "hostname": agent.hostname,
        "agent_id": agent.agent_id,
        "client": world.client_of(agent).name,
        "site": world.site_of(agent).name,
    }


def agent_row(world: World, agent: Agent) -> dict[str, Any]:
    """A row of `GET /agents/`. The key `policy` is there only when a policy is set."""
    row = {
        "agent_id": agent.agent_id,
        "alert_template": None,
        "hostname": agent.hostname,
        "site_name": world.site_of(agent).name,
        "client_name": world.client_of(agent).name,
        "monitoring_type": agent.monitoring_type,
        "description": agent.description,
        "needs_reboot": agent.needs_reboot,
        "pending_actions_count": _pending(world, agent),
        "status": agent.status,
        "overdue_text_alert": agent.overdue_text_alert,
        "overdue_email_alert": agent.overdue_email_alert,
        "overdue_dashboard_alert": agent.overdue_dashboard_alert,
        "last_seen": last_seen(agent),
        "boot_time": agent.boot_time,
        "checks": check_counts(world, agent),
        "maintenance_mode": agent.maintenance_mode,
        "logged_username": agent.logged_username,
        "italic": agent.logged_username != "-",
        "block_policy_inheritance": agent.block_policy_inheritance,
        **_system(agent),
        "has_patches_pending": any(patch["agent"] == agent.id for patch in world.winupdates.values()),
        **hardware(agent),
        "custom_fields": agent.custom_fields,
        "serial_number": agent.serial_number,
    }
    return row if agent.policy is None else {**row, "policy": agent.policy}


def default_shell(agent: Agent) -> str:
    """The shell the server's settings give an agent without one of its own."""
    return agent.default_shell or _DEFAULT_SHELLS[agent.plat]


def script_row(script: Script) -> dict[str, Any]:
    """A row of `GET /scripts/`."""
    return {
        "id": script.id,
        "name": script.name,
        "description": script.description,
        "script_type": script.script_type,
        "shell": script.shell,
        "args": script.args,
        "category": script.category,
        "favorite": script.favorite,
        "default_timeout": script.default_timeout,
        "syntax": script.syntax,
        "filename": script.filename,
        "hidden": script.hidden,
        "supported_platforms": script.supported_platforms,
        "run_as_user": script.run_as_user,
        "env_vars": script.env_vars,
    }


def script_detail(script: Script) -> dict[str, Any]:
    """`GET /scripts/{id}/`: the row with the body, without the type."""
    row = script_row(script)
    del row["script_type"]
    return {**row, "script_body": script.script_body, "script_hash": None}


def history_row(row: HistoryRow) -> dict[str, Any]:
    """A row of `GET /agents/{agent_id}/history/`. Rows of commands have no `script_name`."""
    named = {"script_name": row.script_name} if row.type == "script_run" else {}
    return {
        "id": row.id,
        **named,
        "time": stamp(row.time),
        "type": row.type,
        "command": row.command,
        "username": row.username,
        "results": row.results,
        "script_results": row.script_results,
        "collector_all_output": row.collector_all_output,
        "save_to_agent_note": row.save_to_agent_note,
        "agent": row.agent,
        "script": row.script,
        "custom_field": row.custom_field,
    }


_ALERT_ACTIONS = ("run", "stdout", "stderr", "retcode", "execution_time")
_ALERT_DEFAULTS: dict[str, Any] = {
    "snoozed": False,
    "snooze_until": None,
    "resolved": False,
    "resolved_on": None,
    "hidden": False,
    **dict.fromkeys(("email_sent", "resolved_email_sent", "sms_sent", "resolved_sms_sent")),
    **{f"{prefix}action_{name}": None for prefix in ("", "resolved_") for name in _ALERT_ACTIONS},
    "agent": None,
    "assigned_check": None,
    "assigned_task": None,
}
_CHECK_NULLS = (
    "name",
    "ip",
    "timeout",
    "svc_name",
    "svc_display_name",
    "pass_if_start_pending",
    "restart_if_stopped",
    "svc_policy_mode",
    "log_name",
    "event_id",
    "event_type",
    "event_source",
    "event_message",
    "fail_when",
    "search_last_days",
    "policy",
    "script",
    "error_threshold",
    "warning_threshold",
    "disk",
    "alert_template",
    "created_by",
    "modified_by",
)
_CHECK_FALSE = (
    "overridden_by_policy",
    "email_alert",
    "text_alert",
    "dashboard_alert",
    "pass_if_svc_not_exist",
    "event_id_is_wildcard",
    "managed_by_policy",
)
_CHECK_LISTS = (
    "assignedtasks",
    "script_args",
    "env_vars",
    "info_return_codes",
    "warning_return_codes",
    "success_return_codes",
)


def alert_row(world: World, row: dict[str, Any]) -> dict[str, Any]:
    """An alert; the four keys that tell the machine are there only when it has one."""
    agent = world.agent_by_pk(row.get("agent") or 0)
    whole_row = {"id": row["id"], **_ALERT_DEFAULTS, **row}
    if agent is None:
        return whole_row
    short = agent_short(world, agent)
    del short["id"]
    return {**whole_row, **short}


def check_row(row: dict[str, Any]) -> dict[str, Any]:
    """A check with every column; `check_result` is an empty object when it never ran."""
    result = row.get("check_result") or {}
    unset = dict.fromkeys(("outage_history", "extra_details"))
    return {
        **dict.fromkeys(_CHECK_NULLS),
        **dict.fromkeys(_CHECK_FALSE, False),
        **{name: [] for name in _CHECK_LISTS},
        "created_time": "2026-01-05T08:00:00.000001Z",
        "modified_time": "2026-01-05T08:00:00.000002Z",
        "fails_b4_alert": 1,
        "run_interval": 0,
        "alert_severity": "warning",
        "number_of_events_b4_alert": 1,
        **row,
        "check_result": {**unset, "history": [], **result} if result else {},
    }
