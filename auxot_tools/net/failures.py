"""What went wrong on the way, in our words.

One job: from the HTTP client's errors to ours. Their own texts name addresses and are never shown.
"""

import aiohttp

from auxot_tools.errors import AuxotError, OutboundFailed, OutboundRefused
from auxot_tools.net.guard import ForbiddenAddressError
from auxot_tools.net.hosts import is_address

# The first class that fits counts: a subclass stands before its parent.
_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ConnectionTimeoutError, "not_reached", "could not be connected to in time"),
    (aiohttp.ServerTimeoutError, "too_slow", "did not answer in time"),
    (aiohttp.ClientConnectorCertificateError, "tls", "has no valid certificate for this name"),
    (aiohttp.ClientSSLError, "tls", "does not speak TLS as it must"),
    (aiohttp.ClientConnectorDNSError, "not_found", "has no address: check the name"),
    (aiohttp.ClientConnectorError, "not_reached", "cannot be connected to"),
    (aiohttp.ClientResponseError, "bad_answer", "sent an answer that is not valid HTTP"),
    (aiohttp.ClientPayloadError, "broken_off", "broke off in the middle of the answer"),
    (aiohttp.ServerDisconnectedError, "broken_off", "closed the connection without an answer"),
    (aiohttp.ClientError, "broken_off", "broke off the connection"),
    (OSError, "broken_off", "broke off the connection"),
)


def failure_of(error: aiohttp.ClientError | OSError, server: str) -> AuxotError:
    """`server` names it in a sentence, as `named` does."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ForbiddenAddressError):
        return address_refusal(server)
    kind, words = next(
        (kind, words) for known, kind, words in _FAILURES if isinstance(error, known)
    )
    return OutboundFailed(f"{server} {words}.", kind)


def named(host: str, is_redirected: bool = False) -> str:
    """A server, to begin a sentence with.

    An address to which a server redirects may be one of ours: the model did not write it.
    """
    if is_redirected and is_address(host):
        return "The server that is redirected to"
    return f"The server `{host}`"


def address_refusal(server: str) -> OutboundRefused:
    """What a name resolved to is not for the model."""
    return OutboundRefused(
        f"{server} cannot be reached: it has an address that is not public, "
        "and only public addresses can be reached."
    )


def too_slow() -> OutboundFailed:
    return OutboundFailed("The server did not answer in the time that there was.", "too_slow")
