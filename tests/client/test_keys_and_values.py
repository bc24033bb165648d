"""Keys, JSON input, channel rules: everything that needs no server."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patchbay_client import InputNotJson, Patchbay, key_for, new_key
from patchbay_client.administration import NewApiKey
from patchbay_client.details import TRAILER, Details, read_details
from patchbay_client.gen.patchbay import v1
from patchbay_client.transport import TLS, is_loopback, tls_for
from patchbay_client.values import from_struct, to_struct

PART = st.text(min_size=1, max_size=6, alphabet="ab\x00[]1ü")
PLACE = st.tuples(PART, PART, st.lists(st.integers(-2, 12) | PART, max_size=3).map(tuple))


@given(PLACE, PLACE)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_keys_meet_only_for_the_same_place(one: tuple, other: tuple) -> None:
    """Two places in two runs have the same key exactly when they are the same place."""
    first, second = (key_for(run, step, iteration=path) for run, step, path in (one, other))
    assert (first == second) == (one == other)
    assert first.isascii()
    assert first.isprintable()
    assert len(first) <= 255


def test_key_is_stable() -> None:
    """The derivation never changes: a key made by an earlier release finds its execution."""
    expected = "pb1-734d37d4dc22110a1d39b963665047da2d44f9b99fb07977117ea3e7210cf233"
    assert key_for("run-1", "steps/3", iteration=(0, 12)) == expected


def test_key_iterations_differ() -> None:
    """No loop, pass 0 and the text "0" are three places; a single index equals a path of one."""
    keys = {key_for("r", "s"), key_for("r", "s", iteration=0), key_for("r", "s", iteration="0")}
    assert len(keys) == 3
    assert key_for("r", "s", iteration=4) == key_for("r", "s", iteration=[4])


@pytest.mark.parametrize(("run", "step"), [("", "s"), ("r", "")])
def test_key_needs_both(run: str, step: str) -> None:
    """A key without run or step would be shared by strangers, so it is refused."""
    with pytest.raises(ValueError, match="run id and a step path"):
        key_for(run, step)


def test_new_keys_differ() -> None:
    """A made-up key is new each time and fits the contract."""
    assert len({new_key() for _ in range(100)}) == 100
    assert len(new_key()) <= 255


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_any_json_survives(value: dict) -> None:
    """Every JSON object comes back equal from the bytes of its Struct."""
    struct = to_struct(value)
    assert from_struct(type(struct).parse(bytes(struct))) == value


DEEP: list = []
for _ in range(120):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"a": {1: 2}}, "a", "key 1"),
        ({"a": [0, math.nan]}, "a[1]", "finite"),
        ({"a": -math.inf}, "a", "finite"),
        ({"a": 2**53 + 1}, "a", "string"),
        ({"a": {"b": [b"x"]}}, "a.b[0]", "bytes"),
        ({"a": {1, 2}}, "a", "set"),
    ],
)
def test_input_without_json_form(value: dict, path: str, words: str) -> None:
    """What JSON cannot hold is refused with its path before anything is sent."""
    with pytest.raises(InputNotJson, match=words) as caught:
        to_struct(value)
    assert caught.value.path == path


def test_input_too_deep() -> None:
    """Endless nesting is refused, not a crash of the interpreter."""
    with pytest.raises(InputNotJson, match="deeper"):
        to_struct({"a": DEEP})


@given(st.binary(max_size=60))
@settings(derandomize=True, max_examples=500, deadline=None)
def test_foreign_details(data: bytes) -> None:
    """Whatever a proxy puts under our trailer's name, reading it never fails."""
    assert isinstance(read_details([(TRAILER, data)]), Details)


@pytest.mark.parametrize(
    ("target", "here"),
    [
        ("127.0.0.1:7700", True),
        ("127.8.8.8:1", True),
        ("localhost:7700", True),
        ("[::1]:7700", True),
        ("::1", True),
        ("unix:/run/patchbay.sock", True),
        ("dns:///localhost:7700", True),
        ("patchbay.example.com:443", False),
        ("10.0.0.1:7700", False),
        ("[2001:db8::1]:443", False),
        ("localhost.example.com:443", False),
        ("0.0.0.0:7700", False),
    ],
)
def test_tls_by_default(target: str, here: bool) -> None:
    """Only targets on this machine are spoken to without TLS unless somebody says so."""
    assert is_loopback(target) is here
    assert (tls_for(target, None) is None) is here
    assert tls_for(target, False) is None
    assert isinstance(tls_for(target, True), TLS)


CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"ca": b"pb_secret"}, "`ca` holds no certificate"),
        ({"certificate": b"pb_secret", "private_key": b"pb_secret"}, "`certificate` holds no certificate"),
        ({"certificate": CERTIFICATE}, "needed together"),
        ({"private_key": b"pb_secret"}, "needed together"),
        ({"certificate": CERTIFICATE, "private_key": b"pb_secret"}, "`private_key` holds no private key"),
    ],
)
def test_tls_that_cannot_be(parts: dict, words: str) -> None:
    """What gRPC would end the process for, or call an outage, is refused with its name and without its content."""
    with pytest.raises(ValueError, match=words) as caught:
        TLS(**parts)
    assert "pb_secret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """No object's text holds an API key or a private key."""
    shown = [
        repr(NewApiKey(v1.ApiKey(id="k"), "pb_secret")),
        repr(TLS(certificate=CERTIFICATE, private_key=b"-----BEGIN PRIVATE KEY-----pb_secret")),
        repr(Patchbay("127.0.0.1:1", api_key="pb_secret")),
        repr(Patchbay("127.0.0.1:1", api_key="pb_secret")._runner),
    ]
    assert not [text for text in shown if "pb_secret" in text]


@pytest.mark.parametrize("key", ["two words", "zeile\nzwei", "schlüssel"])
def test_api_key_that_no_header_carries(key: str) -> None:
    """A key with characters that a header cannot carry is refused without repeating it."""
    with pytest.raises(ValueError, match="characters") as caught:
        Patchbay("127.0.0.1:1", api_key=key)
    assert key not in str(caught.value)


def test_client_stands_alone() -> None:
    """The package needs neither the server nor a protobuf runtime."""
    code = (
        "import sys, patchbay_client\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert 'server' not in loaded and 'google' not in loaded and 'grpc_status' not in loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
