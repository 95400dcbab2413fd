"""Which addresses a tool may connect to: the public Internet, and what the operator allows besides."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PRIVATE: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # shared by the customers of a provider (CGNAT)
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 counterpart; listed here is what
# `is_global` of the oldest supported Python takes for public.
_NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv6Network("2002::/16"),  # 6to4, given up (RFC 7526); may lead to any IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """What is allowed besides public addresses. The default is nothing."""

    hosts: frozenset[str] = frozenset()
    """Names, in lower case, that may resolve to any address."""
    networks: tuple[Network, ...] = ()
    """Addresses that may be connected to whatever they are."""
    allow_private: bool = False
    """Loopback, private, shared (CGNAT) and unique local addresses. Link-local ones stay refused: there clouds
    hand out their credentials; name them in `networks`."""

    @classmethod
    def allowing(cls, entries: Iterable[str], *, allow_private: bool = False) -> "AddressPolicy":
        """Make a policy from names, addresses and networks in CIDR form.

        Raises:
            ValueError: an entry is a URL, or a network with host bits set.
        """
        hosts: set[str] = set()
        networks: list[Network] = []
        for entry in (one.strip() for one in entries):
            if "/" in entry or _parse(entry) is not None:
                networks.append(ip_network(entry))
            else:
                hosts.add(_fold(entry))
        return cls(hosts=frozenset(hosts), networks=tuple(networks), allow_private=allow_private)

    def allows(self, host: str, address: Address) -> bool:
        """Say whether `host`, which resolved to `address`, may be connected to there."""
        if _fold(host) in self.hosts:
            return True
        address = unwrap(address)
        if any(address in network for network in self.networks):
            return True
        if self.allow_private and any(address in network for network in _PRIVATE):
            return True
        embedded = _embedded(address)
        return is_public(address) and (embedded is None or self.allows(host, embedded))


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one means, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: Address) -> bool:
    """Say whether an address is of the public Internet, itself and not by what is embedded in it."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST and address not in _NAT64:
        return False
    if address.is_multicast or address.is_private or address.is_link_local:
        return False
    return (address.is_global or address in _NAT64) and not any(address in one for one in _NOT_PUBLIC)


def _embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway would take a NAT64 or ISATAP address to."""
    if isinstance(address, IPv4Address):
        return None
    is_isatap = (int(address) >> 32) & 0xFCFF_FFFF == 0x5EFE
    return IPv4Address(int(address) & 0xFFFF_FFFF) if is_isatap or address in _NAT64 else None


def _parse(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _fold(host: str) -> str:
    return host.lower().rstrip(".")
