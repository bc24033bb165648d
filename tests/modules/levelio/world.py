"""The simulated account that these tests speak to: its seed, and names for what is in it."""

from typing import Any

from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import LevelIoConnection

API_KEY = "lk-write-4fQ29dXw81kLmZ7r"
READ_ONLY_KEY = "lk-read-81kLmZ7r4fQ29dXw"

APP, DESK, LAPTOP, WEB = "Z2lk/App+01=", "Z2lkDesk02", "Z2lkLaptop03", "Z2lkWeb04"
TOP, SERVERS, OFFICE = "group-top", "group-servers", "group-office"
DISK_ALERT, OFFLINE_ALERT, OLD_ALERT = "alert/disk+1=", "alert-offline-2", "alert-old-3"
CLEANUP, SPOOLER, ONBOARD, SCHEDULED = "auto/cleanup+1=", "auto-spooler-2", "auto-onboard-3", "auto-scheduled-4"
TOKENS = {
    "cleanup": "wh7Qk2mZs9LpX4cVbT1r",
    "spooler-servers": "whServersServersServ",
    "spooler-desks": "whDesksDesksDesksDes",
    "onboard": "whOnboardOnboardOnbo",
}


def _device(id: str, hostname: str, group: str | None, role: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "hostname": hostname, "group_id": group, "role": role, "online": True, "tags": [], **more}


def _alert(id: str, device: str, name: str, severity: str, day: int, resolved: bool = False) -> dict[str, Any]:
    return {
        "id": id,
        "device_id": device,
        "device_hostname": {APP: "app-01", LAPTOP: "Laptop-03"}[device],
        "name": name,
        "description": f"{name} was seen.",
        "payload": None,
        "severity": severity,
        "is_resolved": resolved,
        "started_at": f"2026-11-{day}T07:41:12Z",
        "resolved_at": "2026-11-20T09:00:00Z" if resolved else None,
    }


def _update(id: str, device: str, name: str, category: str, installed: str | None = None) -> dict[str, Any]:
    return {
        "id": id,
        "device_id": device,
        "device_hostname": "app-01",
        "name": name,
        "category": category,
        "kb_ids": ["KB5099001"],
        "is_available": installed is None,
        "error": None,
        "published_on": "2026-11-10T18:00:00Z",
        "installed_on": installed,
    }


SEED: dict[str, Any] = {
    "groups": [
        {"id": TOP, "name": "Northwind"},
        {"id": SERVERS, "name": "Servers", "parent_id": TOP},
        {"id": OFFICE, "name": "Office", "parent_id": TOP},
    ],
    "devices": [
        _device(
            APP,
            "app-01",
            SERVERS,
            "server",
            nickname="App server",
            serial_number="7HQX2K3",
            security_score=82,
            platform="Windows",
            tags=["production"],
            maintenance_mode=False,
            last_seen_at="2026-11-20T08:55:31Z",
            last_reboot_time="2026-11-02T03:14:09Z",
            last_logged_in_user="NORTHWIND\\svc",
            operating_system={
                "full_operating_system": "Windows Server 2022 Standard",
                "major_version": "10",
                "minor_version": "0",
                "end_of_life": False,
            },
            security={"score": 82, "risk": "low", "patch_compliance": True, "firewall_enabled": True},
        ),
        _device(DESK, "Desk-02", OFFICE, "workstation", online=False),
        _device(LAPTOP, "Laptop-03", OFFICE, "workstation"),
        _device(WEB, "web-04", None, "server"),
    ],
    "alerts": [
        _alert(OLD_ALERT, APP, "Service stopped", "emergency", 10, resolved=True),
        _alert(OFFLINE_ALERT, LAPTOP, "Device offline", "warning", 18),
        _alert(DISK_ALERT, APP, "Low disk space", "critical", 20),
    ],
    "updates": [
        _update("update-1", APP, "2026-10 Cumulative Update", "Security Updates", "2026-10-15T02:00:00Z"),
        _update("update-2", APP, "2026-11 Cumulative Update", "Security Updates"),
        _update("update-3", DESK, "Firmware 1.12", "Firmware"),
    ],
    "automations": [
        {
            "id": CLEANUP,
            "name": "free up disk space",
            "description": "Clears temp folders.",
            "group_id": TOP,
            "group_name": "Northwind",
            "steps": [{"name": "Clear", "status": "success", "output": "Removed 3.1 GB"}, {"name": "Report"}],
        },
        {"id": SPOOLER, "name": "Restart spooler", "outcome": "warning"},
        {"id": ONBOARD, "name": "Onboard device", "outcome": "error"},
        {"id": SCHEDULED, "name": "Weekly report"},
    ],
    "triggers": [
        {
            "id": "cleanup",
            "name": "Called by the PSA",
            "automation_id": CLEANUP,
            "parameters": ["device_ids", "threshold_gb"],
            "requires_authorization_header": True,
        },
        {"id": "spooler-servers", "name": "Servers", "automation_id": SPOOLER, "conditions": {"role": "server"}},
        {"id": "spooler-desks", "name": "Desks", "automation_id": SPOOLER, "conditions": {"role": "workstation"}},
        {"id": "onboard", "automation_id": ONBOARD},
    ],
    "credentials": {"api_key": API_KEY, "read_only_key": READ_ONLY_KEY, "tokens": TOKENS},
}


def by_key(url: str, key: str = API_KEY) -> LevelIoConnection:
    """Settings of a connection."""
    return LevelIoConnection(instance_url=url, api_key=key)
