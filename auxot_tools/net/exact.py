"""Sends exactly what it is told and says exactly what came: for those who examine a server.

One job: one request, its answer with the time of each piece, and of a failure what kind it was. It
must not know Messages, and repairs nothing: no redirect is followed, no header added but `Host`,
`Content-Length`, `Connection: close` and `Accept-Encoding`. The address is the operator's own;
requests that a model asks for go by `outbound`.
"""

import io
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import aiohttp
import anyio
from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict

from auxot_tools.errors import Unavailable

_LINE_BYTES = 64 * 2**10  # of one header line: more than any server that is meant to be asked sends
_SMALL_BYTES = 2**19  # of a body that is sent in one piece
_NO_EXTRAS = ("User-Agent", "Accept", "Content-Type")


class FailureKind(StrEnum):
    """Where a request failed."""

    NAME = "name"  # the host's name is not known
    REFUSED = "refused"  # nobody listens there
    UNREACHABLE = "unreachable"  # there is no way to the host
    TIMED_OUT = "timed_out"  # no connection, or no status line, in time
    CERTIFICATE = "certificate"  # TLS is spoken, and the certificate is not trusted
    TLS = "tls"  # TLS is not spoken there, or not such that we can
    NOT_HTTP = "not_http"  # what came back is no HTTP/1 answer
    CLOSED = "closed"  # the connection was closed before the answer, or within it
    URL = "url"  # it is no http or https URL


class ExchangeFailed(Unavailable):
    """No answer, or not the whole of it; ``kind`` says where it broke. The text holds no secret."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body as they came, and when: seconds after the request was sent."""

    data: bytes
    at_s: float


class ExactAnswer:
    """An answer whose status is known; its body can be read once."""

    def __init__(
        self, response: aiohttp.ClientResponse, begun_at: float, idle_s: float, max_bytes: int
    ) -> None:
        self._response = response
        self._begun_at = begun_at
        self._idle_s = idle_s
        self._max_bytes = max_bytes
        self.status = response.status
        self.header_pairs = tuple(response.headers.items())
        self.at_s = time.monotonic() - begun_at
        """When the status was known: seconds after the request was sent."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of repeated headers the first counts."""
        return {name.lower(): value for name, value in reversed(self.header_pairs)}

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The body as it comes, at most ``max_bytes`` of it. Raises `ExchangeFailed`."""
        left = self._max_bytes
        content = self._response.content
        try:
            while left > 0 and not content.at_eof():
                with anyio.fail_after(self._idle_s):
                    data = (await content.readany())[:left]
                if data:
                    left -= len(data)
                    yield Piece(data, time.monotonic() - self._begun_at)
        except TimeoutError:
            text = f"nothing came for {self._idle_s:g} s"
            raise ExchangeFailed(FailureKind.TIMED_OUT, text) from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, ContentEncodingError):
                text = "the answer's body is not what its headers say"
                raise ExchangeFailed(FailureKind.NOT_HTTP, text) from None
            text = "the connection was closed within the answer"
            raise ExchangeFailed(FailureKind.CLOSED, text) from None

    async def body(self) -> bytes:
        """The whole body, cut at ``max_bytes``. Raises `ExchangeFailed`."""
        return b"".join([piece.data async for piece in self.pieces()])


@dataclass(frozen=True, slots=True)
class ExactLimits:
    """Seconds to connect, to the status line, and between two pieces; bytes read of a body."""

    connect_s: float = 10.0
    first_byte_s: float = 60.0
    idle_s: float = 60.0
    max_bytes: int = 16 * 2**20


class ExactClient:
    """Use as an async context manager. Each request has a connection of its own."""

    def __init__(
        self, limits: ExactLimits | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """``ssl_context``: whom to trust; without it the system's authorities."""
        self._limits = limits or ExactLimits()
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._ssl, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_s)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NO_EXTRAS,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AsyncGenerator[ExactAnswer, None]:
        """One request; leaving the context before the body's end drops the connection.

        Raises `ExchangeFailed`.
        """
        if self._session is None:
            raise RuntimeError("ExactClient is used outside of its context")
        sent = CIMultiDict({"Accept-Encoding": "identity"})
        sent.update(headers or {})
        # The library wants a large body as a file: it is written piece by piece then.
        data = io.BytesIO(body) if body is not None and len(body) > _SMALL_BYTES else body
        begun_at = time.monotonic()
        try:
            with anyio.fail_after(self._limits.first_byte_s):
                response = await self._session.request(
                    method, url, data=data, headers=sent, allow_redirects=False
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise failure_of(error, url) from None
        try:
            yield ExactAnswer(response, begun_at, self._limits.idle_s, self._limits.max_bytes)
        finally:
            response.close()


# kind of exception -> what it says; the first that fits counts
_FAILURES: tuple[tuple[type[Exception], FailureKind, str], ...] = (
    (aiohttp.ConnectionTimeoutError, FailureKind.TIMED_OUT, "no connection in time"),
    (TimeoutError, FailureKind.TIMED_OUT, "connected, but no answer in time"),
    (
        aiohttp.ClientConnectorCertificateError,
        FailureKind.CERTIFICATE,
        "the server's certificate is not trusted",
    ),
    (aiohttp.ClientConnectorSSLError, FailureKind.TLS, "the server does not speak TLS there"),
    (aiohttp.ClientConnectorDNSError, FailureKind.NAME, "the name of the host is not known"),
    (ConnectionRefusedError, FailureKind.REFUSED, "nobody listens at this address"),
    (aiohttp.ClientConnectorError, FailureKind.UNREACHABLE, "the host cannot be reached"),
    (aiohttp.InvalidURL, FailureKind.URL, "this is no http or https URL"),
    (aiohttp.NonHttpUrlClientError, FailureKind.URL, "this is no http or https URL"),
    (aiohttp.ServerDisconnectedError, FailureKind.CLOSED, "closed without an answer"),
    (aiohttp.ClientResponseError, FailureKind.NOT_HTTP, "what answers does not speak HTTP"),
    (ValueError, FailureKind.URL, "this URL or header cannot be sent"),
)


def failure_of(error: Exception, url: str) -> ExchangeFailed:
    """Why there is no answer, in our words: no address and nothing of the library is in them."""
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionRefusedError):
        error = cause
    elif isinstance(cause, ConnectionError) and url.lower().startswith("https:"):
        text = "the server hung up when TLS was begun"
        return ExchangeFailed(FailureKind.TLS, text)
    for kind_of_error, kind, text in _FAILURES:
        if isinstance(error, kind_of_error):
            why = f": {_why_untrusted(error)}" if kind is FailureKind.CERTIFICATE else ""
            return ExchangeFailed(kind, text + why)
    return ExchangeFailed(FailureKind.CLOSED, "the connection broke before an answer")


def _why_untrusted(error: Exception) -> str:
    """The TLS library's own reason, such as ``self-signed certificate``."""
    cause = getattr(error, "certificate_error", None)
    return str(getattr(cause, "verify_message", "") or "it cannot be checked").rstrip(".")
