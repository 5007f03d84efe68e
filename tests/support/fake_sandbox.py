"""An in-memory `Sandbox` with scripted outcomes, for tests that need no engine.

It keeps the port's promises (one outcome last, cancel ends a run, release once) and writes down
what it was asked to do. It must not know Docker.
"""

import dataclasses
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from auxot_tools.errors import AuxotError, DeadlineExceeded
from auxot_tools.ports import (
    Box,
    BoxOwner,
    BoxSpec,
    KeptOutput,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.types import Deadline, OutputChunk

EXITED_ZERO = SandboxOutcome(exit_code=0)


@dataclass(frozen=True, slots=True)
class Script:
    """What one run does: its output in order, then its outcome.

    With `until_stopped` it says its output and then runs until it is cancelled or its time is up.
    With `run_error` the run raises that instead of giving an outcome.
    `outcome.stdout`/`stderr` that are `None` are filled from `output`.
    """

    output: Sequence[tuple[str, bytes]] = ()
    outcome: SandboxOutcome = EXITED_ZERO
    until_stopped: bool = False
    run_error: AuxotError | None = None


def printing(text: str, exit_code: int = 0) -> Script:
    """A program that writes `text` to stdout and exits."""
    return Script(((("stdout"), text.encode()),), SandboxOutcome(exit_code=exit_code))


Behaviour = Callable[[BoxSpec, Program], Script]


@dataclass
class FakeBox:
    """One claimed box of a `FakeSandbox`."""

    sandbox: "FakeSandbox"
    spec: BoxSpec
    owner: BoxOwner
    id: str
    isolation: str = "call"
    notice: str = ""
    program: Program | None = None
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    running: anyio.Event = field(default_factory=anyio.Event)
    released: bool = False

    async def run(
        self, program: Program, deadline: Deadline
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        assert self.program is None, "a box runs one program"
        assert not self.released, "a released box runs nothing"
        self.program = program
        self.sandbox.programs.append(program)
        script = self.sandbox.behaviour(self.spec, program)
        self.running.set()
        kept = {"stdout": b"", "stderr": b""}
        for sequence, (stream, data) in enumerate(script.output):
            kept[stream] += data
            yield OutputChunk("stderr" if stream == "stderr" else "stdout", data, sequence)
        if script.run_error is not None:
            raise script.run_error
        outcome = script.outcome
        if script.until_stopped:
            outcome = await self._wait_for_the_end(deadline)
        yield dataclasses.replace(
            outcome,
            stdout=outcome.stdout or KeptOutput(kept["stdout"]),
            stderr=outcome.stderr or KeptOutput(kept["stderr"]),
        )

    async def _wait_for_the_end(self, deadline: Deadline) -> SandboxOutcome:
        limit_s = min(deadline.remaining_s(), self.spec.limits.timeout_s)
        with anyio.move_on_after(limit_s):
            await self.cancelled.wait()
        stopped = StopReason.CANCELLED if self.cancelled.is_set() else StopReason.TIME_LIMIT
        return SandboxOutcome(signal=9, stopped=stopped)

    async def cancel(self) -> None:
        self.cancelled.set()

    async def release(self) -> None:
        assert not self.released, "release is called exactly once"
        self.released = True
        self.sandbox.open_boxes.discard(self.id)


@dataclass
class FakeSandbox:
    """Runs `behaviour` for every program, and keeps a record for assertions.

    `claim_error` makes every claim fail with it; `full` makes claims wait until their deadline.
    `notice` is every box's, `trouble` is what `problem` tells.
    """

    behaviour: Behaviour = lambda _spec, _program: Script()
    claim_error: AuxotError | None = None
    full: bool = False
    notice: str = ""
    trouble: str = ""
    boxes: list[FakeBox] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    prepared: list[tuple[BoxSpec, BoxOwner]] = field(default_factory=list)
    open_boxes: set[str] = field(default_factory=set)
    closed: bool = False

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> FakeBox:
        await anyio.lowlevel.checkpoint()
        if self.claim_error is not None:
            raise self.claim_error
        if self.full:
            await anyio.sleep(deadline.remaining_s())
        if deadline.remaining_s() <= 0:
            raise DeadlineExceeded("no box came free in time")
        name = f"fake-{len(self.boxes)}"
        box = FakeBox(self, spec, owner, name, spec.isolation, self.notice)
        self.boxes.append(box)
        self.open_boxes.add(box.id)
        return box

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:
        self.prepared.append((spec, owner))
        return True

    def problem(self) -> str:
        return self.trouble

    async def close(self) -> None:
        self.closed = True
        for box in self.boxes:
            box.cancelled.set()


async def run_to_the_end(
    box: Box, program: Program, deadline: Deadline
) -> tuple[list[OutputChunk], SandboxOutcome]:
    """All chunks of one run and its outcome."""
    chunks: list[OutputChunk] = []
    async with aclosing(box.run(program, deadline)) as events:
        async for event in events:
            if isinstance(event, SandboxOutcome):
                return chunks, event
            chunks.append(event)
    raise AssertionError("a run ended without an outcome")
