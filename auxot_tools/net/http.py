"""The HTTP client: one request whose answer is read as it comes.

One job: connections, time limits, and telling what went wrong in our words. It must not know
Messages, tools or retries. The one address used here is the operator's own upstream: requests that
a model asks for go by `outbound`.
"""

import logging
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import anyio

from auxot_tools.errors import DeadlineExceeded, RemoteProtocolError, Unavailable
from auxot_tools.net.exact import failure_of

logger = logging.getLogger(__name__)

# How long the rest of a finished answer may take, so that its connection can be used again.
DRAIN_S = 0.05
ERROR_BODY_S = 5.0  # for an error body: an upstream that refuses says why at once
# A connection that is dropped without an answer so soon was not yet at work for us: it was an old
# one that the server was closing, or a server that is going down.
DROPPED_AT_ONCE_S = 0.5
ERROR_BODY_BYTES = 64 * 1024  # kept of an error answer: enough for every error body seen


@dataclass(frozen=True, slots=True)
class HttpTimeouts:
    """Seconds: to connect, to the status line, and between two pieces of the body."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0


class HttpAnswer:
    """An answer whose status is known. Its body can be read once."""

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float) -> None:
        self._response = response
        self._idle_s = idle_s

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of repeated headers the first counts."""
        pairs = reversed(list(self._response.headers.items()))
        return {name.lower(): value for name, value in pairs}

    @property
    def content_type(self) -> str:
        """As the server named it; empty when it named none."""
        return self._response.headers.get("Content-Type", "")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises `RemoteProtocolError` when it breaks off or stalls."""
        content = self._response.content
        try:
            while not content.at_eof():
                # What has come is taken as it is; only waiting needs a limit, and that costs.
                chunk = content.read_nowait() or await self._awaited(content)
                if chunk:
                    yield chunk
        except TimeoutError:
            problem = f"the upstream sent nothing for {self._idle_s:g} s"
            raise RemoteProtocolError(problem) from None
        except (aiohttp.ClientError, OSError):
            raise RemoteProtocolError("the upstream's answer broke off") from None

    async def _awaited(self, content: aiohttp.StreamReader) -> bytes:
        with anyio.fail_after(self._idle_s):
            return await content.readany()

    async def whole_body(self, max_bytes: int) -> bytes:
        """The body, which is small. Raises `RemoteProtocolError`, also when it is not."""
        body = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    problem = f"the upstream's answer is larger than {max_bytes} bytes"
                    raise RemoteProtocolError(problem)
        return body

    async def error_body(self) -> bytes:
        """At most the first 64 KiB of the body; what cannot be read is left out."""
        body = b""
        with anyio.move_on_after(ERROR_BODY_S), suppress(RemoteProtocolError):
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= ERROR_BODY_BYTES:
                        break
        return body[:ERROR_BODY_BYTES]


class HttpClient:
    """A pool of connections. Use as an async context manager.

    `max_connections` bounds those that are open at once; a request beyond it waits.
    """

    def __init__(
        self,
        timeouts: HttpTimeouts,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 1024,
    ) -> None:
        self._timeouts = timeouts
        self._max_connections = max_connections
        self._ssl = ssl_context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._max_connections, ssl=self._ssl or True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[HttpAnswer]:
        """Send `body`; see `request`."""
        return self.request("POST", url, body, headers)

    def get(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[HttpAnswer]:
        """Ask for what is at `url`; see `request`."""
        return self.request("GET", url, None, headers)

    @asynccontextmanager
    async def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> AsyncGenerator[HttpAnswer, None]:
        """One request; the answer is there once its status is known.

        Raises `Unavailable` when the server cannot be reached, `RemoteProtocolError` when it drops
        the connection after it may have begun to work, and `DeadlineExceeded` when it says
        nothing in time: it may be at work, so asking again is not safe. Leaving the context drops
        the connection unless the answer was read to its end.
        """
        if self._session is None:
            raise RuntimeError("HttpClient is used outside of its context")
        # An encoded stream would be held back by the encoder until a block is full.
        sent = {"Accept-Encoding": "identity", **headers}
        begun_at = time.monotonic()
        try:
            with anyio.fail_after(self._timeouts.first_byte_s):
                response = await self._session.request(
                    method, url, data=body, headers=sent, allow_redirects=False
                )
        except aiohttp.ConnectionTimeoutError:
            raise Unavailable("the upstream cannot be reached in time") from None
        except TimeoutError:
            raise DeadlineExceeded("the upstream did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            # A probe that fails is told by whoever probes, once.
            level = logging.DEBUG if method == "GET" else logging.WARNING
            logger.log(level, "no answer from %s: %s", _origin(url), _kind_of(error))
            is_connected = not isinstance(error, aiohttp.ClientConnectorError)
            if is_connected and time.monotonic() - begun_at > DROPPED_AT_ONCE_S:
                raise RemoteProtocolError(
                    "the upstream closed the connection without an answer"
                ) from None
            reason = failure_of(error, url)
            raise Unavailable(f"the upstream cannot be reached: {reason}") from None
        try:
            yield HttpAnswer(response, self._timeouts.idle_s)
            await _drain(response)
        finally:
            response.close() if not response.content.at_eof() else response.release()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}".rstrip(":")


def _kind_of(error: Exception) -> str:
    """What failed, for the operator's log: the class of the error and the system's own reason."""
    cause = getattr(error, "os_error", error)
    reason = getattr(cause, "strerror", None) or ""
    return f"{type(error).__name__} {reason}".strip()


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what little follows the last event, so that the connection is kept."""
    if response.content.at_eof():
        return
    try:
        with anyio.move_on_after(DRAIN_S):
            while not response.content.at_eof():
                await response.content.readany()
    except (aiohttp.ClientError, OSError):
        return
