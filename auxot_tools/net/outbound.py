"""The checked way out: one request to somebody whose address we do not choose.

One job: send it by the rules, hop by hop, and keep a bounded answer. It must not know tools,
documents or Messages.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from anyio.abc import ByteStream

from auxot_tools.net.exchange import (
    OutboundAnswer,
    OutboundLimits,
    OutboundRequest,
    OutboundRules,
    outbound_limits,
    outbound_rules,
)
from auxot_tools.types import Deadline

__all__ = [
    "Outbound",
    "OutboundAnswer",
    "OutboundLimits",
    "OutboundRequest",
    "OutboundRules",
    "Resolve",
    "outbound_limits",
    "outbound_rules",
]

# A host name -> all its addresses as text. Raises OSError when there are none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]


class Outbound:
    """The way out, one for the process. Use as an async context manager.

    `resolve` asks the system when None; `ssl_context` verifies by the system's store when None.
    """

    def __init__(
        self,
        rules: OutboundRules,
        limits: OutboundLimits,
        *,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._limits = limits

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass

    async def fetch(self, request: OutboundRequest, deadline: Deadline) -> OutboundAnswer:
        """The answer to `request`, whatever its status, redirects followed.

        Raises `OutboundRefused` when the rules say no, of the request or of a redirect, and
        `OutboundFailed` when no whole answer came in time. Both have a text for the model.
        """
        raise NotImplementedError

    async def connect(
        self, host: str, port: int, deadline: Deadline, rules: OutboundRules | None = None
    ) -> ByteStream:
        """A TCP connection to `host`, whose addresses are resolved once and checked.

        Address rules are always those of this object. Port and domain rules are those of `rules`;
        None: the caller has checked them. Raises as `fetch` does.
        """
        raise NotImplementedError
