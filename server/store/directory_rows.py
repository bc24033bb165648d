"""Users and work items as rows."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from server.core.directory_records import DirectoryUser, LinkedAccount
from server.sdk.schedule import WorkItem
from server.store.accounts import OF_USER_U

NAME: Final = "coalesce(nullif(trim(concat_ws(' ', u.first_name, u.last_name)), ''), u.username)"
USERS: Final = f"""
    SELECT u.user_id::text AS id, u.username, u.email, u.first_name, u.last_name, u.user_type, u.timezone,
        NOT u.is_inactive AS is_active,
        ARRAY(SELECT r.role_name FROM user_roles x JOIN roles r USING (tenant, role_id)
            WHERE x.tenant = u.tenant AND x.user_id = u.user_id ORDER BY lower(r.role_name)) AS roles,
        ({OF_USER_U}) AS accounts,
        EXISTS (SELECT FROM calendar_providers c WHERE c.tenant = u.tenant AND c.user_id = u.user_id
            AND c.provider_type = 'microsoft' AND c.is_active AND c.status = 'connected') AS calendar_connected
    FROM users u WHERE u.tenant = $1
"""
FOUND: Final = f"strpos(lower(concat_ws(' ', {NAME}, u.username, u.email)), lower($2)) > 0"
IS_TECHNICIAN: Final = """(
    u.user_type = 'internal' AND EXISTS (
        SELECT FROM user_roles x JOIN roles r USING (tenant, role_id)
        WHERE x.tenant = u.tenant AND x.user_id = u.user_id AND lower(r.role_name) = 'technician'))
"""
CAN_BE_BOOKED: Final = f"(NOT u.is_inactive AND {IS_TECHNICIAN})"
BY_NAME: Final = f"lower({NAME}), u.user_id"
LISTED: Final = f"""
    {USERS} AND ($2 = '' OR {FOUND})
        AND ($3::text IS NULL OR ({BY_NAME}) > (lower($3), $4::uuid))
        AND (NOT $5 OR {CAN_BE_BOOKED})
    ORDER BY {BY_NAME} LIMIT $6
"""
# Whoever changes the directory of a tenant has the tenant's row; who books has those of the users, in this order, too.
LOCK_DIRECTORY: Final = "SELECT FROM tenants WHERE tenant = $1 FOR NO KEY UPDATE"
LOCK_USERS: Final = """
    SELECT FROM users WHERE tenant = $1 AND user_id = ANY ($2::uuid[]) ORDER BY user_id FOR NO KEY UPDATE
"""
PUT_USERS: Final = """
    INSERT INTO users (tenant, user_id, username, email, first_name, last_name, user_type, timezone, is_inactive)
    SELECT $1, * FROM unnest(
        $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bool[])
    ON CONFLICT (tenant, user_id) DO UPDATE SET
        username = excluded.username, email = excluded.email, first_name = excluded.first_name,
        last_name = excluded.last_name, user_type = excluded.user_type, timezone = excluded.timezone,
        is_inactive = excluded.is_inactive, updated_at = now()
"""
PUT_ROLES: Final = """
    INSERT INTO roles (tenant, role_name)
    SELECT DISTINCT ON (lower(name)) $1, name FROM unnest($2::text[]) AS name
    WHERE NOT EXISTS (SELECT FROM roles r WHERE r.tenant = $1 AND lower(r.role_name) = lower(name))
"""
REPLACE_ROLES: Final = """
    WITH wanted AS (
        SELECT DISTINCT ON (given.user_id, lower(given.name)) given.user_id, r.role_id
        FROM unnest($3::uuid[], $4::text[]) AS given (user_id, name)
        JOIN roles r ON r.tenant = $1 AND lower(r.role_name) = lower(given.name)
        ORDER BY given.user_id, lower(given.name), r.role_name <> given.name),
    dropped AS (
        DELETE FROM user_roles x WHERE x.tenant = $1 AND x.user_id = ANY ($2::uuid[])
            AND (x.user_id, x.role_id) NOT IN (SELECT w.user_id, w.role_id FROM wanted w))
    INSERT INTO user_roles (tenant, user_id, role_id) SELECT $1, w.user_id, w.role_id FROM wanted w
    ON CONFLICT DO NOTHING
"""
DEACTIVATE: Final = """
    UPDATE users SET is_inactive = true, updated_at = now() WHERE tenant = $1 AND user_id = $2 RETURNING user_id
