"""One call of an ASGI app in this process, piece by piece.

One job: a task in which the app runs, its messages one after another, and its proper end. The app
waits in its `send` until a piece is taken. Must not know what an answer means.
"""

import math

import anyio
from anyio.abc import TaskGroup
from starlette.types import ASGIApp, Message, Scope

from auxot_tools.errors import AuxotError, RemoteProtocolError

# What an app still sends after the last event of its message is an empty piece; it is taken, so
# that the app ends by itself and does what it does after an answer.
FINISH_S = 5.0
_ANSWER = frozenset({"http.response.start", "http.response.body"})


class AppCall:
    """One call. `failure` is what the app raised; `is_complete`: its last piece was taken."""

    def __init__(self, tasks: TaskGroup, body: bytes) -> None:
        self._tasks = tasks
        self._body: bytes | None = body
        self._scope = anyio.CancelScope()
        self._client_has_left = anyio.Event()
        # No buffer: an app whose client reads slowly is held up, as by any server.
        self._in, self._out = anyio.create_memory_object_stream[Message](0)
        self.failure: Exception | None = None
        self.is_complete = False
        self._is_dropped = False

    def begin(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app run, for as long as the tasks that it was made with."""
        self._tasks.start_soon(self._run, app, scope)

    async def start(self) -> Message:
        """The beginning of the answer. Raises what `next_piece` does."""
        message = await self._next()
        if message["type"] != "http.response.start":
            raise RemoteProtocolError("the app sent a body before its status")
        return message

    async def next_piece(self) -> Message:
        """The next piece of the body.

        Raises `AuxotError` when the app failed, and `RemoteProtocolError` when it ended too early.
        """
        message = await self._next()
        if message["type"] != "http.response.body":
            raise RemoteProtocolError("the app began a second answer")
        self.is_complete = not message.get("more_body", False)
        return {**message, "body": bytes(message.get("body", b""))}  # an app may send a view

    async def read(self, max_bytes: int) -> bytes:
        """The body; at most so much of it, and then the rest is not taken."""
        body = bytearray()
        while not self.is_complete and len(body) <= max_bytes:
            body += (await self.next_piece())["body"]
        return bytes(body)

    def leave(self, *, finish: bool) -> None:
        """Nobody wants more of the answer. With `finish` the app may come to its end by itself;
        else it is cancelled, unless its answer is complete.
        """
        if finish and not self.is_complete:
            self._tasks.start_soon(self._finish)
            return
        if not self.is_complete:
            self._is_dropped = True
            self._scope.cancel()
        self._end()

    async def _finish(self) -> None:
        with anyio.move_on_after(FINISH_S):
            try:
                while not self.is_complete:
                    await self.next_piece()
            except AuxotError:
                pass
        self.leave(finish=False)

    def _end(self) -> None:
        self._client_has_left.set()
        self._out.close()

    async def _next(self) -> Message:
        try:
            return await self._out.receive()
        except anyio.EndOfStream:
            pass
        if self.failure is not None:
            raise AuxotError("The app failed while it answered.")
        raise RemoteProtocolError("the app ended its answer too early")

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        with self._scope, self._in:
            try:
                await app(scope, self._receive, self._send)
            except Exception as error:  # the app's; it is raised again when the request is over
                if not self._is_dropped:
                    self.failure = error
            except anyio.get_cancelled_exc_class() as error:
                if anyio.current_effective_deadline() == -math.inf:
                    raise  # by us
                self.failure = RuntimeError("the app ended its own task by a cancellation")
                self.failure.__cause__ = error

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._client_has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] not in _ANSWER or self.is_complete:
            return  # hints and trailers are for no loop
        try:
            await self._in.send(message)
        except anyio.BrokenResourceError:
            raise OSError("the answer is not wanted any more") from None
