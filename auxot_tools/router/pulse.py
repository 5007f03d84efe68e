"""A streamed answer that is never silent: events as they come, a ping when nothing comes.

One job: from a driver's events to ASGI messages. The answer begins when the upstream's status is
known, so that a refusal keeps its status, or after one silent interval, with 200 and a ping.
Proxies and clients cut streams that are silent for 60 s and more; any bytes count. Must not know
requests, keys or tools.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
from starlette.types import Message, Send

from auxot_tools.dialects.anthropic.sse import PING, encode_event
from auxot_tools.driver.driver import EventSink
from auxot_tools.errors import AuxotError
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.messages.events import Event, event
from auxot_tools.router.problems import Problem

logger = logging.getLogger(__name__)

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",  # nginx must not hold the stream back
}

Run = Callable[[EventSink], Awaitable[Finished | Failed]]


class _PulsedStream:
    """The driver's sink. What is known leaves at once; a client that does not read holds us up."""

    def __init__(self, send: Send, ping_interval_s: float) -> None:
        self._send = send
        self._interval_s = ping_interval_s
        self._one_at_a_time = anyio.Lock(fast_acquire=True)  # events and pings share the stream
        self._last_sent_at = time.monotonic()
        self.has_begun = False

    async def opened(self, headers: Mapping[str, str]) -> None:
        if self.has_begun:  # a ping came first
            return
        self.has_begun = True
        pairs = {**headers, **STREAM_HEADERS}.items()
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._write({"type": "http.response.start", "status": 200, "headers": encoded})

    async def emit(self, events: Sequence[Event]) -> None:
        await self._send_body(b"".join(map(encode_event, events)))

    async def keep_alive(self) -> None:
        """Send a ping whenever nothing was sent for an interval. Runs until cancelled."""
        while True:
            silent_s = time.monotonic() - self._last_sent_at
            if silent_s < self._interval_s:
                await anyio.sleep(self._interval_s - silent_s)
                continue
            await self.opened({})
            await self._send_body(PING)

    async def close(self) -> None:
        await self._write({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_body(self, body: bytes) -> None:
        await self._write({"type": "http.response.body", "body": body, "more_body": True})

    async def _write(self, message: Message) -> None:
        async with self._one_at_a_time:
            await self._send(message)
        self._last_sent_at = time.monotonic()


async def stream_answer(
    send: Send, run: Run, problem_of: Callable[[Failed], Problem], ping_interval_s: float
) -> Problem | None:
    """Send a whole streamed answer.

    Returns a `Problem`, with nothing sent, when the upstream failed before the answer had begun.
    """
    stream = _PulsedStream(send, ping_interval_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.keep_alive)
        failed = await _failure_of(run, stream)
        tasks.cancel_scope.cancel()
    if failed is not None:
        problem = problem_of(failed)
        if not stream.has_begun:
            return problem
        await stream.emit([event(problem.body)])
    await stream.close()
    return None


async def _failure_of(run: Run, sink: EventSink) -> Failed | None:
    try:
        ended = await run(sink)
    except Exception:  # the answer may have begun: it must come to an end that a client can read
        logger.exception("a streamed answer failed because of a fault of ours")
        return Failed(AuxotError("Internal error in the router."), tools_ran=True)
    return ended if isinstance(ended, Failed) else None
