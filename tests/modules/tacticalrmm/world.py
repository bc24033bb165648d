"""The simulated server that these tests speak to: its seed, and names for what is in it."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import KnoxLogin, TacticalRmmConnection

ONLINE = "OnlineWindowsAgentAAAAAAAAAAAAAAAAAAAAAA"
OFFLINE = "OfflineWindowsAgentAAAAAAAAAAAAAAAAAAAAA"
OVERDUE = "OverdueLinuxAgentAAAAAAAAAAAAAAAAAAAAAAA"
SLOW = "SlowWindowsAgentAAAAAAAAAAAAAAAAAAAAAAAA"
LINUX = "OnlineLinuxAgentAAAAAAAAAAAAAAAAAAAAAAAA"
MAC = "OnlineMacAgentAAAAAAAAAAAAAAAAAAAAAAAAAA"
NOBODY = "NoAgentHasThisIdAAAAAAAAAAAAAAAAAAAAAAAA"

CLEANUP, REPORT, OBEDIENT, ENDLESS, HIDDEN = "1", "2", "3", "4", "5"

API_KEY = "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY01"
OTHER_KEY = "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY02"
POWERLESS_KEY = "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY03"
EXPIRED_KEY = "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY04"
FARM_KEY = "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEY05"
PASSWORD = "correct horse battery"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

RIGHTS = [
    "can_list_agents",
    "can_run_scripts",
    "can_send_cmd",
    "can_reboot_agents",
    "can_list_scripts",
    "can_list_agent_history",
    "can_list_clients",
]


def _agent(number: int, agent_id: str, hostname: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "agent_id": agent_id, "hostname": hostname, "site": 1, **more}


SEED: dict[str, Any] = {
    # One simulated second lasts 20 ms, so a server that waits for an agent does not hold up the tests.
    "settings": {"time_scale": 0.02, "login_per_minute": 0},
    "clients": [{"id": 7, "name": "Quayside Bakery"}, {"id": 9, "name": "Hilltop Farm"}],
    "sites": [{"id": 1, "name": "Shop", "client": 7}, {"id": 2, "name": "Stable", "client": 9}],
    "roles": [
        {"name": "workflow", "permissions": RIGHTS},
        {"name": "powerless"},
        {"name": "farm", "permissions": RIGHTS, "clients": [9]},
    ],
    "users": [
        {"name": "flow", "role": "workflow"},
        {"name": "careful", "role": "workflow", "totp": True},
        {"name": "person", "role": "workflow"},
        {"name": "nobody", "role": "powerless"},
        {"name": "farmer", "role": "farm"},
    ],
    "keys": [
        {"name": "flow", "user": "flow"},
        {"name": "person", "user": "person"},
        {"name": "nobody", "user": "nobody"},
        {"name": "expired", "user": "flow", "expiry": 1_600_000_000.0},
        {"name": "farmer", "user": "farmer"},
    ],
    "agents": [
        _agent(1, ONLINE, "till-01"),
        _agent(2, OFFLINE, "OVEN-02", state="offline"),
        _agent(3, OVERDUE, "store-03", state="overdue", plat="linux"),
        _agent(4, SLOW, "office-04", state="slow", slow_seconds=20.0),
        _agent(5, LINUX, "barn-05", site=2, plat="linux", operating_system="Debian 12 x86_64"),
        _agent(6, MAC, "Studio-06", site=2, plat="darwin"),
    ],
    "scripts": [
        {
            "id": 1,
            "name": "Clear temp",
            "category": "Maintenance",
            "supported_platforms": ["windows"],
            "behaviour": {"stdout": "freed 5 MB\r\n", "stderr": "locked file\r\n", "retcode": 3, "seconds": 0.5},
        },
        {
            "id": 2,
            "name": "disk report",
            "shell": "shell",
            "description": "Free space",
            "supported_platforms": ["linux", "darwin"],
            "behaviour": {"stdout": "{env}\n"},
        },
        {"id": 3, "name": "Obey", "shell": "python", "behaviour": {"stdout": "{args}", "obey_args": True}},
        {"id": 4, "name": "Endless", "shell": "python", "behaviour": {"stdout": "working\n", "seconds": 900_000.0}},
        {"id": 5, "name": "Attic", "hidden": True, "behaviour": {"stdout": "dust"}},
    ],
    "commands": {"whoami": {"stdout": "nt authority\\system\r\n"}},
    "credentials": {
        "keys": {
            "flow": API_KEY,
            "person": OTHER_KEY,
            "nobody": POWERLESS_KEY,
            "expired": EXPIRED_KEY,
            "farmer": FARM_KEY,
        },
        "passwords": {"flow": PASSWORD, "careful": PASSWORD},
        "totp": {"careful": TOTP_SECRET},
    },
}


def by_key(url: str, key: str = API_KEY, *, max_wait: int = 0, allow_templates: bool = False) -> TacticalRmmConnection:
    """Settings of a connection by API key."""
    settings = TacticalRmmConnection(instance_url=url, api_key=key, allow_templates=allow_templates)
    if max_wait:
        settings.max_wait.CopyFrom(Duration(seconds=max_wait))
    return settings


def by_password(
    url: str, username: str = "flow", password: str = PASSWORD, totp_secret: str = ""
) -> TacticalRmmConnection:
    """Settings of a connection by user name and password."""
    login = KnoxLogin(username=username, password=password, totp_secret=totp_secret)
    return TacticalRmmConnection(instance_url=url, login=login)
