"""Which addresses a connection may reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")

# Services that hand out credentials of the machine. Amazon, Google, Azure and Oracle: 169.254.169.254; Amazon ECS:
# 169.254.170.2 and .23; Amazon over IPv6: fd00:ec2::254 and ::23; Alibaba: 100.100.100.200; Azure's fabric:
# 168.63.129.16, which looks public.
_METADATA: frozenset[Address] = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "100.100.100.200",
            "168.63.129.16",
        ),
    )
)

# Not for the public by RFC 4380, 5737, 6598, 6890, 7526 and 9637; releases of Python differ about some of them.
_SPECIAL: tuple[tuple[str, Network], ...] = (
    ("shared", IPv4Network("100.64.0.0/10")),
    ("reserved", IPv4Network("192.0.0.0/24")),
    ("reserved", IPv4Network("192.88.99.0/24")),
    ("documentation", IPv4Network("192.0.2.0/24")),
    ("documentation", IPv4Network("198.51.100.0/24")),
    ("documentation", IPv4Network("203.0.113.0/24")),
    ("benchmark", IPv4Network("198.18.0.0/15")),
    ("documentation", IPv6Network("2001:db8::/32")),
    ("tunnel", IPv6Network("2001::/32")),
    ("tunnel", IPv6Network("2002::/16")),
    ("documentation", IPv6Network("3fff::/20")),
)


@dataclass(frozen=True, slots=True)
class EgressGrant:
    """What a connection may reach beyond public addresses over https. Equal grants share connections.

    Attributes:
        private_networks: Networks that an operator opened for the connection.
        plain_http: Whether http without TLS is allowed.
    """

    private_networks: tuple[Network, ...] = ()
    plain_http: bool = False

    @classmethod
    def parse(cls, networks: Sequence[str], plain_http: bool = False) -> "EgressGrant":
        """Returns the grant for networks such as `10.1.0.0/16`, `192.168.4.7` or `fd12::/16`.

        Raises:
            ValueError: An entry is no network; the message names it.
        """
        found = {_network(entry) for entry in networks}
        return cls(tuple(sorted(found, key=lambda one: (one.version, int(one[0]), one.prefixlen))), plain_http)

    def refusal(self, address: Address) -> str:
        """Returns the class of an address that is not allowed, such as `loopback`; empty when it is allowed."""
        address = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
        if self._granted(address):
            return ""
        if address in _NAT64:
            return self.refusal(IPv4Address(int(address) & 0xFFFFFFFF))
        return address_class(address)

    def _granted(self, address: Address) -> bool:
        networks = [one for one in self.private_networks if address in one]
        if address in _METADATA:
            # A wide grant is meant for servers, not for the machine's credentials.
            return any(one.num_addresses == 1 for one in networks)
        return bool(networks)


def _network(entry: str) -> Network:
    try:
        network = ip_network(entry.strip().replace("%", "no zones"))
    except ValueError:
        raise ValueError(f"`{entry}` is not a network such as 10.1.0.0/16 or fd12::/16") from None
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED):
        raise ValueError(f"`{entry}` covers IPv4 addresses in IPv6 form; write the IPv4 network")
    return network


def address_class(address: Address) -> str:
    """Returns what kind of non-public address this is; empty for a public one."""
    if address in _METADATA:
        return "cloud metadata"
    for name in ("loopback", "link_local", "unspecified", "multicast"):
        if getattr(address, f"is_{name}"):
            return name.replace("_", "-")
    for name, network in _SPECIAL:
        if address in network:
            return name
    if isinstance(address, IPv6Address) and not address.is_private and address not in _GLOBAL_UNICAST:
        return "reserved"
    if address.is_reserved:
        return "reserved"
    return "" if address.is_global else "private"
