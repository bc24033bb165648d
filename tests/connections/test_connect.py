"""Connect, test, disconnect, list: what is stored, what is refused, what stays as it was."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.struct_pb2 import Struct

from server.core.caller import Caller
from server.core.connections import StoredConnection
from server.core.refusals import Refusal
from server.gen.patchbay.v1 import connections_pb2, failure_pb2
from server.sdk.failures import ActionFailure
from server.store.database import Database
from tests.connections.conftest import OPERATOR, House, settings
from tests.connections.vendor import KEY, LOOPBACK, PROVIDER, Vendor, running
from tests.support.certificates import self_signed

pytestmark = pytest.mark.anyio

ADMIN = Caller(name="key:admin", tenants=None, permissions=("connections",))
NOTHING = connections_pb2.EgressGrant()
LONG_WRONG = "wrong-key-0815-4711"


async def stored(database: Database) -> tuple[int, int]:
    """Returns how many connections and credentials there are."""
    async with database.system() as connection:
        return (
            await connection.fetchval("SELECT count(*) FROM rmm_integrations"),
            await connection.fetchval("SELECT count(*) FROM connection_credentials"),
        )


async def failure(house: House, vendor: Vendor, **changes: object) -> failure_pb2.Failure:
    """Returns the failure of a Connect that must not succeed."""
    with pytest.raises(ActionFailure) as caught:
        await house.connect(vendor, **changes)  # type: ignore[arg-type]
    return caught.value.failure


async def test_an_accepted_connection_is_stored_and_usable(house: House, vendor: Vendor, database: Database) -> None:
    """Active, connected now, settings without secrets; a vendor client has the settings as given."""
    made = await house.connect(vendor, allow_templates=True)
    assert vendor.checks == [KEY]
    assert made.is_active
    assert made.connected_at is not None
    assert made.instance_url == vendor.url
    assert made.settings == {"instance_url": vendor.url, "allow_templates": True}
    assert made.grant == LOOPBACK
    assert await house.connections.list(house.tenant) == [made]
    active = await house.connections.client(house.tenant, house.module)
    assert (active.id, active.revision, active.secrets) == (made.id, made.revision, frozenset({KEY}))
    assert active.client.settings.api_key == KEY
    assert active.client.scope.tenant == house.tenant
    assert (await house.rows.integrations(house.tenant))[PROVIDER].settings_complete
    assert await stored(database) == (1, 1)


async def test_nested_secrets_are_left_out_of_what_is_shown(house: House, vendor: Vendor) -> None:
    """A password inside a message is a secret, too; the user name beside it is not."""
    vendor.accepts = "pass-word-4711"
    login = {"username": "patchbay", "password": "pass-word-4711", "totp_secret": "JBSWY3DPEHPK3PXP"}
    made = await house.connect(vendor, api_key=None, login=login)
    assert made.settings["login"] == {"username": "patchbay"}
    active = await house.connections.client(house.tenant, house.module)
    assert active.secrets == {"pass-word-4711", "JBSWY3DPEHPK3PXP"}


async def test_refused_credentials_leave_nothing(house: House, vendor: Vendor, database: Database) -> None:
    """The failure says what to do; the key that the vendor quotes is masked."""
    told = await failure(house, vendor, api_key=LONG_WRONG)
    assert told.reason == "CREDENTIALS_REFUSED"
    assert told.remedy.text
    assert told.vendor_status == 401
    assert LONG_WRONG not in str(told)
    assert await stored(database) == (0, 0)


async def test_a_refused_connect_leaves_the_working_connection_alone(house: House, vendor: Vendor) -> None:
    """Row, revision and client are the same afterwards."""
    before = await house.connect(vendor)
    active = await house.connections.client(house.tenant, house.module)
    await failure(house, vendor, api_key=LONG_WRONG)
    assert await house.connections.list(house.tenant) == [before]
    assert await house.connections.client(house.tenant, house.module) is active


async def test_connecting_again_replaces_the_connection(house: House, vendor: Vendor, database: Database) -> None:
    """Same id, next revision, new credentials; still one row."""
    before = await house.connect(vendor)
    vendor.accepts = "second-key-4711"
    after = await house.connect(vendor, api_key="second-key-4711")
    assert (after.id, after.revision) == (before.id, before.revision + 1)
    active = await house.connections.client(house.tenant, house.module)
    assert active.client.settings.api_key == "second-key-4711"
    assert await stored(database) == (1, 1)


async def test_two_connects_at_once_leave_one_whole_connection(
    house: House, vendor: Vendor, database: Database
) -> None:
    """Whoever is last wins with row and credentials together."""

    async def accept(_request: web.Request) -> web.Response:
        return web.json_response({})

    vendor.answer = accept
    keys = [f"parallel-key-{number}" for number in range(6)]
    await asyncio.gather(*(house.connect(vendor, api_key=key, max_wait=f"{10 + i}s") for i, key in enumerate(keys)))
    active = await house.connections.client(house.tenant, house.module)
    row = (await house.connections.list(house.tenant))[0]
    number = keys.index(active.client.settings.api_key)
    assert row.settings["max_wait"] == f"{10 + number}s"
    assert await stored(database) == (1, 1)


BAD_SETTINGS = {
    "no address": ({"instance_url": None}, ["settings.instance_url"]),
    "no credentials": ({"api_key": None}, ["settings.auth"]),
    "unknown field": ({"apikey": "x"}, ["settings.apikey"]),
    "wrong type": ({"allow_templates": "yes"}, ["settings.allow_templates"]),
    "nested": ({"api_key": None, "login": {"username": "", "password": "secret-4711"}}, ["settings.login.username"]),
    "two at once": ({"instance_url": "", "max_wait": "1s"}, ["settings.instance_url", "settings.max_wait"]),
    "key too long": ({"api_key": "canary" * 100}, ["settings.api_key"]),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
async def test_settings_that_break_the_contract_name_the_fields(
    house: House, vendor: Vendor, database: Database, case: str
) -> None:
    """Before the vendor is asked, with nothing stored, and without telling the values."""
    changes, fields = BAD_SETTINGS[case]
    with pytest.raises(Refusal) as caught:
        await house.connect(vendor, **changes)  # type: ignore[arg-type]
    assert caught.value.reason == "INPUT_INVALID"
    assert [one.field for one in caught.value.violations] == fields
    assert not any(word in str(caught.value.violations) for word in ("secret-4711", "canary"))
    assert vendor.checks == []
    assert await stored(database) == (0, 0)


async def test_a_malformed_grant_is_named_together_with_bad_settings(house: House, vendor: Vendor) -> None:
    """All fields at fault come back at once."""
    grant = connections_pb2.EgressGrant(private_networks=["10.0.0.0/8", "10.1.2.3/8", "x"])
    with pytest.raises(Refusal) as caught:
        await house.connect(vendor, grant=grant, instance_url=None)
    fields = [one.field for one in caught.value.violations]
    assert fields == ["settings.instance_url", "grant.private_networks[1]", "grant.private_networks[2]"]


@pytest.mark.parametrize("grant", [{"private_networks": ["10.0.0.0/8"]}, {"plain_http": True}])
async def test_granting_needs_a_permission_of_its_own(house: House, vendor: Vendor, grant: dict[str, object]) -> None:
    """A tenant's admin cannot open networks or drop TLS; it is refused before anything else is looked at."""
    wanted = connections_pb2.EgressGrant(**grant)  # type: ignore[arg-type]
    with pytest.raises(Refusal) as caught:
        await house.connections.connect(ADMIN, house.tenant, "no-such-provider", Struct(), wanted)
    assert caught.value.reason == "PERMISSION_DENIED"


