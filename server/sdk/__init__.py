"""The only surface that a module is written against."""

from server.errors import PatchbayError
from server.sdk.accounts import MICROSOFT, Account, AccountBook, AccountIdInvalid
from server.sdk.alert_book import Alert, AlertBook
from server.sdk.availability import (
    AvailabilityContext,
    AvailabilityResolver,
    Integration,
    Verdict,
    installed_addon,
    rmm_connection,
)
from server.sdk.context import ActionContext, Deadline, LocalTransaction, ProbeContext
from server.sdk.conversations import ConversationBook, ConversationReference
from server.sdk.failures import ActionFailure, Effect, FailureCategory, OutcomeUnknown
from server.sdk.inventory import Device, DeviceFilter, Inventory
from server.sdk.module import (
    ClientClass,
    ConnectionScope,
    Handler,
    IntegrationModule,
    Probe,
    Registrar,
    SignIn,
    handlers_in,
    probes_in,
    sends_at_once,
    transactional,
)

__all__ = [
    "MICROSOFT",
    "Account",
    "AccountBook",
    "AccountIdInvalid",
    "ActionContext",
    "ActionFailure",
    "Alert",
    "AlertBook",
    "AvailabilityContext",
    "AvailabilityResolver",
    "ClientClass",
    "ConnectionScope",
    "ConversationBook",
    "ConversationReference",
    "Deadline",
    "Device",
    "DeviceFilter",
    "Effect",
    "FailureCategory",
    "Handler",
    "Integration",
    "IntegrationModule",
    "Inventory",
    "LocalTransaction",
    "OutcomeUnknown",
    "PatchbayError",
    "Probe",
    "ProbeContext",
    "Registrar",
    "SignIn",
    "Verdict",
    "handlers_in",
    "installed_addon",
    "probes_in",
    "rmm_connection",
    "sends_at_once",
    "transactional",
]
