"""The one spelling of a host: lower case, ASCII, no trailing dot, addresses in their usual form.

One job: spell, and refuse what has no one spelling. Several programs read the odd forms of an
address (`127.1`, `0x7f000001`) differently, so that none of them is taken. It must not know rules.
"""

import re
from ipaddress import IPv4Address, IPv6Address

import idna

HOST_CHARS = 253  # the longest name that the DNS can hold
TYPED_CHARS = 1000  # before mapping to ASCII, whose cost grows with the text

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def canonical_host(text: str) -> str:
    """`text` in its one spelling. IPv6 comes and goes without brackets.

    Raises `ValueError`, with a short reason, for what is neither a name nor a plain address.
    """
    if ":" in text:
        return _ipv6(text)
    if len(text) > TYPED_CHARS:
        raise ValueError("too long")
    name = (text if text.isascii() else _mapped(text)).lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(name)
    if len(name) > HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    return name


def is_address(host: str) -> bool:
    """Whether a host in its one spelling is an address, not a name."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def _mapped(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError("not a host name") from None


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("an address must be four decimal numbers") from None


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError("an address must not name a network interface")
    return str(address)
