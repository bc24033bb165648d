"""When a call without credentials is let in."""

import asyncio
import stat
from pathlib import Path

import pytest

from server.core.addresses import is_loopback_target
from server.core.administration import ensure_bootstrap_key
from server.core.identity import Authenticator, AuthMode
from server.core.refusals import Refusal
from server.store.api_keys import ApiKeyRows
from tests.identity.conftest import MakeKey
from tests.identity.issuer import Issuer

pytestmark = pytest.mark.anyio

LOCAL = ("127.0.0.1:50051",)
PEER = "ipv4:127.0.0.1:4711"


async def reason(authenticator: Authenticator, metadata: dict[str, str] | None = None, peer: str = PEER) -> str:
    """Returns why a call is refused, or the name of its caller."""
    try:
        return (await authenticator.authenticate(metadata or {}, peer)).name
    except Refusal as refusal:
        return refusal.reason


async def test_a_fresh_server_on_loopback_is_open_to_this_machine(keys: ApiKeyRows) -> None:
    """Nothing configured, loopback: the caller is `local` and may do everything."""
    caller = await Authenticator(keys, listen=LOCAL).authenticate({}, PEER)
    assert (caller.name, caller.tenants, caller.permissions, caller.peer) == ("local", None, ("*",), PEER)


@pytest.mark.parametrize(
    ("mode", "listen", "peer"),
    [
        ("required", LOCAL, PEER),
        ("auto", ("0.0.0.0:50051",), PEER),
        ("auto", ("[::]:50051",), PEER),
        ("auto", (*LOCAL, "192.0.2.1:50051"), PEER),
        ("auto", (), PEER),
        ("auto", LOCAL, "ipv4:192.0.2.7:4711"),
        ("auto", LOCAL, "unknown"),
    ],
)
async def test_every_other_server_asks_for_credentials(
    keys: ApiKeyRows, mode: AuthMode, listen: tuple[str, ...], peer: str
) -> None:
    """Mode `required`, an address that others reach, or a caller from elsewhere: credentials are missing."""
    authenticator = Authenticator(keys, mode=mode, listen=listen)
    assert await reason(authenticator, peer=peer) == "CREDENTIALS_MISSING"


async def test_an_open_server_still_refuses_bad_credentials(keys: ApiKeyRows) -> None:
    """Presented credentials are verified, never passed over."""
    authenticator = Authenticator(keys, listen=LOCAL)
    assert await reason(authenticator, {"authorization": "Bearer wrong"}) == "CREDENTIALS_INVALID"


async def test_the_first_key_closes_the_server_for_good(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """From then on credentials are asked for, also after the only key was revoked, also by a new process."""
    authenticator = Authenticator(keys, listen=LOCAL)
    assert await reason(authenticator) == "local"
    key, _ = await make_key()
    authenticator.forget(key.id)
    assert await reason(authenticator) == "CREDENTIALS_MISSING"
    await keys.revoke(key.id)
    authenticator.forget(key.id)
    assert await reason(authenticator) == "CREDENTIALS_MISSING"
    assert await reason(Authenticator(keys, listen=LOCAL)) == "CREDENTIALS_MISSING"


async def test_a_configured_issuer_closes_the_server(keys: ApiKeyRows, issuer: Issuer) -> None:
    """With JWT configured a call needs a token, and a good one makes its caller."""
    authenticator = Authenticator(keys, tokens=issuer.verifier(), listen=LOCAL)
    assert await reason(authenticator) == "CREDENTIALS_MISSING"
    metadata = {"authorization": f"Bearer {issuer.token()}"}
    assert await reason(authenticator, metadata) == "jwt:workflow-engine"


async def test_keys_and_tokens_count_side_by_side(keys: ApiKeyRows, issuer: Issuer, make_key: MakeKey) -> None:
    """A server with an issuer takes API keys, too."""
    key, token = await make_key()
    authenticator = Authenticator(keys, tokens=issuer.verifier())
    assert await reason(authenticator, {"authorization": f"Bearer {token}"}) == f"key:{key.id}"


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.10:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("ipv4:127.0.0.1:33120", True),
        ("ipv6:%5B::1%5D:33120", True),
        ("ipv6:[::ffff:127.0.0.1]:33120", True),
        ("unix:/run/patchbay.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("ipv4:10.0.0.1:33120", False),
        ("ipv6:%5B2001:db8::1%5D:33120", False),
        ("localhost.example.test:50051", False),
        ("127.0.0.1.example.test:50051", False),
        ("", False),
    ],
)
def test_addresses_of_this_machine_are_told_apart(target: str, local: bool) -> None:
    """Listen addresses and gRPC's spellings of peers."""
    assert is_loopback_target(target) is local


async def test_the_first_operator_key_is_made_once(keys: ApiKeyRows, tmp_path: Path) -> None:
    """It is written to a file of the owner alone, opens everything, and is not made again."""
    file = tmp_path / "data" / "operator.key"
    assert await ensure_bootstrap_key(keys, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text().strip()
    caller = await Authenticator(keys).authenticate({"authorization": f"Bearer {token}"}, PEER)
    assert (caller.tenants, caller.permissions) == (None, ("*",))
    assert not await ensure_bootstrap_key(keys, file)
    assert file.read_text().strip() == token


async def test_replicas_that_start_together_make_one_operator_key(keys: ApiKeyRows, tmp_path: Path) -> None:
    """Five at once: one makes the key, and the file holds that one."""
    file = tmp_path / "operator.key"
    made = await asyncio.gather(*(ensure_bootstrap_key(keys, file) for _ in range(5)))
    assert sorted(made) == [False, False, False, False, True]
    assert len(await keys.list(None)) == 1
    assert await Authenticator(keys).authenticate({"authorization": f"Bearer {file.read_text().strip()}"}, PEER)


async def test_a_start_that_cannot_write_the_file_makes_no_key(keys: ApiKeyRows, tmp_path: Path) -> None:
    """Otherwise there would be a key that nobody knows, and the server would be closed to everybody."""
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"exists|directory"):
        await ensure_bootstrap_key(keys, tmp_path / "blocked" / "operator.key")
    assert not await keys.any()
