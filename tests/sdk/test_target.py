"""Addresses as texts: every spelling ends in one form or in a refusal."""

import pytest

from server.sdk.failures import ActionFailure
from server.sdk.http import EgressGrant
from server.sdk.http.target import Target

PUBLIC = EgressGrant()
LOOPBACK = EgressGrant.parse(["127.0.0.0/8", "::1"], plain_http=True)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://127.0.0.1/", "loopback"),
        ("https://127.0.0.1:8443/x", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "loopback"),
        ("https://[::ffff:7f00:1]/", "loopback"),
        ("https://[64:ff9b::7f00:1]/", "loopback"),
        ("https://[2002:7f00:1::]/", "tunnel"),
        ("https://169.254.169.254/latest/meta-data/", "cloud metadata"),
        ("https://10.0.0.1/", "private"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://2130706433/", "unusual"),
        ("https://0x7f000001/", "unusual"),
        ("https://0X7F000001/", "unusual"),
        ("https://0x7f.1/", "unusual"),
        ("https://0177.0.0.1/", "unusual"),
        ("https://017700000001/", "unusual"),
        ("https://127.1/", "unusual"),
        ("https://127.0.1/", "unusual"),
        ("https://127.0.0.1./", "unusual"),
        ("https://256.1.1.1/", "unusual"),
        ("https://1.2.3.4.5/", "unusual"),
        ("https://example.com.1/", "unusual"),
        ("https://2130706433./", "unusual"),
        ("https://\u2460\u2461\u2466.0.0.1/", "unusual"),
        ("https://someone@0177.0.0.1:80/", "unusual"),
        ("http://example.com/", "http"),
        ("HTTP://example.com/", "http"),
        ("ftp://example.com/", "https"),
        ("file:///etc/passwd", ""),
        ("gopher://example.com/", "https"),
    ],
)
def test_refused_address(url: str, told: str) -> None:
    """Literals that are not public, number spellings, and other schemes are refused before anything is resolved."""
    with pytest.raises(ActionFailure) as raised:
        Target.parse(url, PUBLIC)
    failure = raised.value.failure
    assert failure.reason == ("EGRESS_REFUSED" if told else "INTEGRATION_MISCONFIGURED")
    assert told in failure.message
    assert not failure.retryable
    assert "127" not in failure.message


@pytest.mark.parametrize("url", ["http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/"])
def test_number_spellings_are_refused_even_with_a_grant(url: str) -> None:
    """A grant for loopback does not make unusual spellings of it acceptable."""
    with pytest.raises(ActionFailure, match="unusual"):
        Target.parse(url, LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "https://",
        "https:///path",
        "https:example.com",
        "https://exa mple.com/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://example.com..",
        "https://.example.com",
        "https://exam%70le.com/",
        "https://127%2e0%2e0%2e1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com\n.invalid/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "https://[::1/",
        "https://[::g]/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://user:pass@example.com/",
        "https://127.0.0.1@example.com/",
    ],
)
def test_text_that_is_no_address(url: str) -> None:
    """What is no complete, plain address is a setting to correct."""
    with pytest.raises(ActionFailure) as raised:
        Target.parse(url, PUBLIC)
    assert raised.value.failure.reason == "INTEGRATION_MISCONFIGURED"
    assert "pass" not in raised.value.failure.message.replace("password", "")


@pytest.mark.parametrize(
    ("url", "origin", "rest"),
    [
        ("https://example.com", "https://example.com", ""),
        ("https://example.com/", "https://example.com", ""),
        ("HTTPS://Example.COM:443/Api", "https://example.com", "/Api"),
        ("https://example.com.:8443/a?b=c", "https://example.com:8443", "/a?b=c"),
        ("https://bücher.example/", "https://xn--bcher-kva.example", ""),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example", ""),
        ("https://rmm_1.example.com/", "https://rmm_1.example.com", ""),
        ("https://8.8.8.8/", "https://8.8.8.8", ""),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]", ""),
        ("https://3com.example/", "https://3com.example", ""),
    ],
)
def test_address_in_one_spelling(url: str, origin: str, rest: str) -> None:
    """Case, default ports, trailing dots and Unicode names end in one spelling."""
    target = Target.parse(url, PUBLIC)
    assert (target.origin, target.rest) == (origin, rest)


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://example.com", "/a/", "https://example.com/a/"),
        ("https://example.com/api/", "/a", "https://example.com/api/a"),
        ("https://example.com/api", "a", "https://example.com/api/a"),
        ("https://example.com", "//other.invalid/x", "https://example.com//other.invalid/x"),
        ("https://example.com", "@other.invalid/", "https://example.com/@other.invalid/"),
        ("https://example.com", ":8080/", "https://example.com/:8080/"),
        ("https://example.com", "/a#b", "https://example.com/a%23b"),
        ("https://example.com/x?y=1", "/a", "https://example.com/x/a"),
        ("https://example.com", "/v1.0/a..b/...", "https://example.com/v1.0/a..b/..."),
        ("https://example.com", "/files?name=../x", "https://example.com/files?name=../x"),
    ],
)
def test_joined_path_stays_at_the_origin(base: str, path: str, url: str) -> None:
    """Whatever a path looks like, scheme, host and port stay those of the base."""
    assert Target.parse(base, PUBLIC).join(path) == url


@pytest.mark.parametrize("path", ["/a/../b", "/..", "/a/.", "/./a", "/%2e%2E/a", "/.%2e/", "/a\\..\\b", "/a/..?x=1"])
def test_path_that_climbs_is_refused(path: str) -> None:
    """An id made of dots cannot lead to another endpoint."""
    with pytest.raises(ActionFailure) as raised:
        Target.parse("https://example.com/api", PUBLIC).join(path)
    assert raised.value.failure.reason == "VENDOR_REJECTED_INPUT"
