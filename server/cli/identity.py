"""`keys create|list|revoke` and `tenants create|list`."""

import datetime as dt
from typing import Annotated, Any

import typer
from patchbay_client import to_json
from patchbay_client.gen.patchbay import v1

from server.cli.environment import Environment, command
from server.cli.problems import Problem

keys = typer.Typer(help="API keys of callers.", no_args_is_help=True)
tenants = typer.Typer(help="Tenants.", no_args_is_help=True)


def create_key(
    environment: Environment,
    label: Annotated[str, typer.Argument(help="What it is for.")],
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Permission, may be repeated: tacticalrmm.agents.*, catalog, connections."),
    ] = None,
    of_tenant: Annotated[
        list[str] | None, typer.Option("--for-tenant", help="Tenant it may name, may be repeated. Default: yours.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Days until it ends. Default: never.")] = None,
) -> None:
    """Creates a key. Its secret is shown this once, on standard output."""
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=days) if days else None
    created = environment.client().keys.create(label, tenants=of_tenant or (), permissions=allow or (), expires=expires)
    output = environment.output
    output.answer({"key": to_json(created.key), "secret": created.secret}, lambda: output.line(created.secret))
    if not output.machine:
        output.notice(f"key {created.key.id} for {label}; this is the only time that it is shown")


def list_keys(environment: Environment) -> None:
    """Lists keys, newest first, without their secrets."""
    found = environment.client().keys.list()
    output = environment.output
    headings = ("key", "label", "permissions", "tenants", "created", "ends", "state")
    output.answer([to_json(key) for key in found], lambda: output.table(headings, map(_key_row, found)))


def _key_row(key: v1.ApiKey) -> tuple[Any, ...]:
    ended = key.expire_time is not None and key.expire_time <= dt.datetime.now(dt.UTC)
    state = "revoked" if key.revoke_time else "ended" if ended else "active"
    allowed, named = ", ".join(key.permissions), ", ".join(key.tenants)
    return key.id, key.label, allowed, named or "all", _day(key.create_time), _day(key.expire_time), state


def _day(time: dt.datetime | None) -> str:
    return f"{time:%Y-%m-%d}" if time else ""


def revoke_key(
    environment: Environment, key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")]
) -> None:
    """Revokes a key on all replicas at once."""
    revoked = environment.client().keys.revoke(_only_the_id(key_id))
    output = environment.output
    output.answer(to_json(revoked), lambda: output.line(f"key {revoked.id} is revoked"))


def _only_the_id(given: str) -> str:
    """Refuses a whole key: arguments can be read by every process of the machine."""
    if len(given) > _LONGEST_ID:
        raise Problem("give the key's id, as `patchbay keys list` shows it, not the key itself")
    return given


_LONGEST_ID = 64


def create_tenant(
    environment: Environment,
    slug: Annotated[str, typer.Argument(help="Short name: lower-case letters, digits, hyphens.")],
    tenant_id: Annotated[str, typer.Option("--id", help="Id (UUID) of a tenant that exists elsewhere.")] = "",
) -> None:
    """Creates a tenant, or shows the one that has the slug already."""
    tenant = environment.client().tenants.create(slug, tenant_id=tenant_id)
    output = environment.output
    output.answer(to_json(tenant), lambda: output.line(f"tenant {tenant.slug}: {tenant.id}"))


def list_tenants(environment: Environment) -> None:
    """Lists the tenants that you may name."""
    found = environment.client().tenants.list()
    output = environment.output
    output.answer(
        [to_json(tenant) for tenant in found],
        lambda: output.table(
            ("tenant", "id", "created"), ((each.slug, each.id, _day(each.create_time)) for each in found)
        ),
    )


command(keys, "create")(create_key)
command(keys, "list")(list_keys)
command(keys, "revoke")(revoke_key)
command(tenants, "create")(create_tenant)
command(tenants, "list")(list_tenants)
