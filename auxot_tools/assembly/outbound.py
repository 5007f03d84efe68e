"""The way out of boxes: what the operator blocks for our own tools is blocked for theirs too.

One job: wiring, from the configuration to the connections of the egress proxy.
"""

from dataclasses import replace

from anyio.abc import ByteStream

from auxot_tools.config import NetSettings
from auxot_tools.net.egress import Connect
from auxot_tools.net.outbound import Outbound, outbound_rules
from auxot_tools.types import Deadline


def box_connect(settings: NetSettings, outbound: Outbound) -> Connect:
    """Connects for boxes. Hosts and ports are the box's list; that list the operator opened."""
    rules = replace(outbound_rules(settings), allowed_domains=())

    async def connect(host: str, port: int, deadline: Deadline, /) -> ByteStream:
        return await outbound.connect(host, port, deadline, replace(rules, ports=(port,)))

    return connect
