"""The client of the router's benchmark: one request at a time on a connection that is kept.

One job: to send a Messages request and to time its answer, at a cost far below what is measured: a
plain `asyncio.Protocol` over a parser in C. No request is like another: a router may answer equal
ones together.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httptools

ANSWER_S = 120.0  # for one answer; more is a fault
ENDED = b'"end_turn"'  # in every answer that is complete
STARTED = b'"message_start"'  # in the first event; a router may send a ping before it
CALLED = b'"tool_use"'  # in every answer that asks for a tool
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and with which key."""

    url: str
    key: str = "none"

    def request(self, body: bytes) -> bytes:
        parts = urlsplit(self.url)
        head = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nx-api-key: {self.key}\r\n"
            "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that came whole."""

    took_s: float
    first_s: float  # until the first byte of the body
    body: bytes


def next_number() -> int:
    return next(_numbers)


def body_of(
    mode: str,
    *,
    stream: bool,
    number: int | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    more: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """A body that tells the stub what to answer; ``more`` are messages after the user's."""
    counted = next_number()
    said = f"request {counted} [bench {mode} {counted if number is None else number}]"
    body: dict[str, Any] = {
        "model": "bench",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": said}, *more],
        "stream": stream,
    }
    if tools:
        body["tools"] = tools
    return json.dumps(body).encode()


class Connection(asyncio.Protocol):
    """One connection to a target."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._begun = self._first = 0.0
        self._waiting: asyncio.Future[float] | None = None  # for the first event, or for the end
        self._waits_for_end = True
        self.is_open = False  # a stream has begun, and has not ended

    async def ask(self, request: bytes, expected: bytes) -> Answer:
        """One whole answer. Raises `RuntimeError` when it is not 200 with ``expected`` in it."""
        took_s = await self._begin(request, waits_for_end=True)
        body = b"".join(self._pieces)
        if self._parser.get_status_code() != 200 or expected not in body:
            told = body[-300:].decode(errors="replace")
            raise RuntimeError(f"answered {self._parser.get_status_code()}: …{told}")
        return Answer(took_s, self._first - self._begun, body)

    async def open(self, request: bytes) -> None:
        """Send a request and return once its stream has begun; the rest may come or not."""
        await self._begin(request, waits_for_end=False)
        if self._parser.get_status_code() != 200:
            raise RuntimeError(f"answered {self._parser.get_status_code()}")

    @property
    def is_closed(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.abort()

    async def _begin(self, request: bytes, *, waits_for_end: bool) -> float:
        self._pieces, self._first, self._waits_for_end = [], 0.0, waits_for_end
        self._waiting = asyncio.get_running_loop().create_future()
        self._begun = time.perf_counter()
        self._transport.write(request)
        with anyio.fail_after(ANSWER_S):
            return await self._waiting

    def _end(self, error: Exception | None = None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(time.perf_counter() - self._begun)
        else:
            waiting.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has classes of its own

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
        if not self._waits_for_end and STARTED in piece:
            self.is_open = True
            self._end()
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self.is_open = False
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._end(exc or RuntimeError("the connection was closed before the answer's end"))


async def connected(target: Target) -> Connection:
    host, _, port = urlsplit(target.url).netloc.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, host, int(port))
    return connection


@dataclass
class Asker:
    """Asks one target for one kind of answer: a `timing.Call`, with a connection per client.

    ``expected`` is in every right answer.
    """

    target: Target
    make_body: Callable[[], bytes]
    expected: bytes = ENDED
    first_s: float = 0.0  # of the last answer: until the first byte of its body
    body: bytes = b""  # of the last answer
    _connections: dict[int, Connection] = field(default_factory=dict)

    async def __call__(self, client: int) -> float:
        connection = self._connections.get(client)
        if connection is None or connection.is_closed:  # servers drop idle ones after seconds
            connection = self._connections[client] = await connected(self.target)
        request = self.target.request(self.make_body())
        answer = await connection.ask(request, self.expected)
        self.first_s, self.body = answer.first_s, answer.body
        return answer.took_s

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


@contextmanager
def closing(rows: Mapping[str, Asker]) -> Generator[Mapping[str, Asker], None, None]:
    """Their connections are closed at the end."""
    try:
        yield rows
    finally:
        for asker in rows.values():
            asker.close()