"""
UPCOMING: Final = """
    SELECT e.status, count(*) AS entries
    FROM schedule_entry_assignees a JOIN schedule_entries e USING (tenant, entry_id)
    WHERE a.tenant = $1 AND a.user_id = $2 AND CASE WHEN e.is_recurring
        THEN e.recurs_until IS NULL OR e.recurs_until > now() ELSE e.scheduled_end > now() END
    GROUP BY e.status
"""
SET_CALENDAR: Final = """
    INSERT INTO calendar_providers (tenant, user_id, provider_type, calendar_id, is_active, status)
    VALUES ($1, $2, 'microsoft', $4, $3, CASE WHEN $3 THEN 'connected' ELSE 'disconnected' END)
    ON CONFLICT (tenant, user_id, provider_type) DO UPDATE SET
        calendar_id = CASE WHEN $3 THEN excluded.calendar_id ELSE calendar_providers.calendar_id END,
        is_active = excluded.is_active, status = excluded.status, error_message = NULL, updated_at = now()
"""
_ITEMS: Final = """
    SELECT 'project_task' AS kind, task_id AS id, '' AS number, task_name AS title,
        coalesce(is_closed, false) AS is_closed
    FROM project_tasks WHERE tenant = $1
    UNION ALL
    SELECT 'ticket', ticket_id, ticket_number, coalesce(title, ''), coalesce(is_closed, false)
    FROM tickets WHERE tenant = $1
"""
ITEMS_KNOWN: Final = f"""
    SELECT * FROM ({_ITEMS}) i
    WHERE i.id = ANY ($2::uuid[]) OR i.kind = 'ticket' AND i.number = ANY ($3::text[])
"""
ITEMS_LISTED: Final = f"""
    SELECT * FROM ({_ITEMS}) i
    WHERE ($2 = '' OR strpos(lower(concat_ws(' ', i.number, i.title)), lower($2)) > 0)
        AND ($3::text IS NULL OR (i.kind, lower(i.title), i.id) > ($3, lower($4), $5::uuid))
        AND ($7 = '' OR i.kind = $7) AND ($8 OR NOT i.is_closed)
    ORDER BY i.kind, lower(i.title), i.id LIMIT $6
"""
PUT_ITEMS: Final = {
    "ticket": """
        INSERT INTO tickets (tenant, ticket_id, ticket_number, title, is_closed)
        SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bool[])
        ON CONFLICT (tenant, ticket_id) DO UPDATE SET ticket_number = excluded.ticket_number,
            title = excluded.title, is_closed = excluded.is_closed, updated_at = now()
    """,
    "project_task": """
        INSERT INTO project_tasks (tenant, task_id, task_name, is_closed)
        SELECT $1, id, title, is_closed
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bool[]) AS given (id, number, title, is_closed)
        ON CONFLICT (tenant, task_id) DO UPDATE SET
            task_name = excluded.task_name, is_closed = excluded.is_closed, updated_at = now()
    """,
}


def user_of(row: asyncpg.Record) -> DirectoryUser:
    """Returns a user of a row of `USERS`."""
    accounts = [
        LinkedAccount(**{**account, "linked_at": datetime.fromisoformat(account["linked_at"])})
        for account in json.loads(row["accounts"] or "[]")
    ]
    return DirectoryUser(**{**row, "accounts": accounts})


def columns_of(users: Sequence[DirectoryUser]) -> Sequence[Sequence[Any]]:
    """Returns the arguments of `PUT_USERS` after the tenant."""
    return (
        [user.id for user in users],
        [user.username for user in users],
        [user.email for user in users],
        [user.first_name for user in users],
        [user.last_name for user in users],
        [user.user_type for user in users],
        [user.timezone for user in users],
        [not user.is_active for user in users],
    )


def item_of(row: asyncpg.Record | Mapping[str, Any]) -> WorkItem:
    """Returns a work item of a row."""
    return WorkItem(**{**row, "id": str(row["id"])})


def item_columns_of(items: Sequence[WorkItem]) -> Sequence[Sequence[Any]]:
    """Returns the arguments of `PUT_ITEMS` after the tenant."""
    return (
        [item.id for item in items],
        [item.number for item in items],
        [item.title for item in items],
        [item.is_closed for item in items],
    )
