"""Envelope encryption: what opens, what does not, and how keys are replaced."""

import asyncio
import base64
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from server.core.connection_records import settings_context
from server.core.master_keys import (
    MasterKeyInvalid,
    MasterKeys,
    MasterKeyUnknown,
    new_key,
    write_private,
)
from server.core.vault import (
    RotatableSecrets,
    SecretContext,
    SecretUnreadable,
    StoredSecret,
    Vault,
    rotate_secrets,
    seal,
)
from server.store.credentials import CredentialRows, SystemSecretRows
from server.store.database import Database
from server.store.tenants import Tenants
from tests.connections.conftest import House
from tests.connections.vendor import KEY, PROVIDER, Vendor

pytestmark = pytest.mark.anyio

CONTEXT = SecretContext(tenant="t", owner="c", purpose="p")
GOOD = f"a:{base64.b64encode(b'k' * 32).decode()}"


async def test_what_was_sealed_opens_in_its_own_context_only(vault: Vault) -> None:
    """Another tenant, connection or purpose, or a shifted border between them, opens nothing."""
    sealed = vault.seal(b"secret", CONTEXT)
    assert vault.unseal(sealed, CONTEXT) == b"secret"
    for change in ({"tenant": "u"}, {"owner": "d"}, {"purpose": "q"}, {"tenant": "tc", "owner": ""}):
        with pytest.raises(SecretUnreadable):
            vault.unseal(sealed, replace(CONTEXT, **change))


async def test_a_changed_byte_anywhere_is_noticed(vault: Vault) -> None:
    """Ciphertext, wrapped key and both nonces are authenticated; so is which master key wrapped."""
    sealed = vault.seal(b"secret", CONTEXT)
    for part in ("ciphertext", "wrapped_key", "nonce", "key_nonce"):
        value = getattr(sealed, part)
        for broken in (bytes([value[0] ^ 1]) + value[1:], value[:-1], b""):
            changes: dict[str, Any] = {part: broken}
            with pytest.raises(SecretUnreadable):
                vault.unseal(replace(sealed, **changes), CONTEXT)


async def test_parts_of_two_secrets_do_not_mix(vault: Vault) -> None:
    """The wrapped key of one secret does not open the ciphertext of another in the same context."""
    one, two = vault.seal(b"one", CONTEXT), vault.seal(b"two", CONTEXT)
    with pytest.raises(SecretUnreadable):
        vault.unseal(replace(one, ciphertext=two.ciphertext, nonce=two.nonce), CONTEXT)


async def test_equal_secrets_look_different(vault: Vault) -> None:
    """Every secret has a data key and nonces of its own."""
    one, two = vault.seal(b"same", CONTEXT), vault.seal(b"same", CONTEXT)
    parts = ("ciphertext", "wrapped_key", "nonce", "key_nonce")
    assert all(getattr(one, part) != getattr(two, part) for part in parts)


async def test_a_missing_master_key_is_named(vault: Vault) -> None:
    """The error tells the id of the key, so that an operator knows which one to add."""
    sealed = vault.seal(b"secret", CONTEXT)
    stranger = Vault(MasterKeys(new_key("second")), b"f" * 32)
    with pytest.raises(MasterKeyUnknown, match="`first` is not loaded") as caught:
        stranger.unseal(sealed, CONTEXT)
    assert caught.value.key_id == "first"


async def test_the_fingerprint_key_is_made_once_for_all_replicas(database: Database, master_keys: MasterKeys) -> None:
    """Five that start together on an empty database hash alike; a stranger's database hashes differently."""
    rows = SystemSecretRows(database)
    vaults = await asyncio.gather(*(Vault.load(master_keys, rows) for _ in range(5)))
    assert len({one.keyed_hash(b"data") for one in vaults}) == 1
    assert vaults[0].keyed_hash(b"data") != vaults[0].keyed_hash(b"Data")
    assert vaults[0].keyed_hash(b"data") != Vault(master_keys, b"f" * 32).keyed_hash(b"data")


