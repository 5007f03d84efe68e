"""A sandbox with a checked way out, and two servers on loopback: one must never be reached.

Names resolve to what a test says; the way out is the real one, with loopback opened for 127.0.0.1.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from uuid import uuid4

import anyio
import anyio.to_thread
from anyio.abc import SocketAttribute, SocketStream

from auxot_tools.net.outbound import Outbound, OutboundLimits, OutboundRules
from auxot_tools.ports import BoxLimits
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.options import SandboxOptions
from tests.support.box_runs import program_of, run_once
from tests.support.engine import Ran, sandbox_image

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"


@dataclass
class World:
    """A server at 127.0.0.1 that may be reached, one at 127.0.0.2 that may not, and a sandbox."""

    sandbox: DockerSandbox
    port: int
    names: dict[str, Sequence[str]]
    heard: list[bytes] = field(default_factory=list)
    forbidden_touched: int = 0

    def url(self, name: str, path: str = "/") -> str:
        return f"http://{name}:{self.port}{path}"

    async def bash(self, code: str, *hosts: str, limits: BoxLimits | None = None) -> Ran:
        listed = tuple(f"{host}:{self.port}" for host in hosts)
        return await run_once(
            self.sandbox, program_of("bash", "-c", code), hosts=listed, limits=limits
        )

    async def python(self, code: str, *hosts: str) -> Ran:
        listed = tuple(f"{host}:{self.port}" for host in hosts)
        return await run_once(self.sandbox, program_of("python3", "main", code=code), hosts=listed)


@asynccontextmanager
async def world_of(options: SandboxOptions | None = None) -> AsyncGenerator[World, None]:
    await anyio.to_thread.run_sync(sandbox_image)
    names: dict[str, Sequence[str]] = {}

    async def resolve(host: str) -> Sequence[str]:
        return names[host]

    async def answer(stream: SocketStream) -> None:
        async with stream:
            made.heard.append(await stream.receive())
            await stream.send(ANSWER)

    async def forbidden(stream: SocketStream) -> None:
        made.forbidden_touched += 1
        await stream.aclose()

    rules = OutboundRules(reachable=(ip_network("127.0.0.1/32"),))
    options = options or SandboxOptions(ready=0)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as server,
        await anyio.create_tcp_listener(
            local_host="127.0.0.2", local_port=server.extra(SocketAttribute.local_port)
        ) as other,
        anyio.create_task_group() as tasks,
        Outbound(rules, OutboundLimits(), resolve=resolve) as outbound,
        DockerSandbox(
            options, worker_id=f"test-{uuid4().hex[:8]}", connect=outbound.connect
        ) as sandbox,
    ):
        made = World(sandbox, server.extra(SocketAttribute.local_port), names)
        names["good.test"] = ["127.0.0.1"]
        tasks.start_soon(server.serve, answer)
        tasks.start_soon(other.serve, forbidden)
        yield made
        assert made.forbidden_touched == 0
        tasks.cancel_scope.cancel()
