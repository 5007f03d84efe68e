"""A WebSocket to a server of the operator's own: frames out, frames in.

One job: the connection, its time limits, and what went wrong in our words. It must not know what
the frames mean. Proxies of the environment are used where the caller asks for that; redirects are
never followed, as what is said first on a connection may be a secret for that server.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import anyio

from auxot_tools.errors import Unavailable

CLOSE_S = 2.0  # for the peer to answer a closing; then the connection is dropped
NORMAL_CLOSURE = 1000
MAX_ORIGIN_CHARS = 200  # of where a server redirects to, as it is shown; a name has at most 253


class WebSocketClosed(Unavailable):
    """The connection has ended, or could not be used any more. The text says why, in our words."""


class WebSocketRefused(Unavailable):
    """There was no connection. ``may_speak_plain``: somebody is there, and spoke no TLS in time.
    ``headers`` (names in lower case) are those of an answer that was HTTP and no WebSocket.
    """

    def __init__(
        self,
        text: str,
        *,
        may_speak_plain: bool = False,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(text)
        self.may_speak_plain = may_speak_plain
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Message:
    """A text or binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping of ours; it carries what the ping carried."""

    data: bytes


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """Seconds to connect, the upgrade included, and to get one message out; bytes of a message."""

    connect_s: float = 20.0
    write_s: float = 30.0
    max_bytes: int = 16 * 2**20


class WebSocket:
    """One open connection."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[bool], limits: WebSocketLimits
    ) -> None:
        self._socket = socket
        self._limits = limits

    @property
    def peer_address(self) -> str:
        """The IP address at the other end; empty when it is not known."""
        peer = self._socket.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) and peer else ""

    async def send(self, data: bytes) -> None:
        """One text message; ``data`` is UTF-8. Raises `WebSocketClosed`, also for a peer that does
        not take it in time.
        """
        await self._written(self._socket.send_frame(data, aiohttp.WSMsgType.TEXT))

    async def ping(self, data: bytes) -> None:
        """A ping, which the peer answers with a `Pong`. Raises `WebSocketClosed`."""
        await self._written(self._socket.ping(data))

    async def _written(self, writing: Awaitable[None]) -> None:
        try:
            with anyio.fail_after(self._limits.write_s):
                await writing
        except TimeoutError:
            text = f"it took nothing for {self._limits.write_s:g} s"
            raise WebSocketClosed(text) from None
        except (aiohttp.ClientError, OSError, RuntimeError):
            raise WebSocketClosed("the connection broke") from None

    async def receive(self) -> Message | Pong:
        """The next message or pong; pings are answered. Raises `WebSocketClosed`."""
        while True:
            got = await self._socket.receive()
            if got.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                return Message(bytes(got.data))
            if got.type is aiohttp.WSMsgType.PONG:
                return Pong(bytes(got.data))
            if got.type is aiohttp.WSMsgType.PING:
                await self._written(self._socket.pong(got.data))
                continue
            raise WebSocketClosed(self._why_closed(got))

    def _why_closed(self, got: Any) -> str:
        if got.type is aiohttp.WSMsgType.ERROR:
            code = getattr(got.data, "code", 0)
            if code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return f"it sent a message of more than {self._limits.max_bytes} bytes"
            return "it broke the WebSocket protocol"
        code = self._socket.close_code
        if got.type is aiohttp.WSMsgType.CLOSE and code:
            return f"it closed the connection (code {code})"
        return "the connection broke"


@asynccontextmanager
async def open_websocket(
    url: str,
    limits: WebSocketLimits | None = None,
    *,
    use_proxies: bool = True,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[WebSocket, None]:
    """A connection to a `ws://` or `wss://` URL; leaving closes it, within ``CLOSE_S``.

    ``use_proxies``: those that the environment names (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
    ``ssl_context``: whom to trust; without it the system's authorities. Raises `WebSocketRefused`.
    """
    limits = limits or WebSocketLimits()
    redirects = aiohttp.TraceConfig()
    redirects.on_request_redirect.append(_refuse_redirect)
    session = aiohttp.ClientSession(
        trace_configs=[redirects],
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=use_proxies,
    )
    async with session:
        try:
            with anyio.fail_after(limits.connect_s):
                socket = await session.ws_connect(
                    url.replace("ws", "http", 1),  # by which proxies are named in the environment
                    autoping=False,
                    autoclose=False,
                    compress=0,
                    max_msg_size=limits.max_bytes,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    ssl=ssl_context or True,
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _refusal(error) from None
        try:
            yield WebSocket(socket, limits)
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await socket.close(code=NORMAL_CLOSURE)


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    """Called before a redirect is followed, which raising prevents."""
    origin = _origin(str(params.url), params.response.headers.get("Location", ""))
    raise WebSocketRefused(
        f"it redirects to {origin} (HTTP status {params.response.status}), which is not followed"
    )


def _origin(url: str, location: str) -> str:
    """Where this leads to: scheme, host and port alone, fit for a log line."""
    try:
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        return "another place"
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:MAX_ORIGIN_CHARS]
    return "".join(one if one.isprintable() else "?" for one in origin)


# kind of exception -> what it says; the first that fits counts
_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "it did not answer in time"),
    (TimeoutError, "it did not answer in time"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "it does not speak TLS there"),
    (aiohttp.ClientConnectorDNSError, "its name is not known"),
    (ConnectionRefusedError, "nobody listens there"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refuses the connection"),
    (aiohttp.ClientConnectorError, "it cannot be reached"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientOSError, "it closed the connection without an answer"),
    (aiohttp.InvalidURL, "the URL cannot be used"),
)

# What a server without TLS does with the first bytes of it: answer in clear, hang up, or wait.
_NO_TLS = (
    ssl.SSLEOFError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ServerDisconnectedError,
    ConnectionResetError,
    TimeoutError,
)


def _refusal(error: Exception) -> WebSocketRefused:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        text = f"it is no WebSocket (HTTP status {error.status})"
        return WebSocketRefused(text, headers=headers)
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
        return WebSocketRefused("it refuses the TLS handshake")  # so it speaks TLS
    is_plain = isinstance(error, _NO_TLS) or isinstance(cause, _NO_TLS)
    if isinstance(cause, ConnectionRefusedError):
        error = cause
    fallback = "what answers there speaks no HTTP"
    text = next((text for kind, text in _REFUSALS if isinstance(error, kind)), fallback)
    return WebSocketRefused(text, may_speak_plain=is_plain)