async def test_plain_http_without_a_grant_is_refused(house: House, vendor: Vendor, database: Database) -> None:
    """With a remedy, without a request."""
    told = await failure(house, vendor, caller=ADMIN, grant=NOTHING)
    assert told.reason in {"EGRESS_REFUSED", "INTEGRATION_MISCONFIGURED"}
    assert told.remedy.text
    assert vendor.checks == []
    assert await stored(database) == (0, 0)


@pytest.mark.parametrize(
    "address", ["https://127.0.0.1:1", "https://10.1.2.3", "https://[::1]:1", "https://169.254.169.254"]
)
async def test_private_addresses_without_a_grant_are_refused(
    house: House, vendor: Vendor, database: Database, address: str
) -> None:
    """With a remedy, without a connection."""
    told = await failure(house, vendor, caller=ADMIN, grant=NOTHING, instance_url=address)
    assert told.reason == "EGRESS_REFUSED"
    assert told.remedy.text
    assert await stored(database) == (0, 0)


async def test_a_self_signed_certificate_is_refused(house: House, database: Database, tmp_path: Path) -> None:
    """TLS is verified on granted networks, too."""
    context = self_signed(tmp_path)
    async with running(context) as vendor:
        told = await failure(house, vendor)
    assert told.reason == "TLS_FAILED"
    assert told.remedy.text
    assert vendor.checks == []
    assert await stored(database) == (0, 0)


