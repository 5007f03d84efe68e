"""What is sent: which headers a request may have, and what is left of it after a redirect.

One job: the rules of the fetch standard for redirects, and no credentials across origins. It must
not know who may be reached, nor how anything is sent.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from auxot_tools.errors import OutboundRefused
from auxot_tools.net.exchange import OutboundLimits, OutboundRequest
from auxot_tools.net.urls import Target

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = 64  # of one request; more than any API asks for
# Ours to write: they say where the message ends, whom it is for, or what is between the two.
OUR_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "via",
    }
)  # fmt: skip
# What another origin may see. Anything else may be a credential under whatever name.
PLAIN_HEADERS = frozenset(
    {"accept", "accept-language", "content-language", "content-type", "user-agent"}
)
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def checked(request: OutboundRequest, limits: OutboundLimits) -> OutboundRequest:
    """`request`, its method in capitals. Raises `OutboundRefused` for what may not be sent."""
    method = request.method.upper()
    if method not in METHODS:
        raise OutboundRefused(f"The method must be one of {', '.join(sorted(METHODS))}.")
    if request.body is not None and len(request.body) > limits.sent_bytes:
        raise OutboundRefused(f"The body is longer than {limits.sent_bytes} bytes.")
    size = sum(len(name) + len(value) for name, value in request.headers)
    if len(request.headers) > HEADERS or size > limits.header_bytes:
        raise OutboundRefused(
            f"At most {HEADERS} headers of {limits.header_bytes} bytes together can be sent."
        )
    for name, value in request.headers:
        if not _NAME.fullmatch(name):
            raise OutboundRefused("A header's name contains a character that is not allowed.")
        if name.lower() in OUR_HEADERS:
            raise OutboundRefused(f"The header `{name}` cannot be set: leave it out.")
        if not _VALUE.fullmatch(value):
            raise OutboundRefused(f"The header `{name}` contains a line end or is not ASCII.")
    return replace(request, method=method)


def is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    return status in REDIRECTS and "location" in headers


def after_redirect(
    request: OutboundRequest, status: int, base: Target, target: Target
) -> OutboundRequest:
    """What is asked of `target`, to which `base` redirected with `status`."""
    has_get = (status == 303 and request.method != "HEAD") or (
        status in {301, 302} and request.method == "POST"
    )
    method = "GET" if has_get else request.method
    body = None if has_get else request.body
    headers = request.headers
    if body is None:
        headers = tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))
    if base.origin != target.origin:
        headers = tuple(pair for pair in headers if pair[0].lower() in PLAIN_HEADERS)
    return replace(request, url=target.url, method=method, headers=headers, body=body)
