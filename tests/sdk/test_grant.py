"""Which addresses count as public, and what a grant opens."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sdk.http import EgressGrant

NOTHING = EgressGrant()

REFUSED = [
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("::", "unspecified"),
    ("0.1.2.3", "private"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.0.1", "private"),
    ("192.0.0.8", "reserved"),
    ("100.64.0.1", "shared"),
    ("100.127.255.255", "shared"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("169.254.169.254", "cloud metadata"),
    ("169.254.170.2", "cloud metadata"),
    ("fd00:ec2::254", "cloud metadata"),
    ("100.100.100.200", "cloud metadata"),
    ("168.63.129.16", "cloud metadata"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("ff0e::1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("192.88.99.1", "reserved"),
    ("192.0.2.1", "documentation"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.9", "documentation"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("198.18.0.1", "benchmark"),
    ("fc00::1", "private"),
    ("fd12:3456::1", "private"),
    ("fec0::1", "reserved"),
    ("4000::1", "reserved"),
    ("5f00::1", "reserved"),
    ("100::1", "private"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.1.2.3", "private"),
    ("::ffff:169.254.169.254", "cloud metadata"),
    ("::127.0.0.1", "reserved"),
    ("::8.8.8.8", "reserved"),
    ("64:ff9b::7f00:1", "loopback"),
    ("64:ff9b::a9fe:a9fe", "cloud metadata"),
    ("64:ff9b::c0a8:1", "private"),
    ("64:ff9b:1::1", "private"),
    ("2002:7f00:1::1", "tunnel"),
    ("2002:808:808::1", "tunnel"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnel"),
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111"]
PUBLIC_IN_DISGUISE = ["::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize(("address", "kind"), REFUSED)
def test_address_that_is_not_public_is_refused_by_its_class(address: str, kind: str) -> None:
    """Without a grant every special address is refused, and the reason names its class."""
    found = NOTHING.refusal(ip_address(address))
    # What RFC 6890 calls by several names may be told by either; refused it is in any case.
    assert found == kind or {found, kind} <= {"private", "reserved"}


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_IN_DISGUISE)
def test_public_address_is_allowed(address: str) -> None:
    """Public addresses need no grant, in IPv4, IPv6, mapped and NAT64 form."""
    assert NOTHING.refusal(ip_address(address)) == ""


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        (["10.1.0.0/16"], "10.1.2.3", True),
        (["10.1.0.0/16"], "10.2.0.1", False),
        (["10.1.0.0/16"], "::ffff:10.1.2.3", True),
        (["10.1.0.0/16"], "64:ff9b::a01:203", True),
        (["127.0.0.0/8"], "127.0.0.1", True),
        (["127.0.0.0/8"], "::1", False),
        (["::1"], "::1", True),
        (["fd00::/8"], "fd12::1", True),
        (["fd00::/8"], "fd00:ec2::254", False),
        (["fd00:ec2::254"], "fd00:ec2::254", True),
        (["0.0.0.0/0"], "192.168.1.1", True),
        (["0.0.0.0/0"], "169.254.169.254", False),
        (["169.254.0.0/16"], "169.254.169.254", False),
        (["169.254.169.254"], "169.254.169.254", True),
        (["0.0.0.0/0"], "::1", False),
    ],
)
def test_grant_opens_exactly_its_networks(networks: list[str], address: str, allowed: bool) -> None:
    """A grant opens its networks in every spelling, and metadata services only one by one."""
    assert (EgressGrant.parse(networks).refusal(ip_address(address)) == "") is allowed


@pytest.mark.parametrize(
    "entry", ["", "ten", "10.0.0.1/8", "10.0.0.0/33", "300.0.0.0/8", "fe80::1%eth0", "::ffff:10.0.0.0/104"]
)
def test_bad_network_is_named(entry: str) -> None:
    """An entry that is no network is a ValueError that repeats the entry."""
    with pytest.raises(ValueError, match="network") as raised:
        EgressGrant.parse(["10.0.0.0/8", entry])
    assert f"`{entry}`" in str(raised.value)


def test_equal_grants_are_one_key() -> None:
    """Order, repetition and spelling of networks do not make different grants."""
    one = EgressGrant.parse(["10.0.0.0/8", "fd00::/8", "192.168.0.1"], plain_http=True)
    other = EgressGrant.parse(["fd00:0::/8", "192.168.0.1/32", " 10.0.0.0/8", "10.0.0.0/8"], plain_http=True)
    assert one == other
    assert hash(one) == hash(other)


@given(st.ip_addresses(v=4))
def test_mapped_and_translated_forms_never_allow_more(address: object) -> None:
    """The IPv6 disguises of an IPv4 address are allowed exactly when it is; tunnels never are."""
    number = int(ip_address(str(address)))
    plain = NOTHING.refusal(ip_address(str(address)))
    assert NOTHING.refusal(ip_address((0xFFFF << 32) | number)) == plain
    assert NOTHING.refusal(ip_address((0x64FF9B << 96) | number)) == plain
    assert NOTHING.refusal(ip_address((0x2002 << 112) | (number << 80))) != ""
