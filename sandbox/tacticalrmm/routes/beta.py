"""The beta API, off by default. It shows every agent to every role that may list agents."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from sandbox.tacticalrmm.access import logged_in, may
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.render import check_counts, hardware, last_seen
from sandbox.tacticalrmm.render_detail import CREATED, agent_columns
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, Crash, Refused, bad, detail, reply

_PAGE, _LARGEST_PAGE = 100, 1000
_EXACT = ("hostname", "operating_system")
_CHOICES = {"plat": ("windows", "linux", "darwin"), "monitoring_type": ("server", "workstation")}
_ONLY_DETAIL = {
    "default_shell",
    "default_shell_custom",
    "created_by",
    "created_time",
    "modified_by",
    "modified_time",
}

Row = dict[str, Any]


def _base(call: Call) -> str:
    return f"http://{call.text_header(b'host')}"


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdigit() and int(text) > 0 else default


def _page(call: Call, rows: list[Row]) -> Answer:
    query = call.query
    size = min(_number(query.get("page_size"), _PAGE), _LARGEST_PAGE)
    page = _number(query.get("page"), 1)
    last = max(1, -(-len(rows) // size))
    if page > last:
        raise detail(404, "Invalid page.")

    def link(number: int) -> str:
        parameters = sorted({**query, "page": str(number)}.items())
        return f"{_base(call)}{call.path}?{urlencode(parameters)}"

    return reply(
        {
            "count": len(rows),
            "next": link(page + 1) if page < last else None,
            "previous": link(page - 1) if page > 1 else None,
            "results": rows[(page - 1) * size : page * size],
        }
    )


def _beta_columns(agent: Agent) -> Row:
    return {**agent_columns(agent), "alert_template": None, "patches_last_installed": None}


def _refuse_choice(field: str, value: str) -> Refused:
    return Refused(bad({field: [f"Select a valid choice. {value} is not one of the available choices."]}))


def _check_choices(call: Call, query: dict[str, str]) -> None:
    for field, allowed in _CHOICES.items():
        if field in query and query[field] not in allowed:
            raise _refuse_choice(field, query[field])
    if "site" in query and query["site"] not in {str(site) for site in call.world.sites}:
        raise _refuse_choice("site", "That choice")


def _conditions(call: Call, query: dict[str, str]) -> Iterable[Callable[[Agent], bool]]:
    exact = {name: query[name] for name in (*_EXACT, *_CHOICES, "id", "site") if name in query}
    yield lambda agent: all(str(getattr(agent, name)) == value for name, value in exact.items())
    if "client_id" in query:
        yield lambda agent: str(call.world.client_of(agent).id) == query["client_id"]
    if "search" in query:
        yield lambda agent: query["search"].lower() in agent.hostname.lower()
    if "last_seen_range_after" in query:
        yield lambda agent: last_seen(agent) >= query["last_seen_range_after"]
    if "last_seen_range_before" in query:
        yield lambda agent: last_seen(agent) <= query["last_seen_range_before"]


async def list_agents(call: Call) -> Answer:
    """Pages of raw columns: no status, no client, no site name."""
    query = call.query
    if "agent_id" in query:
        raise Crash
    _check_choices(call, query)
    conditions = list(_conditions(call, query))
    agents = [agent for agent in call.world.agents.values() if all(holds(agent) for holds in conditions)]
    agents.sort(key=lambda agent: agent.id, reverse=query.get("ordering") == "-id")
    return _page(call, [{"id": agent.id, **_beta_columns(agent)} for agent in agents])


async def get_agent(call: Call) -> Answer:
    """One agent by its integer id; the 40-letter identifier is not found."""
    key = call.params["pk"]
    agent = call.world.agent_by_pk(int(key)) if key.isdigit() else None
    if agent is None:
        raise detail(404, "Not found.")
    columns = {name: value for name, value in _beta_columns(agent).items() if name not in _ONLY_DETAIL}
    return reply(
        {
            **columns,
            "hex_mesh_node_id": "error",
            "status": agent.status,
            "checks": check_counts(call.world, agent),
            "pending_actions_count": sum(1 for row in call.world.pending.values() if row["agent"] == agent.id),
            **hardware(agent),
            "serial_number": agent.serial_number,
        }
    )


async def edit_agent(_call: Call) -> Answer:
    """Its permission class fails on this path, for everyone."""
    raise Crash


def _owner(owner: Any) -> Row:
    return {
        "id": owner.id,
        **CREATED,
        "name": owner.name,
        "block_policy_inheritance": False,
        "failing_checks": {"error": False, "warning": False},
        "workstation_policy": None,
        "server_policy": None,
        "alert_template": None,
    }


async def list_clients(call: Call) -> Answer:
    """A bare array, unlike the other lists."""
    return reply([_owner(client) for client in sorted(call.world.clients.values(), key=lambda one: one.name)])


async def list_sites(call: Call) -> Answer:
    """Pages of sites."""
    return _page(call, [{**_owner(site), "client": site.client} for site in call.world.sites.values()])


async def root(call: Call) -> Answer:
    """Links to the lists."""
    return reply({name: f"{_base(call)}/beta/v1/{name}/" for name in ("agent", "client", "site")})


_LIST = may("can_list_agents")

ENDPOINTS = [
    Endpoint("beta/v1/", {"GET": root}, logged_in, "GET, HEAD, OPTIONS", "Api Root"),
    Endpoint("beta/v1/agent/", {"GET": list_agents}, _LIST, "GET", "Agent List"),
    Endpoint("beta/v1/agent/{pk:text}/", {"GET": get_agent, "PUT": edit_agent}, _LIST, "GET, PUT", "Agent Instance"),
    Endpoint("beta/v1/client/", {"GET": list_clients}, may("can_list_clients"), "GET", "Client List"),
    Endpoint("beta/v1/site/", {"GET": list_sites}, may("can_list_sites"), "GET", "Site List"),
]
