"""The module as the server registers it."""

import server.modules.levelio as module
from server.core.registry import Registry


def test_registering_binds_every_action_once() -> None:
    """Eight actions and their handlers fit the contract; a second registration changes nothing."""
    registry = Registry()
    module.register(registry)
    module.register(registry)
    assert sorted(action.definition.id for action in registry.actions) == [
        "levelio.alerts.list_active",
        "levelio.alerts.resolve",
        "levelio.automations.list",
        "levelio.automations.run_status",
        "levelio.automations.trigger",
        "levelio.devices.find",
        "levelio.devices.get",
        "levelio.updates.list",
    ]
    assert registry.provider("levelio") is registry.modules["app:levelio"]


def test_every_action_spends_the_budget_of_the_key() -> None:
    """One budget, 100 requests a minute for all actions together."""
    registry = Registry()
    module.register(registry)
    budgets = {action.definition.budget for action in registry.actions}
    (budget,) = budgets
    assert budget is not None
    assert (budget.name, budget.limit, budget.window) == ("requests", 100, 60.0)
