"""Whether a tenant can use a module now, and if not, why."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.sdk.failures import reason_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One row of `rmm_integrations`."""

    provider: str
    is_active: bool
    connected_at: datetime | None
    settings_complete: bool = True


class AvailabilityContext(Protocol):
    """What a resolver may look at. Reads are shared by all resolvers of one tenant."""

    @property
    def tenant(self) -> str:
        """The tenant's id."""

    async def integration(self, provider: str) -> Integration | None:
        """Returns the tenant's integration with that provider."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A resolver's answer. `reason` is empty when available; `message` then too."""

    reason: str = ""
    message: str = ""
    remedy: str = ""

    @property
    def available(self) -> bool:
        """True when the module can be used."""
        return not self.reason

    @classmethod
    def unavailable(cls, reason: str, message: str, remedy: str = "") -> "Verdict":
        """Returns a refusal; the remedy defaults to the one of the common reason."""
        return cls(reason, message, remedy or reason_facts(reason).remedy)


AvailabilityResolver = Callable[[AvailabilityContext], Awaitable[Verdict]]


def rmm_connection(provider: str, label: str = "") -> AvailabilityResolver:
    """Returns the resolver of tools that connect through `rmm_integrations`: a row, active, with `connected_at`."""
    name = label or provider

    async def resolve(context: AvailabilityContext) -> Verdict:
        row = await context.integration(provider)
        if row is None:
            return Verdict.unavailable("NOT_CONNECTED", f"{name} is not connected for this tenant.")
        if not row.is_active:
            return Verdict.unavailable("INTEGRATION_INACTIVE", f"The connection to {name} is switched off.")
        if row.connected_at is None:
            return Verdict.unavailable("NOT_CONNECTED", f"{name} has never accepted the credentials.")
        return Verdict()

    return resolve
