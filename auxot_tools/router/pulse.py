"""A streamed answer that is never silent: events as they come, a ping when nothing comes.

One job: from a driver's events to ASGI messages, and from those of the server to "the client left".
The answer begins when the upstream's status is known, so that a refusal keeps its status, or after
one silent interval, with 200 and a ping. Proxies and clients cut streams that are silent for 60 s
and more; any bytes count. Must not know requests, keys or tools.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import anyio
from starlette.types import Message, Receive, Send

from auxot_tools.dialects.anthropic.sse import PING, encode_event
from auxot_tools.messages.events import Event
from auxot_tools.types import JSON

# A client that takes nothing for so long is gone, or might as well be: it holds up an upstream, the
# results of tools, and its own repeat.
STUCK_S = 60.0
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",  # nginx must not hold the stream back
}


class PulsedStream:
    """The driver's sink. What is known leaves at once; a client that does not read holds us up.

    A ping begins the answer only when it `may_begin`.
    """

    def __init__(
        self, send: Send, ping_interval_s: float, may_begin: Callable[[], bool] = lambda: True
    ) -> None:
        self._may_begin = may_begin
        self._send = send
        self._interval_s = ping_interval_s
        self._one_at_a_time = anyio.Lock(fast_acquire=True)  # events and pings share the stream
        self._last_sent_at = time.monotonic()
        self.has_begun = False
        self._has_ended = False
        self._writing_since = math.inf  # when a write began that has not been taken

    async def opened(self, headers: Mapping[str, str]) -> None:
        if self.has_begun:  # a ping came first
            return
        self.has_begun = True
        pairs = {**headers, **STREAM_HEADERS}.items()
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._write({"type": "http.response.start", "status": 200, "headers": encoded})

    async def emit(self, events: Sequence[Event]) -> None:
        await self._send_body(b"".join(map(encode_event, events)))

    async def finish(self, events: Sequence[Event], message: JSON) -> None:  # noqa: ARG002
        """The last events; the answer ends with them."""
        await self.end(events)

    async def end(self, events: Sequence[Event]) -> None:
        """End the answer with these events."""
        await self._send_body(b"".join(map(encode_event, events)), more=False)

    @property
    def is_stuck(self) -> bool:
        """Whether the client has not read for so long that it counts as one that has left."""
        return time.monotonic() - self._writing_since > STUCK_S

    @property
    def quiet_s_left(self) -> float:
        """How long nothing need be sent; 0 or less when a ping is due."""
        is_held = not self.has_begun and not self._may_begin()
        if is_held or self._has_ended or self._writing_since != math.inf:
            return self._interval_s  # until then something may have changed
        return self._last_sent_at + self._interval_s - time.monotonic()

    async def ping(self) -> None:
        await self.opened({})
        await self._send_body(PING)

    async def _send_body(self, body: bytes, *, more: bool = True) -> None:
        await self._write({"type": "http.response.body", "body": body, "more_body": more})

    async def _write(self, message: Message) -> None:
        async with self._one_at_a_time:
            if self._has_ended:  # a ping that came too late
                return
            self._has_ended = not message.get("more_body", True)
            self._writing_since = time.monotonic()
            await self._send(message)
        self._last_sent_at, self._writing_since = time.monotonic(), math.inf


async def until_client_leaves(receive: Receive, stream: PulsedStream | None) -> None:
    """Return when the client has left; meanwhile keep its stream, if there is one, from silence."""
    while stream is not None and not stream.is_stuck:
        wait_s = stream.quiet_s_left
        if wait_s <= 0:
            await stream.ping()
            continue
        with anyio.move_on_after(wait_s):
            if (await receive())["type"] == "http.disconnect":
                return
    while stream is None and (await receive())["type"] != "http.disconnect":
        continue
