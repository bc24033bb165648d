"""The load generator: keeps a number of calls in flight for a while and tells what came of them.

It sends and takes bytes only, so that it costs the same whoever answers. One order per line on standard input:
`target`, `path`, `requests` (base64, taken in turn), `keys` (a prefix: each request gets an idempotency key of its
own; empty: none), `api_key` (empty: none), `in_flight`, and `seconds` or `calls`.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, cycle
from time import perf_counter
from typing import Any

import grpc

from benchmarks import child

_KEY_TAG = b"\x2a"  # field 5, length-delimited: ExecuteActionRequest.idempotency_key
_TIMEOUT = 30.0


def with_keys(requests: Iterator[bytes], prefix: str) -> Iterator[bytes]:
    """Appends to each serialized ExecuteActionRequest a key of its own, of fewer than 128 bytes."""
    for number, request in zip(count(), requests, strict=False):
        key = f"{prefix}-{number}".encode()
        yield b"%b%b%c%b" % (request, _KEY_TAG, len(key), key)


class Burst:
    """One measurement."""

    def __init__(self, call: Callable[..., Any], order: dict[str, Any]) -> None:
        requests = cycle([base64.b64decode(one) for one in order["requests"]])
        self._requests = with_keys(requests, order["keys"]) if order["keys"] else requests
        self._call = call
        self._metadata = (("authorization", f"Bearer {order['api_key']}"),) if order["api_key"] else None
        self._in_flight = order["in_flight"]
        self._seconds = order.get("seconds", 3600.0)
        self._left = order.get("calls", 1 << 40)
        self._latencies: list[float] = []
        self._errors: list[str] = []
        self._answer = b""

    async def run(self) -> dict[str, Any]:
        """Returns calls, seconds, latencies in milliseconds, errors, and one answer."""
        began = perf_counter()
        await asyncio.gather(*(self._work(began + self._seconds) for _ in range(self._in_flight)))
        spent = perf_counter() - began
        ordered = sorted(self._latencies)
        return {
            "calls": len(ordered),
            "seconds": spent,
            "p50": percentile(ordered, 0.50) * 1000,
            "p99": percentile(ordered, 0.99) * 1000,
            "errors": self._errors,
            "answer": base64.b64encode(self._answer).decode(),
        }

    async def _work(self, ends: float) -> None:
        with suppress(grpc.RpcError):
            while (now := perf_counter()) < ends and self._left > 0:
                self._left -= 1
                try:
                    self._answer = await self._call(next(self._requests), timeout=_TIMEOUT, metadata=self._metadata)
                except grpc.aio.AioRpcError as error:
                    self._errors.append(f"{error.code().name}: {error.details()}")
                    raise
                self._latencies.append(perf_counter() - now)


def percentile(ordered: list[float], share: float) -> float:
    """Returns the value below which a share of the ordered values lies; 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def _job(_config: dict[str, Any]) -> None:
    channels: dict[str, grpc.aio.Channel] = {}
    lines = await child.orders()
    child.say({"ready": True})
    while line := await lines.readline():
        order = json.loads(line)
        target = order["target"]
        if target not in channels:
            channels[target] = grpc.aio.insecure_channel(target)
        child.say(await Burst(channels[target].unary_unary(order["path"]), order).run())
    for channel in channels.values():
        await channel.close()


if __name__ == "__main__":
    child.run(_job)