async def test_a_database_of_other_master_keys_is_not_opened(database: Database, vault: Vault) -> None:
    """A server with the wrong keys stops at the start instead of making new ones."""
    with pytest.raises(MasterKeyUnknown, match="`first`"):
        await Vault.load(MasterKeys(new_key("second")), SystemSecretRows(database))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no master key"),
        ("# only a comment\n\n", "holds no master key"),
        ("no-colon", "entry 1 is not"),
        ("UPPER:AAAA", "entry 1 is not"),
        (f"{GOOD}\na b:AAAA", "entry 2 is not"),
        ("a:AAAA", "has 3 bytes instead of 32"),
        ("a:!!!!", "is not base64"),
        (f"{GOOD},{GOOD}", "`a` occurs twice"),
    ],
)
def test_malformed_master_keys_are_refused_without_telling_them(text: str, told: str) -> None:
    """The message names the entry and the rule; it never quotes key material."""
    with pytest.raises(MasterKeyInvalid, match=told) as caught:
        MasterKeys(text)
    assert not any(part.partition(":")[2][:20] in str(caught.value) for part in text.split(",") if len(part) > 30)


def test_the_first_key_is_current_and_commas_separate() -> None:
    """One line of the environment can hold several keys."""
    text = f" {new_key('new')} , {new_key('old')} "
    keys = MasterKeys.from_environment({"PATCHBAY_MASTER_KEY": text})
    assert keys is not None
    assert keys.current == "new"
    assert len(keys.key("old")) == 32
    assert MasterKeys.from_environment({"PATCHBAY_MASTER_KEY": " "}) is None


def test_a_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """It is kept once made; a file that others can read, or none at all, is refused with the remedy."""
    file = tmp_path / "data" / "master.key"
    first = MasterKeys.ensure_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert MasterKeys.ensure_file(file).key(first.current) == first.key(first.current)
    assert list(file.parent.iterdir()) == [file]
    file.chmod(0o640)
    with pytest.raises(MasterKeyInvalid, match="chmod 600"):
        MasterKeys.from_file(file)
    with pytest.raises(MasterKeyInvalid, match="No such file"):
        MasterKeys.from_file(tmp_path / "none")


def test_a_changed_key_file_counts_without_a_restart(tmp_path: Path) -> None:
    """A promoted key wraps from then on; a broken or unsafe file leaves the keys at hand in place."""
    file = tmp_path / "master.key"
    first, second = new_key("first"), new_key("second")
    write_private(file, f"{first}\n")
    keys = MasterKeys.from_file(file)
    write_private(file, f"{second}\n{first}\n")
    assert keys.current == "second"
    write_private(file, "broken")
    assert keys.current == "second"
    write_private(file, f"{new_key('third')}\n")
    os.chmod(file, 0o644)  # noqa: PTH101 - the point is the mode
    assert keys.current == "second"


async def secrets_in(database: Database) -> dict[str, str]:
    """Returns the id of the master key of every stored secret."""
    async with database.system() as connection:
        rows = await connection.fetch(
            "SELECT integration_id::text AS id, key_id FROM connection_credentials "
            "UNION ALL SELECT name, key_id FROM system_secrets"
        )
    return {row["id"]: row["key_id"] for row in rows}


async def credentials(database: Database, vault: Vault, number: int) -> None:
    """Stores credentials of that many tenants."""
    for index in range(number):
        tenant = (await Tenants(database).create(f"many-{index}")).id
        connection_id = str(uuid4())
        sealed = vault.seal(f"secret {index}".encode(), settings_context(tenant, connection_id))
        async with database.tenant(tenant) as connection:
            await connection.execute(
                "INSERT INTO rmm_integrations (tenant, integration_id, provider) VALUES ($1, $2, 'x')",
                tenant,
                connection_id,
            )
            await connection.execute(
                "INSERT INTO connection_credentials VALUES ($1, $2, $3, $4, $5, $6, $7)",
                tenant,
                connection_id,
                sealed.key_id,
                sealed.key_nonce,
                sealed.wrapped_key,
                sealed.nonce,
                sealed.ciphertext,
            )


