"""A WebSocket to one of our own: what comes and goes, and every way in which it fails."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trustme
from aiohttp import web
from anyio.abc import ByteStream

from auxot_tools.net.websocket import (
    Message,
    Pong,
    WebSocket,
    WebSocketClosed,
    WebSocketLimits,
    WebSocketRefused,
    open_websocket,
)
from tests.support.raw_server import Asked, raw_server

pytestmark = pytest.mark.anyio

OURS = trustme.CA()
Peer = Callable[[web.WebSocketResponse], Awaitable[None]]


async def echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        await socket.send_str(message.data)


@asynccontextmanager
async def peer(act: Peer = echo, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """A server whose connections ``act``; the URL."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        await act(socket)
        return socket

    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/ws"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def refusal(
    url: str, limits: WebSocketLimits | None = None, trust: ssl.SSLContext | None = None
) -> WebSocketRefused:
    with pytest.raises(WebSocketRefused) as caught:
        async with open_websocket(url, limits, ssl_context=trust):
            pass
    return caught.value


async def why_closed(act: Peer, limits: WebSocketLimits | None = None) -> str:
    """Why the connection ends while we wait for a message."""
    async with peer(act) as url, open_websocket(url, limits) as socket:
        with anyio.fail_after(5), pytest.raises(WebSocketClosed) as caught:
            await socket.receive()
        return str(caught.value)


async def test_messages_go_both_ways_and_a_ping_is_answered_in_its_turn() -> None:
    async with peer() as url, open_websocket(url) as socket:
        assert socket.peer_address == "127.0.0.1"
        await socket.send("é".encode())
        await socket.ping(b"17")
        await socket.send(b"after")
        assert await socket.receive() == Message("é".encode())
        assert await socket.receive() == Pong(b"17")
        assert await socket.receive() == Message(b"after")


async def test_binary_messages_are_messages_and_pings_are_answered() -> None:
    answered: list[str] = []

    async def act(socket: web.WebSocketResponse) -> None:
        await socket.ping(b"are you there")
        await socket.send_bytes(b"\x00\x01")
        message = await socket.receive()
        answered.append(message.data)
        await socket.send_str("done")

    async with peer(act) as url, open_websocket(url) as socket:
        assert await socket.receive() == Message(b"\x00\x01")
        await socket.send(b"first after the pong")
        assert await socket.receive() == Message(b"done")
    assert answered == ["first after the pong"]


async def test_a_closing_and_a_cut_are_told_apart() -> None:
    async def close(socket: web.WebSocketResponse) -> None:
        await socket.close(code=1008)

    async def cut(socket: web.WebSocketResponse) -> None:
        transport = socket._req.transport if socket._req else None
        assert transport is not None
        transport.abort()

    assert await why_closed(close) == "it closed the connection (code 1008)"
    assert await why_closed(cut) == "the connection broke"


async def test_a_giant_message_ends_the_connection_and_is_told() -> None:
    async def act(socket: web.WebSocketResponse) -> None:
        await socket.send_str("x" * 5000)
        await socket.receive()

    said = await why_closed(act, WebSocketLimits(max_bytes=4000))
    assert said == "it sent a message of more than 4000 bytes"


async def test_a_broken_frame_ends_the_connection_and_is_told() -> None:
    async def act(socket: web.WebSocketResponse) -> None:
        transport = socket._req.transport if socket._req else None
        assert transport is not None
        transport.write(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
        await socket.receive()

    assert await why_closed(act) == "it broke the WebSocket protocol"


async def test_a_peer_that_never_reads_is_left_in_bounded_time() -> None:
    done = anyio.Event()

    async def act(_socket: web.WebSocketResponse) -> None:
        await done.wait()

    async def send_on(socket: WebSocket) -> None:
        while True:
            await socket.send(bytes(2**20))

    async with peer(act) as url, open_websocket(url, WebSocketLimits(write_s=0.1)) as socket:
        with anyio.fail_after(5), pytest.raises(WebSocketClosed, match=r"took nothing for 0\.1 s"):
            await send_on(socket)
        done.set()


async def test_what_is_no_websocket_is_told_with_its_status() -> None:
    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(answer) as server:
        refused = await refusal(server.url("/ws").replace("http", "ws"))
    assert str(refused) == "it is no WebSocket (HTTP status 404)"
    assert not refused.may_speak_plain


async def test_nobody_there_an_unknown_name_and_silence_are_told() -> None:
    async def silence(_asked: Asked, stream: ByteStream) -> None:
        await stream.receive()

    assert str(await refusal("ws://127.0.0.1:1/ws")) == "nobody listens there"
    assert str(await refusal("ws://nobody.invalid/ws")) == "its name is not known"
    async with raw_server(silence) as server:
        url = server.url("/ws").replace("http", "ws")
        refused = await refusal(url, WebSocketLimits(connect_s=0.1))
    assert str(refused) == "it did not answer in time"


async def test_tls_is_believed_by_its_authority_only() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    OURS.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.create_default_context()
    OURS.configure_trust(trust)

    async with peer(tls=context) as url:
        async with open_websocket(url, ssl_context=trust) as socket:
            assert isinstance(socket, WebSocket)
        refused = await refusal(url)
    assert str(refused) == "its certificate is not trusted"
    assert not refused.may_speak_plain


async def test_a_server_without_tls_is_known_as_one() -> None:
    async with peer() as url:
        refused = await refusal(url.replace("ws://", "wss://"))
    assert str(refused) == "it does not speak TLS there"
    assert refused.may_speak_plain


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("{elsewhere}/steal?a=b", "{elsewhere}"),
        ("https://user:pw@other.example:1/x", "https://other.example:1"),
        ("/elsewhere", "{here}"),
        ("http://" + "x" * 1000, "http://" + "x" * 193),
        ("http://[", "another place"),
    ],
)
async def test_a_redirect_is_told_and_never_followed(location: str, origin: str) -> None:
    async def redirect(_asked: Asked, stream: ByteStream) -> None:
        to = location.format(elsewhere=other.url(""))
        answer = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        await stream.send(answer.encode())

    async def never(_asked: Asked, stream: ByteStream) -> None:
        await stream.aclose()

    async with raw_server(never) as other, raw_server(redirect) as server:
        refused = await refusal(server.url("/ws").replace("http", "ws"))
        expected = origin.format(elsewhere=other.url(""), here=server.url(""))
    assert f"it redirects to {expected} (HTTP status 302)" in str(refused)
    assert not refused.may_speak_plain
    assert (len(server.asked), other.asked) == (1, [])


async def test_a_refused_handshake_is_no_sign_that_tls_is_not_spoken() -> None:
    async def alert(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"\x15\x03\x01\x00\x02\x02\x28")  # handshake_failure

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, alert)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        refused = await refusal(f"wss://127.0.0.1:{port}/ws")
        tasks.cancel_scope.cancel()
    assert str(refused) == "it refuses the TLS handshake"
    assert not refused.may_speak_plain
