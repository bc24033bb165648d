"""The module as the server registers it."""

import ast
from pathlib import Path

import server.modules.ninjaone as module
from server.core.registry import Registry

FOLDER = Path(module.__file__).parent


def test_registering_binds_every_action_once() -> None:
    """Eight actions, their handlers and the probe fit the contract; a second registration changes nothing."""
    registry = Registry()
    module.register(registry)
    module.register(registry)
    assert len(list(registry.actions)) == 8
    assert registry.action("ninjaone.devices.run_script").probe is not None
    assert registry.action("ninjaone.devices.reboot").sends_at_once


def test_handlers_know_neither_http_nor_json() -> None:
    """They speak to the client; only client and connection know how NinjaOne answers."""
    tree = ast.parse((FOLDER / "actions.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "server.modules.ninjaone.client" in imported
    assert imported.isdisjoint({"server.sdk.http", "json", "httpx", "aiohttp", "asyncpg"})
