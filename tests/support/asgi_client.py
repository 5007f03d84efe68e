"""A client of an ASGI app without a server: each message of the answer as it was sent.

It must not know any app. A test sees where one message ended and the next began, can leave at any
moment, and can take pieces as slowly as it likes.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

ANSWER_S = 10.0  # every wait of a test ends


class Exchange:
    """One request and its answer, message by message."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._left = anyio.Event()
        self._in, self._out = anyio.create_memory_object_stream[Any](0)
        self.messages: list[Any] = []  # those that were taken
        self.is_over = anyio.Event()  # the app has returned
        self.error: Exception | None = None

    async def run(self, app: Any, scope: Any) -> None:
        with self._in:
            try:
                await app(scope, self._receive, self._in.send)
            except Exception as error:
                self.error = error
        self.is_over.set()

    async def _receive(self) -> Any:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def take(self) -> Any:
        """The next message. Raises ``EndOfStream`` when the app has returned."""
        with anyio.fail_after(ANSWER_S):
            message = await self._out.receive()
        self.messages.append(message)
        return message

    async def take_until(self, text: bytes) -> bytes:
        """The body so far, once ``text`` is in it."""
        while text not in self.body:
            await self.take()
        return self.body

    async def take_rest(self) -> None:
        """All messages up to the end."""
        with suppress(anyio.EndOfStream):
            while True:
                await self.take()

    def leave(self) -> None:
        """The client's connection is gone."""
        self._left.set()
        self._out.close()

    @property
    def status(self) -> int:
        starts = [one for one in self.messages if one["type"] == "http.response.start"]
        assert len(starts) == 1, starts
        return int(starts[0]["status"])

    @property
    def headers(self) -> list[tuple[str, str]]:
        start = next(one for one in self.messages if one["type"] == "http.response.start")
        return [(name.decode().lower(), value.decode()) for name, value in start["headers"]]

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.messages)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The events of a stream, pings left out."""
        lines = (line[5:] for line in self.body.splitlines() if line.startswith(b"data:"))
        return [data for data in map(json.loads, lines) if data["type"] != "ping"]


@asynccontextmanager
async def exchange(
    app: Any,
    body: object = b"",
    path: str = "/v1/messages",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> AsyncGenerator[Exchange, None]:
    """A request under way; leaving the context ends it. A ``body`` that is no bytes is JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"host": "test", "content-length": str(len(data)), **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        **more,
    }
    one = Exchange(data)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run, app, scope)
        yield one
        one.leave()
        with anyio.fail_after(ANSWER_S):
            await one.is_over.wait()
        tasks.cancel_scope.cancel()


async def answered(app: Any, body: object = b"", **more: Any) -> Exchange:
    """A whole answer; what the app raised is raised."""
    async with exchange(app, body, **more) as one:
        await one.take_rest()
    if one.error is not None:
        raise one.error
    return one
