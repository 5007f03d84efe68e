"""One living container and its channel, from its first word until its removal.

One job: frames in and out, and what is known of the box's health. It knows nothing of calls, pools
or the engine: who owns the box decides what to do with it.
"""

import logging
from collections import deque
from collections.abc import Callable

import anyio

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.sandbox.channel import Channel
from auxot_tools.sandbox.frames import Frame, FrameReader, join_output
from auxot_tools.sandbox.kind import BoxKind, Form

log = logging.getLogger(__name__)


class LiveBox:
    """A container whose PID 1 speaks with us.

    ``name`` is the engine's name of it, ``made_at`` an instant of the owner's clock. ``spoiled``
    says why it must not serve again; empty while it may. ``is_ready``: PID 1 waits for a request.
    """

    def __init__(
        self,
        *,
        container_id: str,
        name: str,
        kind: BoxKind,
        form: Form,
        uid: int,
        channel: Channel,
        reader: FrameReader,
        made_at: float,
    ) -> None:
        self.container_id = container_id
        self.name = name
        self.kind = kind
        self.form = form
        self.uid = uid
        self.made_at = made_at
        self.calls = 0
        self.spoiled = ""
        self._gave_up = False  # PID 1 has said that it runs no further call
        self.had_oom_kill = False  # the kernel has killed for memory in an earlier call
        self.is_ready = False
        self._channel = channel
        self._reader = reader
        self._frames: deque[Frame] = deque()  # bounded by one read of the channel

    @property
    def id(self) -> str:
        return self.container_id[:12]

    @property
    def has_frames(self) -> bool:
        """Whether a frame has come that nobody has taken yet."""
        return bool(self._frames)

    async def next_frame(self) -> Frame | None:
        """The next frame; `None` when the stream is over, broke our protocol, or PID 1 gave up
        (both logged).
        """
        while not self._frames:
            if self._gave_up:
                return None
            data = await self._channel.receive()
            if not data or not self._feed(data):
                return None
        return self._frames.popleft()

    def _feed(self, data: bytes) -> bool:
        try:
            frames = list(join_output(self._reader.feed(data)))
        except RemoteProtocolError:
            log.exception("box %s: PID 1 broke our protocol", self.id)
            return False
        for frame in frames:
            if frame.kind == b"z":
                log.error("box %s: PID 1 failed: %s", self.id, _text(frame.payload))
                self._gave_up = True
            else:
                self._frames.append(frame)
        return True

    def send_some(self, data: bytes) -> int:
        """Send what goes without waiting, and tell how many bytes that were."""
        return self._channel.send_some(data)

    async def send(self, data: bytes | memoryview) -> bool:
        """Send the rest of a request; False when PID 1 is gone."""
        return await self._channel.send(data)

    def send_now(self, data: bytes) -> bool:
        """Send a word at once; False when that cannot be done whole."""
        return self._channel.send_now(data)

    async def recover(self, limit_s: float) -> bool:
        """Wait until PID 1 is ready for the next request, and drop what it says before that.

        False when it does not come to that in time: then the box is spoiled.
        """
        with anyio.move_on_after(limit_s):
            while not self.is_ready:
                frame = await self.next_frame()
                if frame is None:
                    break
                self.is_ready = frame.kind == b"r"
        if not self.is_ready or self._frames:  # a word after `r` answers nothing that we asked
            self.is_ready = False
            self.spoil("its container did not become ready again in time")
        return self.is_ready

    def watch(self, on_end: Callable[["LiveBox"], None]) -> None:
        """Tell `on_end` when an idle box says something or ends: it is of no use then."""

        def ended() -> None:
            self.spoil("its container ended")
            on_end(self)

        self._channel.watch(ended)

    def unwatch(self) -> None:
        self._channel.unwatch()

    def spoil(self, reason: str) -> None:
        """End everything in the box now. The first reason counts. Never waits."""
        self.spoiled = self.spoiled or reason
        self._channel.hang_up()

    def close(self) -> None:
        """Spoil the box and give its descriptor back; nobody may be waiting on it."""
        self.spoil("it was closed")
        self._channel.close()
        if self._reader.complaint:
            log.error("box %s: PID 1 failed: %s", self.id, _text(self._reader.complaint))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
