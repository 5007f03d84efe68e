"""Which addresses are never connected to: everything that is not public unicast.

One job: judge one address. It must not know names, sockets or HTTP.

The tables follow the IANA registries of special-purpose addresses (IPv4, IPv6) and of the IPv6
address space. Addresses that carry an IPv4 address inside are refused whatever they carry: who
translates them decides where they lead. A NAT64 prefix that only the local network knows cannot be
told from other public addresses; its translator has to keep private addresses closed.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

# Servers that hand out the machine's own credentials. One of them has a public address.
METADATA = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # of containers, and the next: of pods
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
    )
)

IPV4_CLOSED = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared address of a carrier"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)

IPV6_CLOSED = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4 address inside an IPv6 address"),
        ("::/96", "an IPv4 address inside an IPv6 address"),
        ("64:ff9b::/96", "an IPv4 address inside an IPv6 address"),
        ("64:ff9b:1::/48", "an IPv4 address inside an IPv6 address"),
        ("2001::/32", "an IPv4 address inside an IPv6 address"),
        ("2002::/16", "an IPv4 address inside an IPv6 address"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("2001:2::/48", "an address for benchmarks"),
        ("2001::/23", "a reserved address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
# Those that have the IPv4 address in their last 32 bits.
IPV4_AT_THE_END = tuple(
    IPv6Network(network) for network in ("::ffff:0:0/96", "::/96", "64:ff9b::/96")
)
# All that has ever been given out as public unicast.
IPV6_PUBLIC = IPv6Network("2000::/3")
# The upper half of an ISATAP interface identifier; the lower half is an IPv4 address.
ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


def forbidden_reason(address: str, reachable: Sequence[Network] = ()) -> str:
    """Why `address` is not connected to, in a few words; empty when it may be.

    `reachable` are networks that the operator opened. A metadata server is open only if its very
    address is listed, as a network of one. Of an opened NAT64 prefix, or the like, the IPv4
    addresses inside are judged as themselves.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return "an address of one network interface"
    opened = [network for network in reachable if ip in network]
    if any(network.num_addresses == 1 for network in opened):
        return ""
    if ip in METADATA:
        return "a metadata server"
    if opened:
        inside = _ipv4_inside(ip)
        return forbidden_reason(str(inside), reachable) if inside else ""
    return _ipv4_reason(ip) if isinstance(ip, IPv4Address) else _ipv6_reason(ip)


def _ipv4_reason(ip: IPv4Address) -> str:
    return next((reason for network, reason in IPV4_CLOSED if ip in network), "")


def _ipv4_inside(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(ip, IPv4Address) or ip.is_loopback or ip.is_unspecified:
        return None
    if any(ip in network for network in IPV4_AT_THE_END):
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.sixtofour


def _ipv6_reason(ip: IPv6Address) -> str:
    reason = next((reason for network, reason in IPV6_CLOSED if ip in network), "")
    if reason:
        return reason
    if ip not in IPV6_PUBLIC:
        return "a reserved address"
    if (int(ip) >> 32) & 0xFFFF_FFFF in ISATAP:
        return "an IPv4 address inside an IPv6 address"
    return ""
