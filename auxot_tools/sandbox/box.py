"""One claimed container and the one program that runs in it: `ports.Box` over a `Channel`.

One job: carry the request in, the output out, stop the program when it must end, and hand the facts
to `outcome.judge`. How containers are made and removed is `docker.py`'s.
"""

import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import BoxLimits, BoxOwner, Program, SandboxOutcome, StopReason
from auxot_tools.sandbox.channel import Channel
from auxot_tools.sandbox.frames import (
    KILL,
    REQUEST_LIMIT_BYTES,
    Frame,
    FrameReader,
    encode_request,
    join_output,
    last_word,
)
from auxot_tools.sandbox.outcome import ChannelFacts, EngineFacts, judge
from auxot_tools.sandbox.output import OutputKeeper
from auxot_tools.types import Deadline, OutputChunk, StreamName

log = logging.getLogger(__name__)

# After a kill PID 1 drains the pipes (2 s at most) and reports; then we end the box without it.
KILL_GRACE_S = 3.0
_STREAMS: dict[bytes, StreamName] = {b"o": "stdout", b"e": "stderr"}


class DockerBox:
    """A running container that waits for its program. Never used for a second one."""

    def __init__(
        self,
        container_id: str,
        channel: Channel,
        limits: BoxLimits,
        owner: BoxOwner,
        *,
        inspect: Callable[[], Awaitable[EngineFacts | None]],
        give_back: Callable[["DockerBox"], Awaitable[None]],
    ) -> None:
        self.container_id = container_id
        self.owner = owner
        self._channel = channel
        self._limits = limits
        self._inspect = inspect
        self._give_back = give_back
        self._reader = FrameReader()
        self._frames: deque[Frame] = deque()  # bounded by one read of the channel
        self._until = Deadline.after(0)  # when waiting ends: the time limit, or the kill's grace
        self._waiting: anyio.CancelScope | None = None
        self._sending = True
        self._stopped: StopReason | None = None

    @property
    def id(self) -> str:
        return self.container_id[:12]

    @property
    def isolation(self) -> str:
        return "call"

    async def run(
        self, program: Program, deadline: Deadline
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        """Contract: `ports.Box.run`. The time limit counts from the program's own start."""
        keepers: dict[StreamName, OutputKeeper] = {
            "stdout": OutputKeeper(self._limits.output_bytes),
            "stderr": OutputKeeper(self._limits.output_bytes),
        }
        started_at = time.monotonic()
        sequence = produced_bytes = 0
        facts: ChannelFacts | None = None
        self._until = deadline
        try:
            facts = await self._request(program)
            while facts is None and (frame := await self._next_frame()) is not None:
                if frame.kind == b"s":
                    started_at = time.monotonic()
                    self._on_started(deadline)
                elif (stream := _STREAMS.get(frame.kind)) is not None:
                    keepers[stream].add(frame.payload)
                    produced_bytes += len(frame.payload)
                    if produced_bytes > self._limits.output_stop_bytes:
                        self._stop(StopReason.OUTPUT_LIMIT)
                    yield OutputChunk(stream, frame.payload, sequence)
                    sequence += 1
                else:
                    facts = last_word(frame)
            duration_s = time.monotonic() - started_at
        finally:
            self._channel.hang_up()  # whatever happened, nothing runs on
        engine = await self._inspect() if facts is None else None
        self._log_complaint()
        yield judge(
            facts or ChannelFacts(),
            engine,
            self._stopped,
            stdout=keepers["stdout"].kept(),
            stderr=keepers["stderr"].kept(),
            duration_s=duration_s,
        )

    async def cancel(self) -> None:
        """Contract: `ports.Box.cancel`. The kill is on its way when this returns."""
        self._stop(StopReason.CANCELLED)

    async def release(self) -> None:
        """Contract: `ports.Box.release`."""
        self._channel.close()
        await self._give_back(self)

    def abandon(self) -> None:
        """End the box at once and without waiting; for a sandbox that closes."""
        self._stop(StopReason.CANCELLED)
        self._channel.hang_up()

    async def _request(self, program: Program) -> ChannelFacts | None:
        """Send the request; facts when it is clear already that nothing will run."""
        request = encode_request(program, self._limits.timeout_s)
        if len(request) > REQUEST_LIMIT_BYTES:
            return ChannelFacts(not_started="too_large")
        if self._stopped is not None:
            return ChannelFacts(not_started="killed")
        with self._wait() as scope:
            await self._channel.send(request)
        if scope.cancelled_caught and self._stopped is None:
            self._stop(StopReason.TIME_LIMIT)
        self._sending = False
        return None

    def _on_started(self, deadline: Deadline) -> None:
        if self._stopped is None:
            self._until = deadline.sooner(Deadline.after(self._limits.timeout_s))

    async def _next_frame(self) -> Frame | None:
        """The next frame; `None` when there will be none: the stream or the grace is over."""
        while True:
            if self._until.remaining_s() <= 0:
                if self._stopped is not None and not self._frames:
                    return None
                self._stop(StopReason.TIME_LIMIT)  # also when there always is a frame more
            if self._frames:
                return self._frames.popleft()
            data = None
            with self._wait():
                data = await self._channel.receive()
            if data == b"":
                return None
            if data and not self._feed(data):
                return None

    def _feed(self, data: bytes) -> bool:
        try:
            self._frames.extend(join_output(self._reader.feed(data)))
        except RemoteProtocolError:
            log.exception("box %s: PID 1 broke our protocol", self.id)
            return False
        return True

    @contextmanager
    def _wait(self) -> Iterator[anyio.CancelScope]:
        """A scope for one wait, which ends when `_until` comes or `_stop` is called."""
        with anyio.move_on_after(self._until.remaining_s()) as scope:
            self._waiting = scope
            try:
                yield scope
            finally:
                self._waiting = None

    def _stop(self, reason: StopReason) -> None:
        """Kill everything in the box, then wait a little for its last word. First reason counts."""
        if self._stopped is not None:
            return
        self._stopped = reason
        self._until = Deadline.after(KILL_GRACE_S)
        if self._sending or not self._channel.send_now(KILL):
            self._channel.hang_up()  # PID 1 kills everything when its stdin ends
        if self._waiting is not None:
            self._waiting.cancel()

    def _log_complaint(self) -> None:
        if self._reader.complaint:
            text = self._reader.complaint.decode(errors="replace")
            log.error("box %s: PID 1 failed: %s", self.id, text)
