"""One claimed box and the one program that runs in it: `ports.Box` over a `LiveBox`.

One job: carry the request in, the output out, stop the program when it must end, and hand the facts
to `outcome.judge`. Where boxes come from and go to is not its affair; it only says, in the living
box's `spoiled`, whether that may serve another call.
"""

import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import BoxLimits, LeftOutFile, Program, SandboxOutcome, StopReason
from auxot_tools.sandbox.collected import THE_REST, Collected, FileCollector
from auxot_tools.sandbox.frames import (
    KILL,
    REQUEST_LIMIT_BYTES,
    Frame,
    encode_request,
    last_word,
)
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.outcome import ChannelFacts, EngineFacts, judge
from auxot_tools.sandbox.output import OutputKeeper
from auxot_tools.sandbox.variables import refusal_of
from auxot_tools.types import Deadline, OutputChunk, StreamName

log = logging.getLogger(__name__)

# After a kill PID 1 drains the pipes (2 s at most) and reports; then we end the box without it.
KILL_GRACE_S = 3.0
# From the request until the program runs: 2 ms as a rule, most of it for a request of 64 MiB.
START_LIMIT_S = 15.0
_STREAMS: dict[bytes, StreamName] = {b"o": "stdout", b"e": "stderr"}
# Why nothing ran; the box is as before.
_HARMLESS = {"missing", "denied", "unfit", "too_large", "variables"}


class _Run:
    """What has come of one program so far."""

    def __init__(self, limits: BoxLimits, program: Program) -> None:
        self.keepers: dict[StreamName, OutputKeeper] = {
            "stdout": OutputKeeper(limits.output_bytes),
            "stderr": OutputKeeper(limits.output_bytes),
        }
        self.files = FileCollector(program.collect)
        self.facts: ChannelFacts | None = None
        self.started_at = time.monotonic()
        self.sequence = self.produced_bytes = 0

    def add(self, stream: StreamName, data: bytes) -> OutputChunk:
        self.keepers[stream].add(data)
        self.produced_bytes += len(data)
        self.sequence += 1
        return OutputChunk(stream, data, self.sequence - 1)


