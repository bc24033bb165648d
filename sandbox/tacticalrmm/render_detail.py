"""The long vendor row of one agent."""

import zoneinfo
from functools import cache
from typing import Any

from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.render import check_counts, default_shell, hardware, last_seen
from sandbox.tacticalrmm.world import World

CREATED = {
    "created_by": None,
    "created_time": "2026-01-05T08:00:00.000001Z",
    "modified_by": None,
    "modified_time": "2026-01-05T08:00:00.000002Z",
}
_COLUMNS = (
    "version",
    "operating_system",
    "plat",
    "goarch",
    "hostname",
    "agent_id",
    "services",
    "public_ip",
    "total_ram",
    "boot_time",
    "monitoring_type",
    "description",
    "overdue_email_alert",
    "overdue_text_alert",
    "overdue_dashboard_alert",
    "offline_time",
    "overdue_time",
    "check_interval",
    "needs_reboot",
    "time_zone",
    "maintenance_mode",
    "block_policy_inheritance",
    "default_shell_custom",
    "site",
    "policy",
)
_DISK = {
    "free": "356 GB",
    "used": "120 GB",
    "total": "476 GB",
    "device": "C:",
    "fstype": "NTFS",
    "percent": 25,
}
_NO_POLICIES = {"agent_policy": None, "site_policy": None, "client_policy": None, "default_policy": None}


@cache
def _time_zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


def _patch_policy(agent: Agent) -> dict[str, Any]:
    severities = dict.fromkeys(("critical", "important", "moderate", "low", "other"), "inherit")
    return {
        "id": agent.id,
        **CREATED,
        **severities,
        "run_time_hour": 3,
        "run_time_frequency": "inherit",
        "run_time_days": [],
        "run_time_day": 1,
        "reboot_after_install": "inherit",
        "reprocess_failed_inherit": True,
        "reprocess_failed": False,
        "reprocess_failed_times": 5,
        "email_if_fail": False,
        "agent": agent.id,
        "policy": None,
    }


def agent_columns(agent: Agent) -> dict[str, Any]:
    """The agent's own columns, as the detail and the beta API both show them."""
    return {
        **CREATED,
        **{name: getattr(agent, name) for name in _COLUMNS},
        "last_seen": last_seen(agent),
        "disks": [_DISK],
        "logged_in_username": "None",
        "last_logged_in_user": agent.logged_username,
        "mesh_node_id": "node//simulated",
        "choco_installed": False,
        "wmi_detail": None,
        "default_shell": agent.default_shell or "use_global",
    }


def agent_detail(world: World, agent: Agent) -> dict[str, Any]:
    """`GET /agents/{agent_id}/`: no integer id, no serial number, the client's name as `client`."""
    policy = _patch_policy(agent)
    return {
        "winupdatepolicy": [policy],
        "status": agent.status,
        **hardware(agent),
        "checks": check_counts(world, agent),
        "timezone": agent.time_zone,
        "all_timezones": _time_zones(),
        "client": world.client_of(agent).name,
        "site_name": world.site_of(agent).name,
        "custom_fields": agent.custom_fields,
        "patches_last_installed": None,
        "applied_policies": _NO_POLICIES,
        "effective_patch_policy": policy,
        "alert_template": None,
        "effective_default_shell": default_shell(agent),
        **agent_columns(agent),
    }
