"""Which addresses are never connected to: everything that is not public unicast.

One job: judge one address. It must not know names, sockets or HTTP.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


def forbidden_reason(address: str, reachable: Sequence[Network] = ()) -> str:
    """Why `address` is not connected to, in a few words; empty when it may be."""
    raise NotImplementedError
