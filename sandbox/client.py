"""Speaking to a sandbox's control plane, from blocking and from asynchronous code."""

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

JsonObject = dict[str, Any]
_TIMEOUT_SECONDS = 30.0


class SandboxRefused(Exception):  # the caller's wish was refused; nothing is broken
    """The control plane answered with an error status."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects of the simulated world.

    Attributes:
        total: How many happened since the last reset.
        by_kind: The same by kind, for example `{"run_script": 2}`.
        items: The kept ones that matched the query, oldest first: `seq`, `kind`, `target`, `detail`, `at` (epoch).
    """

    total: int
    by_kind: dict[str, int]
    items: list[JsonObject]

    def count(self, kind: str) -> int:
        """How many effects of one kind happened."""
        return self.by_kind.get(kind, 0)


class SandboxControl:
    """Blocking client of `/_sandbox/`. Holds no connection open, needs no closing.

    Args:
        base_url: Address of the sandbox, `http://127.0.0.1:PORT`.

    Every method raises `SandboxRefused` when the control plane refuses, `OSError` when it is not there.
    """

    def __init__(self, base_url: str) -> None:
        address = urlsplit(base_url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80

    def health(self) -> JsonObject:
        """`{"ok": true, "simulator": name}`."""
        return self._object("GET", "health")

    def add_fault(
        self,
        kind: str,
        *,
        method: str | None = None,
        path_regex: str | None = None,
        times: int = 1,
        skip: int = 0,
        **fault: Any,
    ) -> int:
        """Let matching requests suffer a fault.

        Args:
            kind: delay, hang, status, reset_before, reset_after, garbage, huge_body or truncate.
            method: Only requests with this HTTP method.
            path_regex: Only requests in whose path this is found.
            times: How many requests suffer; 0 means all until removed.
            skip: How many matching requests pass first.
            **fault: `seconds`, `status`, `body`, `headers`, `bytes`, `after` (the effect happens all the same).

        Returns:
            Id of the fault, for `remove_fault`.
        """
        match = {"method": method, "path_regex": path_regex, "times": times, "skip": skip}
        answer = self._object("POST", "faults", {"match": match, "fault": {"kind": kind, **fault}})
        return int(answer["id"])

    def faults(self) -> list[JsonObject]:
        """Faults still waiting for a request."""
        return self._items("faults")

    def remove_fault(self, fault_id: int) -> None:
        """Remove one fault; requests hanging on it go on."""
        self._call("DELETE", f"faults/{fault_id}")

    def clear_faults(self) -> None:
        """Remove all faults; hanging requests go on."""
        self._call("DELETE", "faults")

    def effects(self, *, kind: str | None = None, target: str | None = None) -> Effects:
        """What really happened; filters narrow the items, not the totals."""
        query = {name: value for name, value in (("kind", kind), ("target", target)) if value is not None}
        return Effects(**self._object("GET", "effects?" + urlencode(query)))

    def requests(self, limit: int = 100) -> list[JsonObject]:
        """The newest requests, oldest first; credentials are shown as a SHA-256 prefix."""
        return self._items(f"requests?limit={limit}")

    def reset(self) -> None:
        """Back to the seed; faults, effects and requests are forgotten."""
        self._call("POST", "reset")

    def state(self) -> JsonObject:
        """The simulated world."""
        return self._object("GET", "state")

    def patch_state(self, **changes: Any) -> JsonObject:
        """Change the world; the keys are the simulator's own. Returns the new world."""
        return self._object("PATCH", "state", changes)

    def credentials(self) -> JsonObject:
        """What a client needs to log in, in plain text."""
        return self._object("GET", "credentials")

    def order(self, name: str, **wish: Any) -> JsonObject:
        """What only this simulator does: `POST /_sandbox/<name>`. Returns what came of it."""
        return self._object("POST", name, wish)

    def _items(self, path: str) -> list[JsonObject]:
        items: list[JsonObject] = self._object("GET", path)["items"]
        return items

    def _object(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        answer: JsonObject = json.loads(self._call(method, path, body))
        return answer

    def _call(self, method: str, path: str, body: JsonObject | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/_sandbox/{path}", None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise SandboxRefused(f"{method} /_sandbox/{path}: {response.status} {answer.decode(errors='replace')}")
        return answer


class AsyncSandboxControl:
    """The same for asynchronous code; each call runs the blocking one in a worker thread."""

    def __init__(self, base_url: str) -> None:
        self._control = SandboxControl(base_url)

    async def health(self) -> JsonObject:
        """See `SandboxControl.health`."""
        return await asyncio.to_thread(self._control.health)

    async def add_fault(self, kind: str, **match_and_fault: Any) -> int:
        """See `SandboxControl.add_fault`."""
        return await asyncio.to_thread(self._control.add_fault, kind, **match_and_fault)

    async def faults(self) -> list[JsonObject]:
        """See `SandboxControl.faults`."""
        return await asyncio.to_thread(self._control.faults)

    async def remove_fault(self, fault_id: int) -> None:
        """See `SandboxControl.remove_fault`."""
        await asyncio.to_thread(self._control.remove_fault, fault_id)

    async def clear_faults(self) -> None:
        """See `SandboxControl.clear_faults`."""
        await asyncio.to_thread(self._control.clear_faults)

    async def effects(self, *, kind: str | None = None, target: str | None = None) -> Effects:
        """See `SandboxControl.effects`."""
        return await asyncio.to_thread(self._control.effects, kind=kind, target=target)

    async def requests(self, limit: int = 100) -> list[JsonObject]:
        """See `SandboxControl.requests`."""
        return await asyncio.to_thread(self._control.requests, limit)

    async def reset(self) -> None:
        """See `SandboxControl.reset`."""
        await asyncio.to_thread(self._control.reset)

    async def state(self) -> JsonObject:
        """See `SandboxControl.state`."""
        return await asyncio.to_thread(self._control.state)

    async def patch_state(self, **changes: Any) -> JsonObject:
        """See `SandboxControl.patch_state`."""
        return await asyncio.to_thread(self._control.patch_state, **changes)

    async def credentials(self) -> JsonObject:
        """See `SandboxControl.credentials`."""
        return await asyncio.to_thread(self._control.credentials)

    async def order(self, name: str, **wish: Any) -> JsonObject:
        """See `SandboxControl.order`."""
        return await asyncio.to_thread(self._control.order, name, **wish)
