"""The endpoints of Tactical RMM that Patchbay uses, as a small library.

Vendor JSON is mapped here, once, into frozen types. Built on `/agents/`, which every server has and which obeys the
role of the account; the beta API is off by default. Every path ends in a slash: the server redirects others, and a
redirected write loses its body. `run_on_server` is never sent. Facts: Tactical RMM 1.5.1, observed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import (
    Agent,
    RunScriptRequest,
    Script,
    TacticalRmmConnection,
)
from server.modules.tacticalrmm.connection import NATS_DOWN, Pace, bus_down, instance_url, read_error, signed_in
from server.sdk import ActionFailure, ConnectionScope, Device, DeviceFilter, OutcomeUnknown
from server.sdk.devices import Devices
from server.sdk.following import unless_failed
from server.sdk.http import HttpClient, HttpResponse
from server.sdk.listing import Listing
from server.sdk.paging import Row
from server.sdk.reading import an_object, clean, filled, moment, number, objects, text, told_at, whole
from server.sdk.recent import Recent
from server.sdk.rows import joined
from server.sdk.sessions import Session

DEFAULT_MAX_WAIT = 50.0
AGENTS: Final = Devices(Agent, "tacticalrmm", agent_id="device_id", hostname="name", agent_online="online").where(
    last_seen_at="last_seen", os_name="operating_system", organization_name=("client_name", "client"), platform="plat"
)

_MARGIN = 15.0  # seconds that our wait is longer than the server's
_PING_SECONDS = 30.0  # three tries of 2 s; about 14 s when the server's bus is down
_READ_SECONDS = 30.0
_REBOOT_SECONDS = 10.0
_YEAR = 366 * 86_400.0
_MAX_BYTES = 32 * 1024 * 1024  # lists are not paged; an agent's history holds the output of every run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What the agent reported about a script that ended; `seconds` is its own measure, `exit_code` has 32 bits."""

    stdout: str
    stderr: str
    exit_code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One entry of an agent's history. The server makes it before it calls the agent; `result` follows."""

    id: int
    script_id: str
    username: str
    time: datetime | None
    result: RunResult | None


@dataclass(frozen=True, slots=True)
class History:
    """An agent's script runs by id; `newest` is the highest id of any entry, 0 when there is none."""

    rows: tuple[HistoryRow, ...]
    newest: int
    told_at: datetime


