"""A streamed answer that is never silent: frames as they come, a ping when nothing comes.

One job: from a driver's events to ASGI body messages. The answer begins when the upstream's status
is known, so that a refusal keeps its status, or after one silent interval, with 200 and a ping.
Proxies and clients cut streams that are silent for 60 s and more; any bytes count. Must not know
requests, keys or tools.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.types import Send

from auxot_tools.dialects.anthropic.sse import PING, encode_event
from auxot_tools.driver.driver import EventSink
from auxot_tools.errors import AuxotError
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.messages.events import Event, event
from auxot_tools.router.problems import Problem

logger = logging.getLogger(__name__)

# Frames between the driver and a slow client: enough to join a burst into one write; a client that
# does not read stops its own upstream.
FRAMES_HELD = 64

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",  # nginx must not hold the stream back
}

Run = Callable[[EventSink], Awaitable[Finished | Failed]]


class _Frames:
    """The driver's sink: events become frames in a bounded line."""

    def __init__(self, line: MemoryObjectSendStream[bytes]) -> None:
        self._line = line
        self.is_known = anyio.Event()  # whether the upstream accepted, or that it all ended
        self.headers: Mapping[str, str] = {}
        self.failed: Failed | None = None
        self.has_begun = False

    async def opened(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self.has_begun = True
        self.is_known.set()

    async def emit(self, event: Event) -> None:
        await self._line.send(encode_event(event))


async def stream_answer(
    send: Send, run: Run, problem_of: Callable[[Failed], Problem], ping_interval_s: float
) -> Problem | None:
    """Send a whole streamed answer.

    Returns a `Problem`, with nothing sent, when the upstream failed before the answer had begun.
    """
    line_in, line = anyio.create_memory_object_stream[bytes](FRAMES_HELD)
    frames = _Frames(line_in)

    async def produce() -> None:
        async with line_in:
            frames.failed = await _failure_of(run, frames)
        frames.is_known.set()

    async with line, anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        with anyio.move_on_after(ping_interval_s):
            await frames.is_known.wait()
        if frames.failed is not None and not frames.has_begun:
            return problem_of(frames.failed)
        await _start(send, frames.headers)
        await _write(send, line, ping_interval_s, ping_first=not frames.is_known.is_set())
        if frames.failed is not None:
            told = problem_of(frames.failed).body
            await _send_body(send, encode_event(event(told)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return None


async def _failure_of(run: Run, sink: EventSink) -> Failed | None:
    try:
        ended = await run(sink)
    except Exception:  # the answer may have begun: it must come to an end that a client can read
        logger.exception("a streamed answer failed because of a fault of ours")
        return Failed(AuxotError("Internal error in the router."), tools_ran=True)
    return ended if isinstance(ended, Failed) else None


async def _start(send: Send, headers: Mapping[str, str]) -> None:
    pairs = [(k.encode(), v.encode("latin-1")) for k, v in {**headers, **STREAM_HEADERS}.items()]
    await send({"type": "http.response.start", "status": 200, "headers": pairs})


async def _write(
    send: Send, line: MemoryObjectReceiveStream[bytes], ping_interval_s: float, *, ping_first: bool
) -> None:
    """Write frames until the line ends; what has piled up goes out as one write."""
    if ping_first:
        await _send_body(send, PING)
    while True:
        frame = b""
        with anyio.move_on_after(ping_interval_s):
            try:
                frame = await line.receive()
            except anyio.EndOfStream:
                return
        await _send_body(send, _with_waiting(frame, line) if frame else PING)


def _with_waiting(frame: bytes, line: MemoryObjectReceiveStream[bytes]) -> bytes:
    frames = [frame]
    while len(frames) < FRAMES_HELD:
        try:
            frames.append(line.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            break
    return b"".join(frames)


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
