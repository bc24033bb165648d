"""Whether a tenant can use a module now, and if not, why."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.sdk.failures import reason_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One row of `rmm_integrations`, with what stands beside it.

    Attributes:
        provider: The provider.
        is_active: Whether the connection is switched on.
        connected_at: When the vendor last accepted the credentials. None: never.
        settings_complete: Whether there are credentials.
        install_status: Status in `teams_integrations`, for Microsoft Teams. None: no row, or another provider.
        addon_active: Whether the tenant has the add-on named like the provider, not expired by the database's clock.
    """

    provider: str
    is_active: bool
    connected_at: datetime | None
    settings_complete: bool = True
    install_status: str | None = None
    addon_active: bool = False


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


def installed_addon(provider: str, label: str) -> AvailabilityResolver:
    """Returns the resolver of tools that are also installed and subscribed to: a connection as for `rmm_connection`, an
    installation that is `active`, and an add-on that has not expired."""
    connected = rmm_connection(provider, label)

    async def resolve(context: AvailabilityContext) -> Verdict:
        verdict, row = await connected(context), await context.integration(provider)
        if not verdict.available or row is None:
            return verdict
        if row.install_status != "active":
            message = f"{label} is not installed for this tenant: {row.install_status or 'not configured'}."
            return Verdict.unavailable("INTEGRATION_INACTIVE", message)
        if not row.addon_active:
            message = f"The tenant's add-on for {label} is missing or has expired."
            return Verdict.unavailable("INTEGRATION_INACTIVE", message, "Activate or renew the add-on for this tenant.")
        return Verdict()

    return resolve
