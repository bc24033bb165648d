"""The simulated account that these tests speak to: its seed, and names for what is in it."""

from typing import Any

from server.gen.patchbay.modules.huntress.v1.huntress_pb2 import HuntressConnection

READY, OPEN, CLOSED, DISMISSED, FOREIGN, NOBODY = "701", "702", "703", "704", "801", "999"
BAKERY, FARM = "31", "32"
TILL, OVEN = "51", "52"

KEYS = {
    "user": {"api_key": "hk_user_11112222", "api_secret": "hs_user_secret_33334444"},
    "account": {"api_key": "hk_account_55556666", "api_secret": "hs_account_secret_77778888"},
}


def _report(id: str, updated: int, **more: Any) -> dict[str, Any]:
    return {"id": int(id), "account_id": 1, "updated_at": f"2026-11-20T09:{updated:02}:00Z", **more}


SEED: dict[str, Any] = {
    "settings": {"rate_limit": 100_000},
    "accounts": [
        {"id": 1, "name": "Tidewater", "subdomain": "tidewater"},
        {"id": 2, "name": "Somebody else", "subdomain": "else"},
    ],
    "keys": [
        {"name": "user", "account_id": 1, "user": {"id": 5, "email": "desk@tidewater.example.com", "name": "Desk"}},
        {"name": "account", "account_id": 1},
    ],
    "credentials": KEYS,
    "organizations": [
        {"id": 31, "account_id": 1, "name": "Quayside Bakery", "key": "bakery", "agents_count": 2},
        {"id": 32, "account_id": 1, "name": "Hilltop Farm", "key": "farm", "agents_count": None},
        {"id": 33, "account_id": 1, "name": "quay two", "key": "quay"},
    ],
    "agents": [
        {
            "id": 51,
            "account_id": 1,
            "organization_id": 31,
            "hostname": "till-01",
            "ipv4_address": "192.0.2.7",
            "last_callback_at": "2026-11-20T09:11:02Z",
        },
        {
            "id": 52,
            "account_id": 1,
            "organization_id": None,
            "hostname": None,
            "platform": None,
            "os": None,
            "version": None,
        },
    ],
    "incident_reports": [
        _report(
            READY,
            30,
            organization_id=31,
            agent_id=51,
            subject="HIGH - Incident on till-01 (Quayside Bakery)",
            summary="A loader was found.",
            body="<p>loader</p>",
            severity="high",
            indicator_types=["footholds", "process_detections"],
            remediations=[{"id": 1, "status": "approved"}, {"id": 2, "status": "completed"}],
            sent_at="2026-11-20T09:20:05Z",
        ),
        _report(
            OPEN,
            40,
            organization_id=31,
            severity="critical",
            remediations=[{"id": 3}, {"id": 4}, {"id": 5, "status": "approved"}],
        ),
        _report(
            CLOSED,
            10,
            organization_id=32,
            platform="microsoft_365",
            severity="high",
            status="closed",
            closed_at="2026-11-19T08:00:00Z",
        ),
        _report(DISMISSED, 20, status="dismissed"),
        {"id": 801, "account_id": 2},
    ],
}


def by_key(url: str, name: str = "user", **changes: Any) -> HuntressConnection:
    """Settings of a connection with one of the keys."""
    return HuntressConnection(**{"instance_url": url, **KEYS[name], **changes})