class TacticalClient:
    """One server with one account.

    Args:
        scope: The connection; sends nothing yet.

    Attributes:
        max_wait: Longest time in seconds that the server's front end keeps a request open.
        allow_templates: Whether `{{...}}` may go to the server, which expands it.
        username: The account's name in histories; empty when not known.
        pace: How patiently histories are watched.
    """

    instance_url = staticmethod(instance_url)

    def __init__(self, scope: ConnectionScope[TacticalRmmConnection]) -> None:
        settings, base = scope.settings, instance_url(scope.settings)
        # No `Authorization` header beside an API key: the server would look at that one first.
        headers = {"X-API-KEY": settings.api_key} if settings.api_key else {}
        http = scope.http.bind(base_url=base, headers=headers, read_error=read_error, max_bytes=_MAX_BYTES)
        sign_in = partial(signed_in, http, settings.login)
        self._sender = http if settings.api_key else Session(http, sign_in, "Token")
        self.max_wait = settings.max_wait.ToTimedelta().total_seconds() or DEFAULT_MAX_WAIT
        self.allow_templates = settings.allow_templates
        self.username = settings.login.username[:50]  # as the server cuts it
        self.pace = Pace()
        self._organizations: Recent[Mapping[str | None, str]] = Recent(self._organization_ids, {})

    async def check(self) -> None:
        """Proves the credentials by the cheapest call that needs the right every action needs: no client has id 0, so
        the answer is an empty list however large the fleet is. Raises ActionFailure when they are not accepted."""
        await self._list("/agents/", "can_list_agents", {"detail": "false", "client": "0"})

    def mask(self, text: str) -> str:
        """Returns the text without the secrets of the running call."""
        return HttpClient.mask(text)

    async def devices(self, wanted: DeviceFilter) -> Listing[Row]:
        """Returns every agent that the account may see; the server has no search of its own."""
        del wanted
        rows = await self._list("/agents/", "can_list_agents", {"detail": "true"})
        return Listing(await self._with_organizations(rows))

    async def device(self, agent_id: str) -> Row:
        """Returns one agent with the id of its organization."""
        return (await self._with_organizations([await self._agent(agent_id)]))[0]

    async def agent(self, agent_id: str) -> Device:
        """Returns one agent as the server tells it: the organization by its name only."""
        return AGENTS.of(await self._agent(agent_id), agent_id)

    async def _agent(self, agent_id: str) -> Row:
        return an_object(await self._send("GET", f"/agents/{agent_id}/", "can_list_agents"))

    async def _with_organizations(self, agents: Sequence[Row]) -> list[Row]:
        """List rows call the organization `client_name`, details call it `client`."""
        return joined(agents, "organization_id", ("client_name", "client"), await self._organizations.get())

    async def _organization_ids(self) -> Mapping[str | None, str]:
        """Returns ids of clients by name: agents tell names only. The account may not be allowed to list clients."""
        rows = await self._list("/clients/", "can_list_clients")
        return {str(row["name"]): str(row["id"]) for row in rows if "name" in row and "id" in row}

    async def online(self, agent_id: str) -> bool:
        """Asks the agent itself, by way of the server; about 8 s when it does not answer."""
        path = f"/agents/{agent_id}/ping/"
        response = await self._send("GET", path, "can_list_agents", seconds=_PING_SECONDS)
        return an_object(response).get("status") == "online"

    async def silent(self, agent_id: str) -> bool:
        """Says whether the agent is proved not to answer now; False also when that cannot be found out."""
        return await unless_failed(self.online(agent_id)) is False

    async def scripts(self) -> list[dict[str, Any]]:
        """Returns the script library as the server tells it, community scripts and hidden ones included."""
        return await self._list("/scripts/", "can_list_scripts")

    async def script(self, script_id: str) -> Script:
        """Returns one script; no platforms means all."""
        return filled(Script, an_object(await self._send("GET", f"/scripts/{script_id}/", "can_list_scripts")))

    async def history(self, agent_id: str) -> History:
        """Returns what was run on an agent."""
        response = await self._send("GET", f"/agents/{agent_id}/history/", "can_list_agent_history")
        rows = objects(response)
        runs = sorted((_history_row(row) for row in rows if row.get("script") is not None), key=lambda row: row.id)
        newest = max((whole(row.get("id")) or 0 for row in rows), default=0)
        return History(tuple(runs), newest, told_at(response))

    async def run_script(self, order: RunScriptRequest, *, wait: bool) -> str:
        """Orders a run; returns the output, or a sentence when not waiting. `timeout` and `natsdown` may be either the
        script's output or the server's word for a failure: the history tells which.

        Raises:
            OutcomeUnknown: The order went out and no usable answer came.
        """
        body = {
            "script": int(order.script_id),
            "output": "wait" if wait else "forget",
            "args": list(order.args),
            "env_vars": list(order.env_vars),
            "run_as_user": order.run_as_user,
            "timeout": order.timeout,
            "emailMode": "default",
            "emails": [],
            "custom_field": None,
            "save_all_output": False,
        }
        seconds = order.timeout + 3 if wait else _READ_SECONDS
        return await self._order(f"/agents/{order.agent_id}/runscript/", "can_run_scripts", seconds, body)

    async def run_command(self, agent_id: str, command: str, *, shell: str, limit: int, as_user: bool) -> str:
        """Runs a command and returns what it printed.

        Raises:
            NotReached: The agent did not answer in time.
            ActionFailure: VENDOR_UNAVAILABLE, when the server cannot reach its bus.
        """
        body = {"shell": shell, "cmd": command, "timeout": limit, "run_as_user": as_user}
        said = await self._order(f"/agents/{agent_id}/cmd/", "can_send_cmd", limit + 2, body)
        if said == NATS_DOWN:
            raise bus_down()
        return said

    async def reboot(self, agent_id: str) -> None:
        """Has the agent reboot now; returns once it has accepted.

        Raises:
            NotReached: The agent did not answer in time.
            OutcomeUnknown: The server answered something else than the agent's acceptance.
        """
        said = await self._order(f"/agents/{agent_id}/reboot/", "can_reboot_agents", _REBOOT_SECONDS)
        if said == NATS_DOWN:
            raise bus_down()
        if said != "ok":
            raise OutcomeUnknown("The answer is not the agent's acceptance.", vendor_message=self.mask(said))

    async def _order(self, path: str, right: str, seconds: float, body: Mapping[str, Any] | None = None) -> str:
        response = await self._send("POST", path, right, json=body, seconds=seconds + _MARGIN)
        said = response.json()
        return clean(said) if isinstance(said, str) else json.dumps(said)

    async def _list(self, path: str, right: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        return objects(await self._send("GET", path, right, params=params))

    async def _send(
        self, method: str, path: str, right: str, *, seconds: float = _READ_SECONDS, **more: Any
    ) -> HttpResponse:
        try:
            return await self._sender.request(method, path, timeout=seconds, **more)
        except ActionFailure as failure:
            if failure.failure.reason == "VENDOR_PERMISSION_DENIED":
                failure.failure.remedy.text = (
                    f"Give the account's role in Tactical RMM the right `{right}`, for the agent's client and site too."
                )
            raise


def _history_row(row: Mapping[str, Any]) -> HistoryRow:
    told = row.get("script_results")
    return HistoryRow(
        id=whole(row.get("id")) or 0,
        script_id=str(row.get("script")),
        username=str(row.get("username") or ""),
        time=moment(row.get("time")),
        result=_result(told) if isinstance(told, dict) else None,
    )


def _result(told: Mapping[str, Any]) -> RunResult:
    seconds = number(told.get("execution_time")) or 0.0
    return RunResult(
        stdout=text(told.get("stdout")) or "",
        stderr=text(told.get("stderr")) or "",
        # Windows codes such as 0xC0000005 are told unsigned; the same bits as a signed number are the usual form.
        exit_code=((whole(told.get("retcode")) or 0) + 2**31) % 2**32 - 2**31,
        seconds=seconds if 0 <= seconds < _YEAR else 0.0,
    )
