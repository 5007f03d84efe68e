"""Runs a program on the host itself, outside every sandbox: `ports.Sandbox` for trusted tools.

One job: one call after another, each bounded in time and output, and nothing of it left behind.
This confines nobody: the program is this user's, with this user's files and network. Only what an
operator named in `worker.host_tools` may come here. It must not know tools or settings.

What is not bounded here, and is in a box: memory, processors, the number of processes, the disk
as a whole. A process that makes a session of its own (`setsid`) is not killed with the others.
"""

import logging
import secrets
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from auxot_tools.errors import DeadlineExceeded, Unavailable
from auxot_tools.ports import (
    Box,
    BoxLimits,
    BoxOwner,
    BoxSpec,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.host_files import collect_files, make_folder, remove_folder
from auxot_tools.sandbox.host_process import HostProcess, NoSuchProgram, read_some, start
from auxot_tools.sandbox.outcome import ChannelFacts, judge
from auxot_tools.sandbox.output import OutputKeeper
from auxot_tools.types import Deadline, OutputChunk, StreamName

logger = logging.getLogger(__name__)

DRAIN_S = (
    1.0  # for what the pipes still hold when the program has ended; a child may keep them open
)
KILL_GRACE_S = 3.0  # after SIGKILL; the kernel may hold a process that waits for a device
RELEASE_S = DRAIN_S + 2 * KILL_GRACE_S + 2.0  # and for its files; an executor waits 10 s
_EVENTS = 16  # that wait for a reader, 64 KiB each; then the program waits

_IS_SUPPORTED = sys.platform == "linux"
_UNSUPPORTED = "tools run on the host on Linux only"
_CLOSED = "the worker is stopping"
_MISSING = b"The host has no such program as the tool's command names.\n"
_NO_FOLDER = "the call's files could not be written on the host"
_NO_PROCESS = "the host could not start a process"
_FAULT = "the worker could not follow the program"
_HELD = "the program was killed and has not ended; the machine holds it"

Event = OutputChunk | SandboxOutcome


class HostSandbox:
    """Each call is a process group in a private temporary folder, gone when it is over.

    Used as an async context manager; leaving it ends what runs. ``parent`` is where the folders are
    made; ``None``: the machine's temporary folder.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._boxes: set[HostBox] = set()  # claimed and not released; the caller's slots bound them
        self._is_closed = False
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "HostSandbox":
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self.close()
        finally:
            if self._tasks is not None:
                self._tasks.cancel_scope.cancel()
            # Not told of the body's error, which goes on as it is and not in a group of one.
            await self._stack.__aexit__(None, None, None)

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> Box:  # noqa: ARG002
        """Contract: `ports.Sandbox.claim`. Never waits; image, isolation and hosts do not count."""
        if not _IS_SUPPORTED:
            raise Unavailable(_UNSUPPORTED)
        if self._tasks is None or self._is_closed:
            raise Unavailable(_CLOSED)
        if deadline.remaining_s() <= 0:
            raise DeadlineExceeded("no time was left to start the program")
        box = HostBox(spec.limits, self._tasks, self._boxes, self._parent)
        self._boxes.add(box)
        return box

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:  # noqa: ARG002
        """Contract: `ports.Sandbox.prepare`. There is nothing to make ready."""
        return False

    def problem(self) -> str:
        """Contract: `ports.Sandbox.problem`."""
        return ""

    async def close(self) -> None:
        """Contract: `ports.Sandbox.close`."""
        self._is_closed = True
        boxes = tuple(self._boxes)
        for box in boxes:
            await box.cancel()
        with anyio.move_on_after(RELEASE_S):
            for box in boxes:
                await box.until_over()


class HostBox:
    """Room for one program on the host. ``boxes`` are those that the sandbox counts."""

    def __init__(
        self,
        limits: BoxLimits,
        tasks: TaskGroup,
        boxes: set["HostBox"],
        parent: Path | None = None,
    ) -> None:
        self._tasks = tasks
        self._boxes = boxes
        self._id = f"host-{secrets.token_hex(6)}"
        self._run = _Run(self._id, limits, parent)

    @property
    def id(self) -> str:
        return self._id

    @property
    def isolation(self) -> str:
        return "host"

    @property
    def notice(self) -> str:
        """Contract: `ports.Box.notice`."""
        return ""

    async def run(self, program: Program, deadline: Deadline) -> AsyncGenerator[Event, None]:
        """Contract: `ports.Box.run`. It starts when the first event is asked for."""
        send, receive = anyio.create_memory_object_stream[Event](_EVENTS)
        self._run.is_over = anyio.Event()
        self._tasks.start_soon(self._run.play, program, deadline, send)
        try:
            async for event in receive:
                yield event
        finally:
            receive.close()
            self._run.stop(StopReason.CANCELLED)  # of no effect when it is over

    async def cancel(self) -> None:
        """Contract: `ports.Box.cancel`."""
        self._run.stop(StopReason.CANCELLED)

    async def release(self) -> None:
        """Contract: `ports.Box.release`."""
        self._run.stop(StopReason.CANCELLED)
        with anyio.move_on_after(RELEASE_S, shield=True):
            await self.until_over()
        self._boxes.discard(self)

    async def until_over(self) -> None:
        """Wait until nothing runs and the folder is gone."""
        if self._run.is_over is not None:
            await self._run.is_over.wait()


class _Run:
    """One program, from its files to its outcome."""

    def __init__(self, box_id: str, limits: BoxLimits, parent: Path | None) -> None:
        self._parent = parent
        self.is_over: anyio.Event | None = None  # set when nothing of it is left
        self._box_id = box_id
        self._limits = limits
        self._process: HostProcess | None = None
        self._stopped: StopReason | None = None
        self._is_stopping = anyio.Event()
        self._keepers: dict[StreamName, OutputKeeper] = {
            "stdout": OutputKeeper(limits.output_bytes),
            "stderr": OutputKeeper(limits.output_bytes),
        }
        self._sequence = self._produced_bytes = 0
        self._duration_s = 0.0

    def stop(self, reason: StopReason) -> None:
        """Kill what runs. The first reason counts."""
        if self._stopped is None:
            self._stopped = reason
            self._is_stopping.set()
        if self._process is not None:
            self._process.kill()

    async def play(
        self, program: Program, deadline: Deadline, events: MemoryObjectSendStream[Event]
    ) -> None:
        """Run it; the events end with its outcome, told when nothing of it is left."""
        with events:
            try:
                outcome = await self._in_a_folder(program, deadline, events)
            except Exception as error:  # one call's fault must not end the others
                logger.error("%s: %s while it ran", self._box_id, type(error).__name__)
                outcome = SandboxOutcome(lost=_FAULT)
            finally:
                if self.is_over is not None:
                    self.is_over.set()
            with suppress(anyio.BrokenResourceError):  # its reader has left
                await events.send(outcome)

    async def _in_a_folder(
        self, program: Program, deadline: Deadline, events: MemoryObjectSendStream[Event]
    ) -> SandboxOutcome:
        try:
            root = await to_thread.run_sync(make_folder, program, self._parent)
        except (OSError, ValueError) as error:
            logger.error("%s: its folder could not be made: %s", self._box_id, _reason(error))
            return SandboxOutcome(not_started=True, lost=_NO_FOLDER)
        try:
            facts, lost = await self._started(program, root, deadline, events)
            is_wanted = program.collect is not None and self._stopped is None and not lost
            files, left_out = (
                await to_thread.run_sync(collect_files, root, program.collect)
                if is_wanted and program.collect is not None
                else ((), ())
            )
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(remove_folder, root)
        outcome = judge(
            facts,
            None,
            self._stopped,
            stdout=self._keepers["stdout"].kept(),
            stderr=self._keepers["stderr"].kept(),
            duration_s=self._duration_s,
            files=files,
            files_left_out=left_out,
        )
        return replace(outcome, lost=lost) if lost else outcome

    async def _started(
        self,
        program: Program,
        root: Path,
        deadline: Deadline,
        events: MemoryObjectSendStream[Event],
    ) -> tuple[ChannelFacts, str]:
        """How it ended, and why that is not known."""
        if self._stopped is not None:
            return ChannelFacts(not_started="killed"), ""
        try:
            process = await to_thread.run_sync(start, program, root, self._limits)
        except NoSuchProgram:
            self._keepers["stderr"].add(_MISSING)
            return ChannelFacts(exit_code=127), ""
        except (OSError, ValueError) as error:
            logger.error("%s: no process could be started: %s", self._box_id, _reason(error))
            return ChannelFacts(not_started="killed"), _NO_PROCESS
        began = time.monotonic()
        self._process = process
        if self._stopped is not None:
            process.kill()
        code: int | None = None
        try:
            await self._follow(process, program.stdin, deadline, events)
        finally:
            process.kill()
            with anyio.move_on_after(KILL_GRACE_S, shield=True):
                await process.ended()  # at once, unless this is cancelled or the machine holds it
            self._process = None
            code = process.reap()
            self._duration_s = time.monotonic() - began
        if code is None:
            return ChannelFacts(), _HELD
        return ChannelFacts(exit_code=code) if code >= 0 else ChannelFacts(signal=-code), ""

    async def _follow(
        self,
        process: HostProcess,
        stdin: bytes,
        deadline: Deadline,
        events: MemoryObjectSendStream[Event],
    ) -> None:
        """Carry its input and output until it has ended. Bounded by its time and the grace."""
        until = deadline.sooner(Deadline.after(self._limits.timeout_s))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_at, until)
            tasks.start_soon(process.feed, stdin)
            tasks.start_soon(self._read, process, events, ended := anyio.Event())
            with anyio.CancelScope() as waiting:
                tasks.start_soon(self._give_up, waiting)
                await process.ended()
            process.kill()  # what it left behind in its group
            with anyio.move_on_after(DRAIN_S):
                await ended.wait()
            tasks.cancel_scope.cancel()

    async def _stop_at(self, until: Deadline) -> None:
        await anyio.sleep(until.remaining_s())
        self.stop(StopReason.TIME_LIMIT)

    async def _give_up(self, waiting: anyio.CancelScope) -> None:
        await self._is_stopping.wait()
        await anyio.sleep(KILL_GRACE_S)
        waiting.cancel()

    async def _read(
        self,
        process: HostProcess,
        events: MemoryObjectSendStream[Event],
        ended: anyio.Event,
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for name, stream in process.outputs().items():
                tasks.start_soon(self._read_one, name, stream, events)
        ended.set()

    async def _read_one(
        self, name: StreamName, stream: IO[bytes], events: MemoryObjectSendStream[Event]
    ) -> None:
        while data := await read_some(stream):
            self._keepers[name].add(data)
            self._produced_bytes += len(data)
            if self._produced_bytes > self._limits.output_stop_bytes:
                self.stop(StopReason.OUTPUT_LIMIT)
            self._sequence += 1
            try:
                await events.send(OutputChunk(name, data, self._sequence - 1))
            except anyio.BrokenResourceError:
                self.stop(StopReason.CANCELLED)  # nobody listens any more


def _reason(error: OSError | ValueError) -> str:
    """In words that hold nothing of the call's."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or "it holds a character that cannot be passed on"