async def test_rotation_wraps_everything_by_the_new_key(
    database: Database, vault: Vault, house: House, vendor: Vendor, tmp_path: Path
) -> None:
    """In batches, resumable, without touching the secrets; the old key can go afterwards, hashes stay the same."""
    await credentials(database, vault, 7)
    await house.connect(vendor)
    first, second = f"first:{_encoded(vault)}", new_key("second")
    both = MasterKeys(f"{second}\n{first}")
    tables: list[RotatableSecrets] = [CredentialRows(database), SystemSecretRows(database)]
    assert (await rotate_secrets(both, tables, batch=3)).rewrapped == 9
    assert set((await secrets_in(database)).values()) == {"second"}
    assert (await rotate_secrets(both, tables, batch=3)).rewrapped == 0
    after = await Vault.load(MasterKeys(second), SystemSecretRows(database))
    assert after.keyed_hash(b"data") == vault.keyed_hash(b"data")
    moved = House(database, after, house.http, house.tenant)
    active = await moved.connections.client(house.tenant, moved.module)
    assert active.client.settings.api_key == KEY


async def test_rotation_leaves_what_it_cannot_open_and_says_so(database: Database, vault: Vault) -> None:
    """One row of a lost key does not stop the others; the report names the key."""
    await credentials(database, vault, 3)
    lost = seal(MasterKeys(new_key("lost")), b"x", CONTEXT)
    async with database.system() as connection:
        await connection.execute(
            "UPDATE connection_credentials SET key_id = $1, wrapped_key = $2 "
            "WHERE integration_id = (SELECT min(integration_id::text)::uuid FROM connection_credentials)",
            lost.key_id,
            lost.wrapped_key,
        )
    keys = MasterKeys(f"{new_key('second')}\nfirst:{_encoded(vault)}")
    report = await rotate_secrets(keys, [CredentialRows(database), SystemSecretRows(database)], batch=1)
    assert report.rewrapped == 3
    assert report.left == {"lost": 1}


async def test_rotation_does_not_overwrite_credentials_that_changed_meanwhile(
    database: Database, vault: Vault, house: House, vendor: Vendor
) -> None:
    """A row that was replaced after rotation had read it is left to its writer."""
    await house.connect(vendor)
    keys = MasterKeys(f"{new_key('second')}\nfirst:{_encoded(vault)}")
    vendor.accepts = "another-key-4711"

    class Interrupted(CredentialRows):
        """Reads, and has the tenant connect again before the rows are used."""

        async def wrapped_by_others(
            self, key_id: str, after: tuple[Any, ...] | None, limit: int
        ) -> Sequence[StoredSecret]:
            """Reads rows."""
            rows = await super().wrapped_by_others(key_id, after, limit)
            if after is None:
                await house.connect(vendor, api_key="another-key-4711")
            return rows

    assert (await rotate_secrets(keys, [Interrupted(database)])).rewrapped == 0
    loaded = await house.rows.load(house.tenant, PROVIDER)
    assert loaded is not None
    assert loaded[1] is not None
    assert b"another-key-4711" in vault.unseal(loaded[1], settings_context(house.tenant, loaded[0].id))


async def test_two_rotations_at_once_do_each_row_once(database: Database, vault: Vault) -> None:
    """Together they wrap every row, and every row still opens."""
    await credentials(database, vault, 6)
    keys = MasterKeys(f"{new_key('second')}\nfirst:{_encoded(vault)}")
    reports = await asyncio.gather(*(rotate_secrets(keys, [CredentialRows(database)], batch=2) for _ in range(2)))
    assert sum(report.rewrapped for report in reports) == 6
    rows = await CredentialRows(database).wrapped_by_others("none", None, 100)
    opened = {Vault(keys, b"f" * 32).unseal(row.sealed, row.context) for row in rows}
    assert opened == {f"secret {index}".encode() for index in range(6)}


def _encoded(vault: Vault) -> str:
    return base64.b64encode(vault.keys.key("first")).decode()
