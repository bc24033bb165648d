"""The server itself, and the tree of clients and sites."""

from typing import Any

from sandbox.tacticalrmm.access import anyone, logged_in, may, role_of
from sandbox.tacticalrmm.models import Client, Site
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, reply

RELEASE, WEB_RELEASE = "1.5.1", "0.0.203"
_NO_FAILURES = {"error": False, "warning": False}
_DASH: dict[str, Any] = {
    "trmm_version": RELEASE,
    "latest_trmm_ver": "error",
    "dark_mode": True,
    "show_community_scripts": True,
    "dbl_click_action": "editagent",
    "default_agent_tbl_tab": "mixed",
    "url_action": None,
    "client_tree_sort": "alphafail",
    "client_tree_splitter": 11,
    "loading_bar_color": "red",
    "clear_search_when_switching": True,
    "hosted": False,
    "date_format": None,
    "default_date_format": "MMM-DD-YYYY - HH:mm",
    "token_is_expired": False,
    "open_ai_integration_enabled": False,
    "dash_info_color": "info",
    "dash_positive_color": "positive",
    "dash_negative_color": "negative",
    "dash_warning_color": "warning",
    "run_cmd_placeholder_text": {"cmd": "ver", "powershell": "Get-Date", "shell": "uptime"},
    "web_terminal_enabled": False,
    "sso_enabled": False,
}


async def root(_call: Call) -> Answer:
    """Reachable without a login."""
    return reply({"status": "ok"})


async def version(_call: Call) -> Answer:
    """The web application's version, not the server's."""
    return reply(WEB_RELEASE)


async def dashinfo(call: Call) -> Answer:
    """Settings of the dashboard, the server's release among them."""
    settings = call.world.settings
    return reply(
        {
            **_DASH,
            "server_scripts_enabled": settings.server_scripts,
            "block_local_user_logon": settings.block_local_logon,
        }
    )


def _inherited() -> dict[str, Any]:
    return {"server_policy": None, "workstation_policy": None, "alert_template": None}


def site_row(call: Call, site: Site) -> dict[str, Any]:
    """A row of `GET /clients/sites/`."""
    return {
        "id": site.id,
        "name": site.name,
        **_inherited(),
        "client_name": call.world.clients[site.client].name,
        "client": site.client,
        "custom_fields": [],
        "block_policy_inheritance": False,
        "failing_checks": _NO_FAILURES,
    }


def _with_counts(call: Call, row: dict[str, Any], sites: set[int]) -> dict[str, Any]:
    agents = [agent for agent in call.world.agents.values() if agent.site in sites]
    maintained = bool(agents) and all(agent.maintenance_mode for agent in agents)
    return {**row, "agent_count": len(agents), "maintenance_mode": maintained}


def _client_row(call: Call, client: Client) -> dict[str, Any]:
    sites = [site for site in call.world.sites.values() if site.client == client.id]
    row = {
        "id": client.id,
        "name": client.name,
        **_inherited(),
        "block_policy_inheritance": False,
        "sites": [_with_counts(call, site_row(call, site), {site.id}) for site in sites],
        "custom_fields": [],
        "failing_checks": _NO_FAILURES,
    }
    return _with_counts(call, row, {site.id for site in sites})


def visible_sites(call: Call) -> list[Site]:
    """Sites within the caller's role, by name."""
    role = role_of(call)
    sites = sorted(call.world.sites.values(), key=lambda site: site.name)
    if role is None or role.superuser or not (role.clients or role.sites):
        return sites
    return [site for site in sites if site.id in role.sites or site.client in role.clients]


async def clients(call: Call) -> Answer:
    """Clients with their sites."""
    seen = {site.client for site in visible_sites(call)}
    known = sorted(call.world.clients.values(), key=lambda client: client.name)
    return reply([_client_row(call, client) for client in known if client.id in seen])


async def sites(call: Call) -> Answer:
    """Sites alone."""
    return reply([site_row(call, site) for site in visible_sites(call)])


_ALLOW = "GET, POST, HEAD, OPTIONS"

ENDPOINTS = [
    Endpoint("", {"GET": root}, anyone, "GET, OPTIONS"),
    Endpoint("core/version/", {"GET": version}, logged_in, "GET, OPTIONS", "Version"),
    Endpoint("core/dashinfo/", {"GET": dashinfo}, logged_in, "GET, OPTIONS", "Dashboard Info"),
    Endpoint("clients/", {"GET": clients}, may("can_list_clients"), _ALLOW),
    Endpoint("clients/sites/", {"GET": sites}, may("can_list_sites"), _ALLOW),
]
