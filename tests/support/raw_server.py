"""Servers of the tests that send any bytes at any time, so also what no HTTP library would send.

One job: listen on a loopback port, note what was asked, and let the test answer.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

HEAD_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Asked:
    """A request as it came. Names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Answer = Callable[[Asked, ByteStream], Awaitable[None]]


@dataclass
class RawServer:
    port: int
    asked: list[Asked] = field(default_factory=list)
    scheme: str = "http"

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def raw_server(
    answer: Answer, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[RawServer, None]:
    """Serves until left; connections that are open then are dropped."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra(SocketAttribute.local_port)
    server = RawServer(port, scheme="https" if tls else "http")

    async def handle(stream: ByteStream) -> None:
        async with stream:
            try:
                asked = await _read(stream)
                server.asked.append(asked)
                await answer(asked, stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    serving = TLSListener(listener, tls, standard_compatible=False) if tls else listener
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serving.serve, handle)
        yield server
        tasks.cancel_scope.cancel()


async def _read(stream: ByteStream) -> Asked:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
        assert data.partition(b"\r\n\r\n")[1] or len(data) < HEAD_BYTES
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    method, path, _ = first.split(" ", 2)
    return Asked(method, path, headers, body)


def reply(
    body: bytes = b"", status: str = "200 OK", **headers: str
) -> Callable[[Asked, ByteStream], Awaitable[None]]:
    """Always this answer; `_` in the name of a header stands for `-`."""
    lines = {"Content-Length": str(len(body)), "Connection": "close"}
    lines.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def send(data: bytes) -> Callable[[Asked, ByteStream], Awaitable[None]]:
    """Always these bytes."""

    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(data)

    return answer


def by_path(**answers: Answer) -> Answer:
    """An answer for each first part of the path; `root` for `/`."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        name = asked.path.strip("/").partition("/")[0].partition("?")[0] or "root"
        await answers[name](asked, stream)

    return answer
