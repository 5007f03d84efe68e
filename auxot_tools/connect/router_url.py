"""Where a router is: from what an operator wrote to the URLs that are tried, in order.

One job: that, and the rule for keys in clear. Pure. It must not know sockets.

The rule: the tools key is sent without TLS only where the operator wrote `ws://` or `http://`, or
where a guess (an address without a scheme, that does not speak TLS) was answered from a loopback or
private address. A guess never sends it to any other.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

PATH = "/ws"
_SECURE = {"ws": False, "http": False, "wss": True, "https": True}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A URL to try. ``is_guess``: nobody asked for this scheme."""

    url: str
    is_secure: bool
    is_guess: bool = False


def candidates(written: str) -> tuple[Candidate, ...]:
    """The URLs for an address as settings allow it; path and query are never the operator's.

    http is ws, https is wss; without a scheme TLS comes first, as Auxot's worker knows only that.
    """
    scheme, separator, _ = written.partition("://")
    parts = urlsplit(written if separator else f"//{written}")
    if separator:
        return (_candidate(_SECURE[scheme.lower()], parts.netloc),)
    return (_candidate(True, parts.netloc, True), _candidate(False, parts.netloc, True))


def _candidate(is_secure: bool, netloc: str, is_guess: bool = False) -> Candidate:
    return Candidate(f"{'wss' if is_secure else 'ws'}://{netloc}{PATH}", is_secure, is_guess)


def shown_address(written: str) -> str:
    """An address as logs show it: scheme, host and port, as the rest may hold a secret."""
    _, separator, _ = written.partition("://")
    parts = urlsplit(written if separator else f"//{written}")
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{PATH}" if separator else place


def is_near(address: str) -> bool:
    """Whether an IP address is loopback, private or link-local: nobody else's network is between.

    Carriers' shared addresses (100.64.0.0/10) are somebody else's.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_loopback or ip.is_link_local or (ip.is_private and not ip.is_unspecified)


def in_clear(candidate: Candidate, peer_address: str) -> tuple[str, str]:
    """What is to be said of sending the key to this peer: why it is not sent, or a warning.

    Both are empty where there is nothing to say.
    """
    if candidate.is_secure:
        return "", ""
    if is_near(peer_address):
        return "", ""
    if candidate.is_guess:
        refusal = (
            "it does not speak TLS and its address is not a private one, where the key is not sent "
            f"in clear by a guess; write {candidate.url} if it shall be"
        )
        return refusal, ""
    return "", f"the key goes to {candidate.url} in clear: without TLS others can read it"
