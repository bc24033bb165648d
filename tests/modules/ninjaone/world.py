"""The simulated instance that these tests speak to: its seed, and names for what is in it."""

from typing import Any

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import NinjaOneConnection

SERVER, DESK, OFFLINE, LINUX, MAC = "31", "40", "41", "52", "53"
CLEANUP, LOGS, FAILING, ENDLESS = "146", "147", "148", "150"
FLUSH = "7c0a5d0e-1111-4222-8333-944455566677"
DISK_ALERT, SPOOLER_ALERT = "b7d7c1de-2222-4333-9444-a55566677788", "b7d7c1de-2222-4333-9444-a55566677789"
NO_ALERT = "b7d7c1de-2222-4333-9444-a55566677700"

WEB_SECRET, SERVICE_SECRET = "web-Secret/9vQ27mXc4LpZ8/kT+signs=1", "service-Secret-4fQ29dXw81"
REFRESH_TOKEN = "rt-first-81kLmZ7r4fQ29dXw"
READER_SECRET = "reader-Secret-kLmZ7r4fQ2"


def _device(number: str, name: str, organization: int, **more: Any) -> dict[str, Any]:
    return {"id": int(number), "system_name": name, "organization": organization, **more}


def _script(number: str, name: str, **more: Any) -> dict[str, Any]:
    return {"id": int(number), "name": name, **more}


SEED: dict[str, Any] = {
    # One simulated second lasts 20 ms; what takes no time is told at once.
    "settings": {"time_scale": 0.02},
    "apps": [
        {"client_id": "services", "grants": ["client_credentials"]},
        {"client_id": "web", "name": "demo", "grants": ["authorization_code", "refresh_token"]},
        {"client_id": "native", "grants": ["authorization_code", "refresh_token"], "secret": False},
        {"client_id": "reader", "grants": ["client_credentials"], "scopes": ["monitoring"]},
    ],
    "users": [{"name": "admin"}],
    "organizations": [{"id": 12, "name": "Quayside Bakery"}, {"id": 14, "name": "Hilltop Farm"}],
    "devices": [
        _device(
            SERVER,
            "FS-01",
            12,
            display_name="File server",
            node_class="WINDOWS_SERVER",
            dns_name="fs-01.quayside.test",
            os_name="Windows Server 2022 Standard",
            ip_addresses=["10.4.0.11"],
        ),
        _device(DESK, "pc-17", 12, last_user="QUAYSIDE\\jo"),
        _device(OFFLINE, "PC-18", 12, offline=True, last_contact=1789000000.5),
        _device(LINUX, "barn-05", 14, node_class="LINUX_SERVER", os_name="Debian GNU/Linux 12"),
        _device(MAC, "Studio-06", 14, node_class="MAC", missing=["offline", "organizationId", "lastContact", "os"]),
    ],
    "scripts": [
        _script(CLEANUP, "Clear temp", operating_systems=["WINDOWS", "MAC"], data={"exitCode": 0}),
        _script(LOGS, "collect logs", language="sh", operating_systems=["LINUX"], seconds=0.5),
        _script(FAILING, "Failing check", result="FAILURE", data={"exitCode": 3}),
        _script(ENDLESS, "Endless", result=""),
        {"uid": FLUSH, "name": "Flush DNS", "language": "native", "description": "Empties the resolver's cache"},
    ],
    "stored_credentials": [{"id": 26, "name": "svc-admin"}],
    "alerts": [
        {"uid": DISK_ALERT, "device": int(SERVER), "message": "C: free space below 10%"},
        {
            "uid": SPOOLER_ALERT,
            "device": int(DESK),
            "message": "Spooler has stopped",
            "source_name": "Spooler stopped",
            "severity": "MODERATE",
            "priority": "MEDIUM",
            "source_type": "CONDITION_WINDOWS_SERVICE_STATE_CHANGED",
            "created": 1790000900.0,
        },
    ],
    "credentials": {
        "secrets": {"web": WEB_SECRET, "services": SERVICE_SECRET, "reader": READER_SECRET},
        "refresh_tokens": {"web": REFRESH_TOKEN},
    },
}


def by_user(url: str, refresh_token: str = REFRESH_TOKEN) -> NinjaOneConnection:
    """Settings of a connection for a user who signed in before."""
    return NinjaOneConnection(instance_url=url, client_id="web", client_secret=WEB_SECRET, refresh_token=refresh_token)


def by_app(url: str, client_id: str = "services", secret: str = SERVICE_SECRET) -> NinjaOneConnection:
    """Settings of a connection for the app itself."""
    return NinjaOneConnection(instance_url=url, client_id=client_id, client_secret=secret, client_credentials=True)
