"""What is asked of somebody outside, what comes back, and the rules and limits that bound it.

One job: plain values, and how the settings become them. It must not know how anything is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from auxot_tools.config.outbound import NetSettings

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class OutboundRules:
    """Who may be reached.

    `allowed_domains` empty: every domain. `reachable`: networks that are not public and that the
    operator opened.
    """

    schemes: tuple[str, ...] = ("http", "https")
    ports: tuple[int, ...] = (80, 443)
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    reachable: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """How much, how long and how many.

    `body_bytes` counts after decompression. `header_bytes` bounds each header line of an answer and
    all headers of a request; `sent_bytes` bounds a request's body. `max_connections` bounds those
    open at once, a request beyond them waits.
    """

    max_redirects: int = 5
    connect_s: float = 10.0
    body_bytes: int = 5 * 2**20
    header_bytes: int = 16 * 2**10
    sent_bytes: int = 2**20
    max_connections: int = 128


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """One thing to ask.

    `operator_chosen`: the address comes from the operator's own settings. Address, port and domain
    rules do not apply then, and redirects are not followed: the 3xx answer is what comes back.
    `max_bytes` lowers the limit on the body of the answer.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    operator_chosen: bool = False
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """What came back, whatever its status.

    `url` is the one that answered at last, without fragment. `headers` have names in lower case; of
    repeated ones the first counts. `content_type` is as the server wrote it, empty when it named
    none. `body` is decompressed; `is_cut` says that there was more. `redirects` holds the URLs that
    sent us on, in order.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    content_type: str
    body: bytes
    is_cut: bool = False
    redirects: tuple[str, ...] = ()


def outbound_rules(settings: NetSettings) -> OutboundRules:
    """The rules as the settings have them."""
    return OutboundRules(
        ports=settings.ports,
        allowed_domains=settings.allowed_domains,
        blocked_domains=settings.blocked_domains,
        reachable=tuple(ip_network(network) for network in settings.reachable_networks),
    )


def outbound_limits(settings: NetSettings) -> OutboundLimits:
    """The limits as the settings have them; the others have their defaults."""
    return OutboundLimits(
        max_redirects=settings.max_redirects,
        connect_s=settings.connect_timeout_s,
        body_bytes=settings.max_body_bytes,
    )
