"""Plans of the Catalog, Connections and Identity services."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patchbay_client import calls
from patchbay_client.errors import ConnectFailed
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Plan, Session, asked
from patchbay_client.values import to_struct

_VENDOR_TIMEOUT = 90.0  # connecting asks the vendor, whose own time is up to a minute


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made. `secret` is shown this once; it is left out of the object's text."""

    key: v1.ApiKey
    secret: str = field(repr=False)


def get_catalog(session: Session, *, tenant: str | None = None, etag: str = "") -> Plan[v1.GetCatalogResponse]:
    """Returns all groups with their availability and actions; `not_modified` when `etag` is current."""
    request = v1.GetCatalogRequest(tenant=session.tenant_of(tenant), etag=etag)
    return (yield from asked(session, calls.GET_CATALOG, request))


def get_action(
    session: Session, action: str, *, version: int = 0, tenant: str | None = None
) -> Plan[v1.ActionDefinition]:
    """Returns everything about one action, both schemas included."""
    request = v1.GetActionRequest(tenant=session.tenant_of(tenant), action=action, version=version)
    answer = yield from asked(session, calls.GET_ACTION, request)
    return answer.action or v1.ActionDefinition()


def list_field_options(
    session: Session,
    action: str,
    field_name: str,
    *,
    query: str = "",
    inputs: Mapping[str, Any] | None = None,
    version: int = 0,
    page_size: int = 0,
    page_token: str = "",
    tenant: str | None = None,
) -> Plan[v1.ListFieldOptionsResponse]:
    """Returns the choices of an input field; `failure` or `empty_reason` say why there are none."""
    request = v1.ListFieldOptionsRequest(
        tenant=session.tenant_of(tenant),
        action=action,
        version=version,
        field=field_name,
        query=query,
        page_size=page_size,
        page_token=page_token,
        inputs=to_struct(inputs) if inputs else None,
    )
    return (yield from asked(session, calls.LIST_FIELD_OPTIONS, request))


def list_providers(session: Session) -> Plan[list[v1.Provider]]:
    """Returns the tools that can be connected, each with the schema of its settings."""
    return (yield from asked(session, calls.LIST_PROVIDERS, v1.ListProvidersRequest())).providers


def connect(
    session: Session,
    provider: str,
    settings: Mapping[str, Any],
    *,
    private_networks: Sequence[str] = (),
    plain_http: bool = False,
    tenant: str | None = None,
) -> Plan[v1.Connection]:
    """Tests settings and credentials at the vendor and stores them when it accepts them.

    Args:
        session: The client's defaults.
        provider: Name of the tool, such as `tacticalrmm`.
        settings: Settings and credentials, valid under the provider's schema.
        private_networks: Networks in CIDR notation that may be reached although they are not public.
        plain_http: Allows http without TLS.
        tenant: Tenant. None: the client's.

    Raises:
        ConnectFailed: The vendor refused, or could not be asked; nothing was stored.
        InvalidInput: Settings break the schema; `violations` names the fields.
    """
    request = v1.ConnectRequest(
        tenant=session.tenant_of(tenant),
        provider=provider,
        settings=to_struct(settings),
        grant=_grant(private_networks, plain_http=plain_http),
    )
    answer = yield from asked(session, calls.CONNECT, request, _VENDOR_TIMEOUT)
    if answer.failure is not None:
        raise ConnectFailed(answer.failure)
    return answer.connection or v1.Connection()


def begin_sign_in(
    session: Session,
    provider: str,
    settings: Mapping[str, Any],
    *,
    redirect_uri: str,
    state: str,
    code_challenge: str,
    private_networks: Sequence[str] = (),
    plain_http: bool = False,
    tenant: str | None = None,
) -> Plan[str]:
    """Returns the address at which a person signs in to the vendor, for providers with `sign_in_field`.

    Args:
        session: The client's defaults.
        provider: Name of the tool.
        settings: Settings as for `connect`, without the one that takes the code.
        redirect_uri: Where the vendor sends the browser back to.
        state: Random text that must come back with the code; compare it.
        code_challenge: PKCE challenge of kind S256.
        private_networks: Networks in CIDR notation that may be reached although they are not public.
        plain_http: Allows http without TLS.
        tenant: Tenant. None: the client's.

    Raises:
        ConnectFailed: The vendor's address cannot be used.
        InvalidInput: Settings break the schema; `violations` names the fields.
    """
    request = v1.BeginSignInRequest(
        tenant=session.tenant_of(tenant),
        provider=provider,
        settings=to_struct(settings),
        grant=_grant(private_networks, plain_http=plain_http),
        redirect_uri=redirect_uri,
        state=state,
        code_challenge=code_challenge,
    )
    answer = yield from asked(session, calls.BEGIN_SIGN_IN, request)
    if answer.failure is not None:
        raise ConnectFailed(answer.failure)
    return answer.authorize_url


