"""A simulated receiver of Standard Webhooks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox
from sandbox.webhook.app import Receiver

__all__ = ["Receiver", "create_app", "demo_connection"]

_DEMO: JsonObject = {"hooks": ["demo", "other"]}


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The receiver behind its control plane.

    Args:
        seed: A seed file or its content, `{"hooks": [name, ...]}`; two hooks when None.
    """
    world: JsonObject = json.loads(seed.read_text(encoding="utf-8")) if isinstance(seed, Path) else seed or _DEMO
    receiver = Receiver(world)
    return Sandbox(receiver, mask_path=receiver.mask_path)


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection to the first hook, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    hook = next(iter(credentials["hooks"].values()))
    return {"url": f"{url}{hook['path']}", "signing_secret": hook["signing_secret"]}
