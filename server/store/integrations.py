"""Connections: table `rmm_integrations`, with the credentials beside it."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

import asyncpg
from google.protobuf import json_format
from google.protobuf.message import Message

from server.core.connection_records import AcceptedConnection, StoredConnection
from server.core.connection_tokens import TokenOwner
from server.core.vault import Sealed
from server.gen.patchbay.v1 import connections_pb2, failure_pb2
from server.sdk.availability import Integration
from server.store.credentials import SEALED_COLUMNS, sealed_of, store_credentials
from server.store.database import Database
from server.store.outbox import tell_news
from server.store.tokens import replace_tokens

M = TypeVar("M", bound=Message)

_COLUMNS: Final = (
    "i.tenant, i.integration_id, i.provider, i.instance_url, i.is_active, i.connected_at, i.settings, "
    "i.egress_grant, i.revision, i.last_failure"
)
_LOAD: Final = f"""
    SELECT {_COLUMNS}, {SEALED_COLUMNS} FROM rmm_integrations i
    LEFT JOIN connection_credentials c USING (tenant, integration_id)
    WHERE i.tenant = $1 AND i.provider = $2
"""
_LIST: Final = f"""
    SELECT {_COLUMNS} FROM rmm_integrations i WHERE i.tenant = $1 ORDER BY i.provider
"""
_AVAILABILITY: Final = """
    SELECT i.provider, i.is_active, i.connected_at, c.integration_id IS NOT NULL AS settings_complete,
        CASE i.provider WHEN 'teams' THEN t.install_status END AS install_status,
        EXISTS (
            SELECT FROM tenant_addons a
            WHERE a.tenant = i.tenant AND a.addon_key = i.provider AND (a.expires_at IS NULL OR a.expires_at > now())
        ) AS addon_active
    FROM rmm_integrations i
    LEFT JOIN connection_credentials c USING (tenant, integration_id)
    LEFT JOIN teams_integrations t USING (tenant)
    WHERE i.tenant = $1
"""
_SAVE: Final = f"""
    INSERT INTO rmm_integrations AS i
        (tenant, integration_id, provider, instance_url, is_active, connected_at, settings, egress_grant)
    VALUES ($1, $2, $3, $4, true, now(), $5, $6)
    ON CONFLICT (tenant, provider) DO UPDATE SET
        instance_url = excluded.instance_url, is_active = true, connected_at = now(),
        settings = excluded.settings, egress_grant = excluded.egress_grant, revision = i.revision + 1,
        last_failure = NULL
    RETURNING {_COLUMNS}
"""
_TESTED: Final = f"""
    UPDATE rmm_integrations i SET
        last_failure = $4, connected_at = CASE WHEN $4::jsonb IS NULL THEN now() ELSE i.connected_at END
    WHERE i.tenant = $1 AND i.integration_id = $2 AND i.revision = $3
    RETURNING {_COLUMNS}
"""
_LOCK: Final = f"""
    SELECT {_COLUMNS} FROM rmm_integrations i WHERE i.tenant = $1 AND i.provider = $2 FOR UPDATE
"""
_DESTROY: Final = "DELETE FROM connection_credentials WHERE tenant = $1 AND integration_id = $2"
_DEACTIVATE: Final = f"""
    UPDATE rmm_integrations i SET is_active = false, revision = i.revision + 1, last_failure = NULL
    WHERE i.tenant = $1 AND i.integration_id = $2
    RETURNING {_COLUMNS}
"""


class IntegrationRows:
    """The store of connections. Raises DatabaseUnavailable when PostgreSQL does not answer.

    Args:
        database: Where.
        consumers: Providers whose connections are told of events.
    """

    def __init__(self, database: Database, consumers: Collection[str] = ()) -> None:
        self._database = database
        self._consumers = frozenset(consumers)

    async def integrations(self, tenant: str) -> Mapping[str, Integration]:
        """Returns what availability depends on, for all providers of a tenant, in one query."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(_AVAILABILITY, tenant)
        return {row["provider"]: Integration(**row) for row in rows}

    async def load(self, tenant: str, provider: str) -> tuple[StoredConnection, Sealed | None] | None:
        """Returns a connection with its sealed settings, in one query."""
        async with self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(_LOAD, tenant, provider)
        return None if row is None else (_stored(row), sealed_of(row))

    async def list(self, tenant: str) -> Sequence[StoredConnection]:
        """Returns the tenant's connections by provider."""
        async with self._database.tenant(tenant) as connection:
            return [_stored(row) for row in await connection.fetch(_LIST, tenant)]

    async def save(self, accepted: AcceptedConnection) -> StoredConnection:
        """Stores or replaces a connection, credentials and tokens in one transaction: active, connected now."""
        new = accepted.connection
        async with self._database.tenant(new.tenant) as connection, connection.transaction():
            row = await connection.fetchrow(
                _SAVE,
                new.tenant,
                new.id,
                new.provider,
                new.instance_url or None,
                json.dumps(new.settings),
                json.dumps(json_format.MessageToDict(new.grant, preserving_proto_field_name=True)),
            )
            if row is None:
                raise RuntimeError("INSERT returned no row")
            stored = _stored(row)
            await store_credentials(connection, stored.tenant, stored.id, accepted.seal(stored.id))
            tokens = accepted.seal_tokens(stored.id) if accepted.seal_tokens else {}
            await replace_tokens(connection, TokenOwner(stored.tenant, stored.id, stored.revision), tokens)
            if stored.provider in self._consumers:
                await tell_news(connection, stored.tenant, stored.provider)
        return stored

    async def record_test(
        self, tested: StoredConnection, failure: failure_pb2.Failure | None
    ) -> StoredConnection | None:
        """Records a test of that revision; None when the connection has changed meanwhile."""
        told = None
        if failure is not None:
            told = json.dumps(json_format.MessageToDict(failure, preserving_proto_field_name=True))
        async with self._database.tenant(tested.tenant) as connection:
            row = await connection.fetchrow(_TESTED, tested.tenant, tested.id, tested.revision, told)
        return None if row is None else _stored(row)

    async def deactivate(self, tenant: str, provider: str) -> StoredConnection | None:
        """Makes a connection inactive and deletes its credentials and tokens; None when there is none."""
        async with self._database.tenant(tenant) as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK, tenant, provider)
            if row is None:
                return None
            destroyed = await connection.execute(_DESTROY, tenant, row["integration_id"])
            await replace_tokens(connection, TokenOwner(tenant, str(row["integration_id"]), row["revision"]), {})
            if row["is_active"] or destroyed != "DELETE 0":
                row = await connection.fetchrow(_DEACTIVATE, tenant, row["integration_id"])
        return None if row is None else _stored(row)


def _stored(row: asyncpg.Record) -> StoredConnection:
    failure = None
    if row["last_failure"] is not None:
        failure = _parsed(row["last_failure"], failure_pb2.Failure())
    return StoredConnection(
        tenant=str(row["tenant"]),
        id=str(row["integration_id"]),
        provider=row["provider"],
        instance_url=row["instance_url"] or "",
        is_active=row["is_active"],
        connected_at=row["connected_at"],
        settings=json.loads(row["settings"]),
        grant=_parsed(row["egress_grant"], connections_pb2.EgressGrant()),
        revision=row["revision"],
        last_failure=failure,
    )


def _parsed(text: str, message: M) -> M:
    return json_format.Parse(text, message, ignore_unknown_fields=True)
