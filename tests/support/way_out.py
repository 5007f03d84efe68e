"""The way out as tests use it: loopback is open, every port is, and names are the test's.

One job: make it. Nothing that leaves the machine is ever asked.
"""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

from auxot_tools.net.outbound import (
    Outbound,
    OutboundAnswer,
    OutboundLimits,
    OutboundRequest,
    OutboundRules,
)
from auxot_tools.types import Deadline

LOOPBACK = ip_network("127.0.0.0/8")
EVERY_PORT = tuple(range(1, 65536))
ANSWER_S = 10.0
STORE = ssl.create_default_context()  # reading it takes longer than most tests


async def loopback(name: str) -> Sequence[str]:
    """Names under `.example` are on this machine; others do not exist."""
    if not name.endswith(".example"):
        raise OSError("no such name")
    return ["127.0.0.1"]


class WayOut:
    """An open `Outbound`, and its `fetch` in one line."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound

    async def fetch(self, request: OutboundRequest, seconds: float = ANSWER_S) -> OutboundAnswer:
        return await self.outbound.fetch(request, Deadline.after(seconds))

    async def get(self, url: str, seconds: float = ANSWER_S) -> OutboundAnswer:
        return await self.fetch(OutboundRequest(url), seconds)


@asynccontextmanager
async def way_out(
    rules: OutboundRules | None = None,
    limits: OutboundLimits | None = None,
    tls: ssl.SSLContext | None = STORE,
) -> AsyncGenerator[WayOut, None]:
    rules = rules or OutboundRules(ports=EVERY_PORT, reachable=(LOOPBACK,))
    limits = limits or OutboundLimits()
    async with Outbound(rules, limits, resolve=loopback, ssl_context=tls) as outbound:
        yield WayOut(outbound)
