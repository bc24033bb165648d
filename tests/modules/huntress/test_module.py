"""The module as the server registers it."""

import server.modules.huntress as module
from server.core.registry import Registry
from tests.modules.huntress.test_served import TILE


def test_registering_binds_every_action_to_the_budget() -> None:
    """Six actions fit the contract; each spends the same 60 requests in 60 seconds; only resolving has a probe."""
    registry = Registry()
    module.register(registry)
    module.register(registry)
    actions = {action.definition.id: action for action in registry.actions}
    assert set(actions) == set(TILE)
    budgets = {(one.definition.budget.name, one.definition.budget.limit) for one in actions.values()}
    windows = {(one.definition.budget.window, one.definition.budget.scope_fields) for one in actions.values()}
    assert (budgets, windows) == ({("requests", 60)}, {(60.0, ())})
    assert [id for id, one in actions.items() if one.probe is not None] == ["huntress.incidents.resolve"]
