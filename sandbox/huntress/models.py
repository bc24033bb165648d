"""Records of the simulated world. Their fields are the vendor's, so that a record is also its answer."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["sent", "closed", "dismissed", "auto_remediating", "deleting", "partner_dismissed"]
ErrorShape = Literal["error", "message", "errors", "fields", "text", "empty"]


@dataclass(slots=True, kw_only=True)
class Settings:
    """How the vendor behaves where its documents leave room.

    Attributes:
        clock: Unix time that the vendor believes in. None: the real one.
        rate_limit, rate_window: So many requests in any span of so many seconds, per account.
        retry_after: Value of `Retry-After` on 429. None: no header, as no document names one.
        wrap_account, wrap_actor: Whether the thing stands under its name.
        last_page: What `pagination` is on the last page: an empty object, or two nulls.
        errors: Shape of error bodies.
        wrong_status: Status of resolving a report that is not `sent`.
        rejected: Status that a report takes when its remediations are rejected.
        completion_seconds: How long approved remediations take.
    """

    clock: float | None = None
    rate_limit: int = 60
    rate_window: float = 60.0
    retry_after: int | None = None
    wrap_account: bool = True
    wrap_actor: bool = False
    last_page: Literal["empty", "nulls"] = "empty"
    errors: ErrorShape = "error"
    wrong_status: Literal[409, 422] = 422
    rejected: Status = "auto_remediating"
    completion_seconds: float = 60.0


@dataclass(slots=True, kw_only=True)
class Account:
    """A customer of Huntress."""

    id: int
    name: str
    subdomain: str
    status: Literal["enabled", "disabled"] = "enabled"
    support_type: str = "huntress_supported"
    neighborhood_watch: dict[str, int] = field(default_factory=dict)
    billing_address: dict[str, Any] | None = None
    shipping_address: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Key:
    """An API key; it may write only when it belongs to a user (`id`, `email`, `name`)."""

    name: str
    account_id: int
    user: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Organization:
    """A customer of the account."""

    id: int
    account_id: int
    name: str
    key: str
    agents_count: int | None = 0
    incident_reports_count: int = 0
    logs_sources_count: int = 0
    billable_identity_count: int = 0
    identity_provider_tenant_id: str | None = None
    sat_learner_count: int = 0
    report_recipients: list[str] = field(default_factory=list)
    created_at: str = "2025-01-09T13:02:00Z"
    updated_at: str = "2026-11-12T06:00:13Z"


@dataclass(slots=True, kw_only=True)
class Agent:
    """An endpoint."""

    id: int
    account_id: int
    organization_id: int | None
    hostname: str | None
    platform: str | None = "windows"
    os: str | None = "Windows 11 Pro"
    version: str | None = "0.14.88"
    edr_version: str | None = None
    arch: str = "x86_64"
    domain_name: str | None = None
    ipv4_address: str | None = None
    external_ip: str | None = None
    mac_addresses: list[str] = field(default_factory=list)
    serial_number: str | None = None
    tags: list[str] = field(default_factory=list)
    defender_status: str = "Healthy"
    firewall_status: str = "Enabled"
    last_callback_at: str | None = None
    last_survey_at: str | None = None
    created_at: str = "2025-01-09T13:02:00Z"
    updated_at: str = "2026-11-20T09:11:02Z"


@dataclass(slots=True, kw_only=True)
class Remediation:
    """Something to be done about an incident."""

    id: int
    type: Literal["assisted", "manual", "containment"] = "assisted"
    action: str = "Delete File"
    parameters: Any = None
    status: Literal["unapproved", "approved", "completed", "failed", "cancelled"] = "unapproved"
    approved_at: str | None = None
    approved_by: dict[str, Any] | None = None
    completed_at: str | None = None


@dataclass(slots=True, kw_only=True)
class IncidentReport:
    """A report of the SOC; answers show its first ten remediations."""

    id: int
    account_id: int
    organization_id: int | None = None
    agent_id: int | None = None
    subject: str | None = None
    summary: str = ""
    body: str | None = None
    severity: Literal["low", "high", "critical"] = "low"
    status: Status = "sent"
    platform: str = "windows"
    indicator_types: list[str] = field(default_factory=list)
    indicator_counts: dict[str, int] = field(default_factory=dict)
    remediations: list[Remediation] = field(default_factory=list)
    sent_at: str | None = None
    closed_at: str | None = None
    status_updated_at: str = "2026-11-20T09:20:05Z"
    updated_at: str = "2026-11-20T09:30:12Z"