def _grant(private_networks: Sequence[str], *, plain_http: bool) -> v1.EgressGrant | None:
    if not private_networks and not plain_http:
        return None
    return v1.EgressGrant(private_networks=list(private_networks), plain_http=plain_http)


def try_connection(session: Session, provider: str, *, tenant: str | None = None) -> Plan[v1.Connection]:
    """Tests the stored credentials at the vendor.

    Raises:
        ConnectFailed: The vendor refused them, or could not be asked.
    """
    request = v1.TestConnectionRequest(tenant=session.tenant_of(tenant), provider=provider)
    answer = yield from asked(session, calls.TEST_CONNECTION, request, _VENDOR_TIMEOUT)
    if answer.failure is not None:
        raise ConnectFailed(answer.failure, answer.connection)
    return answer.connection or v1.Connection()


def disconnect(session: Session, provider: str, *, tenant: str | None = None) -> Plan[v1.Connection]:
    """Makes a connection inactive and destroys its credentials."""
    request = v1.DisconnectRequest(tenant=session.tenant_of(tenant), provider=provider)
    answer = yield from asked(session, calls.DISCONNECT, request)
    return answer.connection or v1.Connection()


def list_connections(session: Session, *, tenant: str | None = None) -> Plan[list[v1.Connection]]:
    """Returns the tenant's connections, without secrets."""
    request = v1.ListConnectionsRequest(tenant=session.tenant_of(tenant))
    return (yield from asked(session, calls.LIST_CONNECTIONS, request)).connections


def create_tenant(session: Session, slug: str, *, tenant_id: str = "") -> Plan[v1.Tenant]:
    """Creates a tenant, or returns the one that has the slug already."""
    request = v1.CreateTenantRequest(slug=slug, id=tenant_id)
    return (yield from asked(session, calls.CREATE_TENANT, request)).tenant or v1.Tenant()


def list_tenants(session: Session) -> Plan[list[v1.Tenant]]:
    """Returns the tenants that the caller may name."""
    return (yield from asked(session, calls.LIST_TENANTS, v1.ListTenantsRequest())).tenants


def create_api_key(
    session: Session,
    label: str,
    *,
    tenants: Sequence[str] = (),
    permissions: Sequence[str] = (),
    expires: dt.datetime | None = None,
) -> Plan[NewApiKey]:
    """Creates an API key and returns its secret, which is shown this once.

    Args:
        session: The client's defaults.
        label: What it is for.
        tenants: Ids or slugs of the tenants it may name. Empty: every tenant that the caller may name.
        permissions: What it may do. Empty: `catalog`, `executions.read` and every action.
        expires: When it ends, with a time zone. None: never.
    """
    request = v1.CreateApiKeyRequest(
        label=label, tenants=list(tenants), permissions=list(permissions), expire_time=expires
    )
    answer = yield from asked(session, calls.CREATE_API_KEY, request)
    return NewApiKey(answer.key or v1.ApiKey(), answer.secret)


def list_api_keys(session: Session) -> Plan[list[v1.ApiKey]]:
    """Returns keys without their secrets, newest first."""
    return (yield from asked(session, calls.LIST_API_KEYS, v1.ListApiKeysRequest())).keys


def revoke_api_key(session: Session, key_id: str) -> Plan[v1.ApiKey]:
    """Revokes a key on all replicas at once."""
    answer = yield from asked(session, calls.REVOKE_API_KEY, v1.RevokeApiKeyRequest(id=key_id))
    return answer.key or v1.ApiKey()
