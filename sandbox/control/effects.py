"""Counting what really happened in the simulated world."""

import time
from collections import Counter, deque
from itertools import count
from typing import Any

_KEPT = 100_000


class EffectLog:
    """Real changes only: a script that started, a command that ran, a machine that went down.

    Totals are exact for ever; of the items the newest 100,000 are kept.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything; sequence numbers start at 1 again."""
        self._seq = count(1)
        self._by_kind: Counter[str] = Counter()
        self._items: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def record(self, kind: str, target: str, detail: dict[str, Any]) -> None:
        """Note one effect.

        Args:
            kind: What happened, for example `run_script`.
            target: The vendor's identifier of the thing it happened to.
            detail: JSON facts that let a test tell effects apart; no credential.
        """
        self._by_kind[kind] += 1
        item = {"seq": next(self._seq), "kind": kind, "target": target, "detail": detail, "at": time.time()}
        self._items.append(item)

    def report(self, *, kind: str | None = None, target: str | None = None) -> dict[str, Any]:
        """Totals of all effects, and the kept items that match the filters, oldest first."""
        items = [
            item
            for item in self._items
            if (kind is None or item["kind"] == kind) and (target is None or item["target"] == target)
        ]
        return {"total": self._by_kind.total(), "by_kind": dict(self._by_kind), "items": items}