class DockerBox:
    """A living box that was claimed for one call.

    ``inspect`` asks the engine how a container ended; ``give_back`` gets the box when it is
    released. ``cpu`` is where the program should start.
    """

    def __init__(
        self,
        live: LiveBox,
        limits: BoxLimits,
        *,
        inspect: Callable[[], Awaitable[EngineFacts | None]],
        give_back: Callable[["DockerBox"], Awaitable[None]],
        cpu: int = 0,
        notice: str = "",
    ) -> None:
        self.live = live
        self.cpu = cpu
        self._notice = notice
        self._limits = limits
        self._inspect = inspect
        self._give_back = give_back
        self._until = Deadline.after(0)  # when waiting ends: the time limit, or the kill's grace
        self._waiting: anyio.CancelScope | None = None
        self._sending = False
        self._is_begun = self._is_settled = False
        self._stopped: StopReason | None = None

    @property
    def id(self) -> str:
        return self.live.id

    @property
    def isolation(self) -> str:
        return self.live.kind.isolation

    @property
    def notice(self) -> str:
        """Contract: `ports.Box.notice`."""
        return self._notice

    def run(
        self, program: Program, deadline: Deadline
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        """Contract: `ports.Box.run`. The time limit counts from the program's own start.

        What can be sent at once is sent before this returns, so that the program starts while the
        caller still tells others about it.
        """
        request, refusal = b"", self._refusal_of_variables(program)
        if refusal is None:
            request = encode_request(program, self._limits.timeout_s, self.cpu)
            refusal = self._refusal(request)
        left = memoryview(b"") if refusal else self._begin(request)
        return self._events(program, deadline, left, refusal)

    async def _events(
        self, program: Program, deadline: Deadline, left: memoryview, refusal: ChannelFacts | None
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        run = _Run(self._limits, program)
        self._until = deadline.sooner(Deadline.after(START_LIMIT_S))
        duration_s = 0.0
        is_over = False
        run.facts = refusal
        try:
            if refusal is None:
                await self._send_rest(left)
            while run.facts is None and (frame := await self._next_frame()) is not None:
                chunk = self._take(run, frame, deadline)
                if chunk is not None:
                    yield chunk
            duration_s = time.monotonic() - run.started_at
            is_over = True
        finally:
            self._settle(run.facts, is_over)
        engine = await self._inspect() if run.facts is None else None
        if engine is not None and self.live.had_oom_kill:  # the engine's flag is the container's
            engine = dataclasses.replace(engine, oom_killed=False)
        if run.facts is not None and run.facts.oom_kills:
            self.live.had_oom_kill = True
        yield self._judge(run, engine, duration_s)

    async def cancel(self) -> None:
        """Contract: `ports.Box.cancel`. The kill is on its way when this returns."""
        self._stop(StopReason.CANCELLED)

    async def release(self) -> None:
        """Contract: `ports.Box.release`."""
        if self._is_begun and not self._is_settled:  # whoever began did not wait for an event
            self._settle(None, is_over=False)
        await self._give_back(self)

    def abandon(self) -> None:
        """End the box at once and without waiting; for a sandbox that closes."""
        self._stop(StopReason.CANCELLED)
        self.live.spoil("the sandbox was closed")

    def _refusal_of_variables(self, program: Program) -> ChannelFacts | None:
        reason = refusal_of(program.env)
        if not reason:
            return None
        log.error("box %s: the program was not started: %s", self.id, reason)
        return ChannelFacts(not_started="variables")

    def _refusal(self, request: bytes) -> ChannelFacts | None:
        """Why nothing will run, when that is clear already."""
        if len(request) > REQUEST_LIMIT_BYTES:
            return ChannelFacts(not_started="too_large")
        if self._stopped is not None:
            return ChannelFacts(not_started="killed")
        return None

    def _begin(self, request: bytes) -> memoryview:
        """Send as much as goes without waiting; what is left."""
        self._is_begun = self._sending = True
        self.live.is_ready = False
        self.live.calls += 1
        left = memoryview(request)[self.live.send_some(request) :]
        self._sending = bool(left)
        return left

    async def _send_rest(self, left: memoryview) -> None:
        if not left or self._stopped is not None:
            return
        with self._wait() as scope:
            await self.live.send(left)
        if scope.cancelled_caught and self._stopped is None:
            self._stop(StopReason.TIME_LIMIT)
        self._sending = False

    def _take(self, run: _Run, frame: Frame, deadline: Deadline) -> OutputChunk | None:
        """Note what a frame says. A frame that breaks the protocol spoils the box."""
        if (stream := _STREAMS.get(frame.kind)) is not None:
            chunk = run.add(stream, frame.payload)
            if run.produced_bytes > self._limits.output_stop_bytes:
                self._stop(StopReason.OUTPUT_LIMIT)
            return chunk
        if frame.kind == b"s":
            run.started_at = time.monotonic()
            if self._stopped is None:
                self._until = deadline.sooner(Deadline.after(self._limits.timeout_s))
            return None
        try:
            if frame.kind == b"c":
                run.files.add(frame.payload)
            else:
                run.facts = last_word(frame)
        except RemoteProtocolError as error:
            log.error("box %s: PID 1 broke our protocol: %s", self.id, error)
            self.live.spoil("its container broke our protocol")
        return None

    def _settle(self, facts: ChannelFacts | None, is_over: bool) -> None:
        """Whatever happened, nothing runs on; and say whether the box may serve again."""
        self._is_settled = True
        isolation = self.live.kind.isolation
        if isolation == "session" and not is_over:  # left early: PID 1 kills the call and says so
            self._stop(StopReason.CANCELLED)
        elif isolation == "session" and facts is None:
            self.live.spoil(
                "it did not answer after a call was stopped"
                if self._stopped
                else "its container ended or could not be reached"
            )
        elif facts is not None and facts.stopped_outside:
            self.live.spoil("its container was stopped from outside")
        elif isolation == "call":
            self.live.spoil("a box of its own serves one call")
        elif isolation == "warm" and not self._is_unharmed(facts):
            self.live.spoil("a call in it did not end by itself")

    def _is_unharmed(self, facts: ChannelFacts | None) -> bool:
        if facts is None or self._stopped is not None or facts.oom_kills:
            return False
        return not facts.not_started or facts.not_started in _HARMLESS

    def _judge(self, run: _Run, engine: EngineFacts | None, duration_s: float) -> SandboxOutcome:
        files: Collected = ((), ())
        try:
            files = run.files.collected()
        except RemoteProtocolError as error:
            log.error("box %s: %s", self.id, error)
            self.live.spoil("its container broke our protocol")
        facts = run.facts or ChannelFacts()
        ended_by_itself = self._stopped is None and (facts.exit_code, facts.signal) != (None, None)
        left_out = files[1]
        if ended_by_itself and not run.files.is_whole:
            left_out += (LeftOutFile(THE_REST, "lost"),)
        return judge(
            facts,
            engine,
            self._stopped,
            stdout=run.keepers["stdout"].kept(),
            stderr=run.keepers["stderr"].kept(),
            duration_s=duration_s,
            files=files[0],
            files_left_out=left_out,
        )

    async def _next_frame(self) -> Frame | None:
        """The next frame; `None` when there will be none: the stream or the grace is over."""
        while True:
            if self._until.remaining_s() <= 0:
                if self._stopped is not None and not self.live.has_frames:
                    return None
                self._stop(StopReason.TIME_LIMIT)  # also when there always is a frame more
            with self._wait():
                return await self.live.next_frame()

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
        """Kill what runs in the box, then wait a little for its last word. First reason counts."""
        if self._stopped is not None:
            return
        self._stopped = reason
        self._until = Deadline.after(KILL_GRACE_S)
        if self.live.is_ready:
            return  # nothing was sent: nothing runs
        if self._sending or not self.live.send_now(KILL):
            self.live.spoil("a call was stopped before its container could be told")
        if self._waiting is not None:
            self._waiting.cancel()
