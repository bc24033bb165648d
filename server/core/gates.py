"""Which vendor budget a call spends."""

from google.protobuf.message import Message

from server.contract.definitions import ActionDefinition
from server.core.ports import Budgets
from server.sdk.scope import Gate


def gate(
    budgets: Budgets,
    definition: ActionDefinition,
    request: Message,
    *,
    tenant: str,
    connection_id: str | None,
    interactive: bool,
) -> Gate | None:
    """Returns the gate of the budget that the action declares; None when it declares none."""
    budget = definition.budget
    if budget is None:
        return None
    scope = "/".join(str(getattr(request, name)) for name in budget.scope_fields)
    return budgets.gate(tenant, connection_id, definition.group_key, budget, scope, interactive=interactive)