async def test_a_vendor_that_does_not_answer_ends_with_the_callers_patience(
    house: House, vendor: Vendor, database: Database
) -> None:
    """The caller gets a failure that it can still read; nothing is stored."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.json_response({})

    vendor.answer = hang
    wanted = settings(vendor)
    with pytest.raises(ActionFailure) as caught:
        await house.connections.connect(OPERATOR, house.tenant, PROVIDER, wanted, LOOPBACK, patience=0.4)
    assert caught.value.failure.retryable
    assert await stored(database) == (0, 0)


async def test_a_defect_of_a_module_stores_nothing_and_tells_no_secret(
    house: House, vendor: Vendor, database: Database
) -> None:
    """An exception whose words hold the password becomes a failure without them, and without a cause to follow."""
    login = {"username": "defect", "password": "defect-password-4711"}
    with pytest.raises(ActionFailure) as caught:
        await house.connect(vendor, api_key=None, login=login)
    assert caught.value.failure.reason == "INTERNAL"
    assert "4711" not in str(caught.value.failure)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert await stored(database) == (0, 0)


async def test_a_failure_in_a_modules_own_words_is_masked(house: House, vendor: Vendor) -> None:
    """Message, vendor message and remedy lose the password that the module put into them."""
    login = {"username": "careless", "password": "careless-password-4711"}
    told = await failure(house, vendor, api_key=None, login=login)
    assert told.reason == "CREDENTIALS_REFUSED"
    assert {told.message, told.vendor_message, told.remedy.text} == {"*** was not accepted"}


async def test_every_client_made_for_a_test_is_closed(house: House, vendor: Vendor) -> None:
    """Accepted or refused: only the client in use stays open."""
    await house.connect(vendor)
    await failure(house, vendor, api_key=LONG_WRONG)
    await house.connections.test(house.tenant, PROVIDER)
    assert (house.clients.made, house.clients.closed) == (3, 3)


async def test_a_failed_test_is_visible_and_leaves_the_connection_active(house: House, vendor: Vendor) -> None:
    """The failure stands in the row, masked; the next success removes it and moves `connected_at`."""
    before = await house.connect(vendor)
    vendor.accepts = "rotated-at-the-vendor"
    tested = await house.connections.test(house.tenant, PROVIDER)
    assert tested.is_active
    assert tested.connected_at == before.connected_at
    assert tested.last_failure is not None
    assert tested.last_failure.reason == "CREDENTIALS_REFUSED"
    assert KEY not in str(tested.last_failure)
    assert (await house.connections.list(house.tenant))[0].last_failure == tested.last_failure
    vendor.accepts = KEY
    again = await house.connections.test(house.tenant, PROVIDER)
    assert again.last_failure is None
    assert again.connected_at is not None
    assert before.connected_at is not None
    assert again.connected_at > before.connected_at
    assert again.revision == before.revision


async def test_the_result_of_an_old_test_does_not_touch_a_newer_connection(house: House, vendor: Vendor) -> None:
    """The tenant connected again while the test was asking the vendor: the new row shows no failure."""
    await house.connect(vendor)
    asked, go = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        asked.set()
        await go.wait()
        vendor.answer = None
        return web.json_response({"detail": "no"}, status=401)

    vendor.answer = wait
    test = asyncio.create_task(house.connections.test(house.tenant, PROVIDER))
    await asked.wait()
    vendor.answer = None
    await house.connect(vendor)
    go.set()
    assert (await test).last_failure is not None
    assert (await house.connections.list(house.tenant))[0].last_failure is None


async def test_disconnecting_destroys_the_credentials(house: House, vendor: Vendor, database: Database) -> None:
    """The row stays, inactive; again is harmless; a test then says that it is switched off."""
    before = await house.connect(vendor)
    ended = await house.connections.disconnect(house.tenant, PROVIDER)
    assert not ended.is_active
    assert ended.revision > before.revision
    assert await stored(database) == (1, 0)
    assert await house.connections.disconnect(house.tenant, PROVIDER) == ended
    tested = await house.connections.test(house.tenant, PROVIDER)
    assert tested.last_failure is not None
    assert tested.last_failure.reason == "INTEGRATION_INACTIVE"
    with pytest.raises(ActionFailure) as caught:
        await house.connections.client(house.tenant, house.module)
    assert caught.value.failure.reason == "INTEGRATION_INACTIVE"
    assert (await house.connect(vendor)).is_active


async def reasons(house: House, provider: str) -> list[str]:
    """Returns why test, disconnect and connect are refused for a provider."""
    found = []
    for call in (
        house.connections.test(house.tenant, provider),
        house.connections.disconnect(house.tenant, provider),
        house.connections.connect(OPERATOR, house.tenant, provider, Struct(), NOTHING),
    ):
        with pytest.raises(Refusal) as caught:
            await call
        found.append(caught.value.reason)
    return found


async def test_unknown_providers_and_connections_are_told_apart(house: House) -> None:
    """No such provider; or no connection of it, and settings that are asked for."""
    assert await reasons(house, "nothing") == ["PROVIDER_UNKNOWN"] * 3
    assert await reasons(house, PROVIDER) == ["CONNECTION_UNKNOWN", "CONNECTION_UNKNOWN", "INPUT_INVALID"]


async def test_providers_come_with_the_schema_of_their_settings(house: House) -> None:
    """Secret fields are marked write-only."""
    (provider,) = house.connections.list_providers()
    assert (provider.provider, provider.label) == (PROVIDER, "Tactical RMM")
    assert provider.settings.hash
    assert '"writeOnly"' in provider.settings.bundled_json
    assert '"$ref"' not in provider.settings.inlined_json


async def test_credentials_moved_to_another_tenant_do_not_open(
    house: House, vendor: Vendor, database: Database
) -> None:
    """Somebody who can write rows copies connection and credentials to a tenant: the vault refuses them."""
    await house.connect(vendor)
    async with database.system() as connection:
        thief = await connection.fetchval(
            "INSERT INTO tenants (tenant, slug) VALUES (gen_random_uuid(), 'thief') RETURNING tenant::text"
        )
        for table in ("rmm_integrations", "connection_credentials"):
            columns = await connection.fetchval(
                "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
                "WHERE attrelid = $1::text::regclass AND attnum > 0 AND attname <> 'tenant'",
                table,
            )
            await connection.execute(
                f"INSERT INTO {table} (tenant, {columns}) SELECT $1::text::uuid, {columns} FROM {table}", thief
            )
    with pytest.raises(ActionFailure) as caught:
        await house.connections.client(thief, house.module)
    assert caught.value.failure.reason == "INTEGRATION_MISCONFIGURED"
    tested: StoredConnection = await house.connections.test(thief, PROVIDER)
    assert tested.last_failure is not None
    assert tested.last_failure.reason == "INTEGRATION_MISCONFIGURED"
    assert vendor.checks == [KEY]


async def test_a_changed_address_in_the_row_does_not_redirect_the_credentials(
    house: House, vendor: Vendor, database: Database
) -> None:
    """The vendor client is made from the sealed settings, not from what the row shows."""
    await house.connect(vendor)
    async with database.tenant(house.tenant) as connection:
        await connection.execute(
            "UPDATE rmm_integrations SET instance_url = 'https://evil.example.test', "
            """settings = '{"instance_url": "https://evil.example.test"}', revision = revision + 1"""
        )
    active = await house.connections.client(house.tenant, house.module)
    assert active.client.settings.instance_url == vendor.url
