"""The settings of what our own tools may reach on the network, and how much they may bring back.

One job: declare, as `settings.py` does for everything else.
"""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic import Field as Setting

from auxot_tools.config.kinds import Allowed, Count, Seconds, Section, split


def _domain(pattern: str) -> str:
    """A host name, `*.` and a host name, or an address. It is matched in `net/domains.py`."""
    pattern = pattern.strip().lower().rstrip(".")
    if re.fullmatch(r"(\*\.)?[^\s*/@:%\\?#\[\]]{1,253}|[0-9a-f:.]{2,45}", pattern) is None:
        raise ValueError(pattern)
    return pattern


def _network(text: str) -> str:
    """Exactly as it is meant: `10.0.0.1/8`, which says two things, is no network."""
    return str(ip_network(text))


Domains = Annotated[
    tuple[Annotated[str, AfterValidator(_domain)], ...],
    BeforeValidator(split),
    Allowed("a list of domains such as `example.org` or `*.example.org`"),
]


class NetSettings(Section):
    """What our own tools may reach: `web_fetch`, search, hosts that a sandboxed tool is granted."""

    ports: Annotated[
        tuple[Annotated[Count, Setting(ge=1, le=65535)], ...],
        BeforeValidator(split),
        Allowed("a list of ports"),
    ] = Setting(
        default=(80, 443), min_length=1, max_length=64, description="Ports that may be reached."
    )
    allowed_domains: Domains = Setting(
        default=(),
        max_length=1024,
        description="Only these may be reached; empty: all. `example.org` includes its subdomains, "
        "`*.example.org` is the subdomains alone.",
    )
    blocked_domains: Domains = Setting(
        default=(), max_length=1024, description="Never reached, even if allowed."
    )
    reachable_networks: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...],
        BeforeValidator(split),
        Allowed("a list of networks such as `10.1.2.0/24`"),
    ] = Setting(
        default=(),
        max_length=64,
        description="Networks that are not public and may be reached all the same: a model can "
        "then read what they serve. Cloud metadata addresses stay closed unless named exactly.",
    )
    max_redirects: Count = Setting(
        default=5, ge=0, le=20, description="Redirects that one fetch follows."
    )
    max_body_bytes: Count = Setting(
        default=5 * 2**20,
        ge=2**10,
        le=64 * 2**20,
        description="Kept of one answer, after decompression; the rest is cut.",
    )
    connect_timeout_s: Seconds = Setting(
        default=10, ge=0.05, le=60, description="Time to connect, TLS included."
    )
