"""The egress proxy of one box, running, with a server behind it that the test plays."""

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from auxot_tools.errors import AuxotError
from auxot_tools.net.egress import BACKLOG, EgressLimits, EgressProxy, HostList
from auxot_tools.net.unix_socket import UnixStream, listen
from auxot_tools.types import Deadline

PATIENCE_S = 10.0
HOSTS = ("example.org", "*.example.net", "example.org:8443")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
TUNNEL = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
Serve = Callable[[SocketStream], Awaitable[None]]


@dataclass
class Out:
    """A running proxy for one box, and who it was asked to connect to."""

    path: Path
    asked: list[tuple[str, int]] = field(default_factory=list)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_over: anyio.Event = field(default_factory=anyio.Event)

    def client(self) -> UnixStream:
        """Raises `OSError` when nobody listens."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.path))
        except BaseException:
            connection.close()
            raise
        return UnixStream(connection)

    async def ask(self, data: bytes) -> bytes:
        """All that comes back for `data`, to the end of the connection."""
        async with self.client() as client:
            await client.send(data)
            return await everything(client)


async def everything(stream: ByteStream) -> bytes:
    said = b""
    with anyio.fail_after(PATIENCE_S):
        try:
            while True:
                said += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return said


async def exactly(stream: ByteStream, length: int) -> bytes:
    said = b""
    with anyio.fail_after(PATIENCE_S):
        while len(said) < length:
            said += await stream.receive(length - len(said))
    return said


async def answer(stream: SocketStream) -> None:
    """One HTTP answer for whatever comes first."""
    async with stream:
        await stream.receive()
        await stream.send(ANSWER)


async def echo(stream: SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)
        await stream.send_eof()


@asynccontextmanager
async def egress_box(
    tmp_path: Path,
    serve: Serve = echo,
    hosts: tuple[str, ...] = HOSTS,
    limits: EgressLimits | None = None,
    error: AuxotError | None = None,
    name: str = "e",
) -> AsyncGenerator[Out, None]:
    out = Out(tmp_path / name)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as server,
        anyio.create_task_group() as tasks,
    ):
        port = server.extra(SocketAttribute.local_port)

        async def connect(host: str, port_: int, deadline: Deadline) -> ByteStream:
            assert deadline.remaining_s() > 0
            out.asked.append((host, port_))
            if error is not None:
                raise error
            return await anyio.connect_tcp("127.0.0.1", port)

        async def run() -> None:
            with out.scope:
                await EgressProxy(connect, limits).serve(listener, HostList.of(hosts))
            out.is_over.set()

        listener = listen(out.path, BACKLOG)
        tasks.start_soon(server.serve, serve)
        tasks.start_soon(run)
        yield out
        out.scope.cancel()
        tasks.cancel_scope.cancel()
