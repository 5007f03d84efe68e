"""What every `ports.Sandbox` promises, whatever it is made of.

Each implementation plays the same small programs. The fake is told what they do; a real one runs
them. So a test against the fake can be believed.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from auxot_tools.errors import DeadlineExceeded
from auxot_tools.ports import (
    Box,
    BoxLimits,
    BoxOwner,
    BoxSpec,
    Isolation,
    Program,
    Sandbox,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.host import HostSandbox
from auxot_tools.sandbox.options import ChannelChoice, SandboxOptions
from auxot_tools.types import Deadline, OutputChunk
from tests.support.engine import docker_sandbox
from tests.support.fake_sandbox import FakeSandbox, Script, run_to_the_end

pytestmark = pytest.mark.anyio

OWNER = BoxOwner("tenant", "session")

HELLO = Program(("bash", "-c", "echo hello; echo oops >&2; exit 3"), b"")
ECHO = Program(("cat",), b"from stdin")
KILLED = Program(("bash", "-c", "kill -KILL $$"), b"")
FOREVER = Program(("bash", "-c", "echo running; sleep 600"), b"")

SCRIPTS = {
    HELLO.command: Script(
        (("stdout", b"hello\n"), ("stderr", b"oops\n")), SandboxOutcome(exit_code=3)
    ),
    ECHO.command: Script((("stdout", b"from stdin"),), SandboxOutcome(exit_code=0)),
    KILLED.command: Script(outcome=SandboxOutcome(signal=9)),
    FOREVER.command: Script((("stdout", b"running\n"),), until_stopped=True),
}

Make = Callable[[], AbstractAsyncContextManager[Sandbox]]


@asynccontextmanager
async def host_sandbox() -> AsyncGenerator[Sandbox, None]:
    async with HostSandbox() as sandbox:
        yield sandbox


@asynccontextmanager
async def fake_sandbox() -> AsyncGenerator[Sandbox, None]:
    yield FakeSandbox(behaviour=lambda _spec, program: SCRIPTS[program.command])


def real_sandbox(channel: ChannelChoice) -> Make:
    return lambda: docker_sandbox(options=SandboxOptions(ready=0, channel=channel))


@dataclass(frozen=True)
class Subject:
    """A sandbox, and the kind of box that the suite asks it for."""

    sandbox: Sandbox
    spec: BoxSpec

    async def claimed(self, limits: BoxLimits | None = None) -> Box:
        spec = self.spec if limits is None else replace(self.spec, limits=limits)
        return await self.sandbox.claim(spec, OWNER, Deadline.after(60))


CHANNELS: tuple[ChannelChoice, ...] = ("unix", "attach")
ISOLATIONS: tuple[Isolation, ...] = ("call", "warm", "session")
REAL = [
    pytest.param(
        (real_sandbox(channel), isolation), id=f"{isolation}-{channel}", marks=pytest.mark.engine
    )
    for isolation in ISOLATIONS
    for channel in CHANNELS
]


HERE = [
    pytest.param((fake_sandbox, "call"), id="fake"),
    pytest.param((host_sandbox, "call"), id="host"),
]


@pytest.fixture(params=[*HERE, *REAL])
async def subject(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncGenerator[Subject, None]:
    make: Make
    isolation: Isolation
    make, isolation = request.param
    async with make() as sandbox:
        yield Subject(sandbox, BoxSpec("", BoxLimits(timeout_s=20), isolation))


async def test_a_run_gives_its_output_and_then_exactly_one_outcome(subject: Subject) -> None:
    box = await subject.claimed()
    events = [event async for event in box.run(HELLO, Deadline.after(60))]
    await box.release()
    *chunks, outcome = events
    assert all(isinstance(chunk, OutputChunk) for chunk in chunks)
    assert isinstance(outcome, SandboxOutcome)
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (3, None, None)
    assert outcome.stdout is not None
    assert outcome.stderr is not None
    assert (outcome.stdout.head, outcome.stderr.head) == (b"hello\n", b"oops\n")


async def test_chunks_are_numbered_over_both_streams_and_add_up_to_what_is_kept(
    subject: Subject,
) -> None:
    box = await subject.claimed()
    chunks, outcome = await run_to_the_end(box, HELLO, Deadline.after(60))
    await box.release()
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    stdout = b"".join(chunk.data for chunk in chunks if chunk.stream == "stdout")
    assert outcome.stdout is not None
    assert stdout == outcome.stdout.head


async def test_a_program_gets_its_stdin(subject: Subject) -> None:
    box = await subject.claimed()
    _, outcome = await run_to_the_end(box, ECHO, Deadline.after(60))
    await box.release()
    assert outcome.stdout is not None
    assert outcome.stdout.head == b"from stdin"


async def test_a_signal_excludes_an_exit_code(subject: Subject) -> None:
    box = await subject.claimed()
    _, outcome = await run_to_the_end(box, KILLED, Deadline.after(60))
    await box.release()
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (None, 9, None)


async def test_the_time_limit_stops_a_program(subject: Subject) -> None:
    box = await subject.claimed(BoxLimits(timeout_s=0.5))
    _, outcome = await run_to_the_end(box, FOREVER, Deadline.after(60))
    await box.release()
    assert outcome.stopped is StopReason.TIME_LIMIT
    assert outcome.exit_code is None


async def test_the_deadline_stops_a_program_before_its_time_limit(subject: Subject) -> None:
    box = await subject.claimed()
    _, outcome = await run_to_the_end(box, FOREVER, Deadline.after(1))
    await box.release()
    assert outcome.stopped is StopReason.TIME_LIMIT


async def test_cancel_ends_a_run_with_an_outcome(subject: Subject) -> None:
    box = await subject.claimed()
    outcome = None
    async with aclosing(box.run(FOREVER, Deadline.after(60))) as events:
        async for event in events:
            if isinstance(event, SandboxOutcome):
                outcome = event
            else:
                await box.cancel()
    await box.release()
    assert outcome is not None
    assert outcome.stopped is StopReason.CANCELLED


async def test_cancel_from_another_task_ends_a_run(subject: Subject) -> None:
    box = await subject.claimed()
    outcomes = []

    async def run() -> None:
        outcomes.append((await run_to_the_end(box, FOREVER, Deadline.after(60)))[1])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            await box.cancel()
    await box.release()
    assert outcomes[0].stopped is StopReason.CANCELLED


async def test_a_run_may_be_left_early_and_the_box_released(subject: Subject) -> None:
    box = await subject.claimed()
    async with aclosing(box.run(FOREVER, Deadline.after(60))) as events:
        assert isinstance(await anext(events), OutputChunk)
    with anyio.fail_after(20):
        await box.release()


async def test_a_box_that_never_ran_can_be_released(subject: Subject) -> None:
    box = await subject.claimed()
    assert box.id
    is_on_host = isinstance(subject.sandbox, HostSandbox)
    assert box.isolation == ("host" if is_on_host else subject.spec.isolation)
    assert box.notice == ""
    await box.release()


async def test_a_claim_whose_deadline_has_passed_gives_no_box(subject: Subject) -> None:
    with pytest.raises(DeadlineExceeded):
        await subject.sandbox.claim(subject.spec, OWNER, Deadline.after(0))


async def test_prepare_never_raises(subject: Subject) -> None:
    prepared = await subject.sandbox.prepare(replace(subject.spec, image="no-such-image"), OWNER)
    assert isinstance(prepared, bool)


async def test_close_stops_what_still_runs(subject: Subject) -> None:
    box = await subject.claimed()
    outcomes = []

    async def run() -> None:
        outcomes.append((await run_to_the_end(box, FOREVER, Deadline.after(60)))[1])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            await subject.sandbox.close()
    await box.release()
    assert outcomes[0].stopped is StopReason.CANCELLED


async def test_the_next_call_of_the_same_owner_gets_a_box_that_works(subject: Subject) -> None:
    """Also after a call that was stopped, and after one that was left early."""
    box = await subject.claimed(BoxLimits(timeout_s=0.5))
    await run_to_the_end(box, FOREVER, Deadline.after(60))
    await box.release()
    box = await subject.claimed()
    async with aclosing(box.run(FOREVER, Deadline.after(60))) as events:
        assert isinstance(await anext(events), OutputChunk)
    await box.release()
    for program, exit_code in ((HELLO, 3), (ECHO, 0)):
        box = await subject.claimed()
        _, outcome = await run_to_the_end(box, program, Deadline.after(60))
        await box.release()
        assert outcome.exit_code == exit_code


async def test_a_sandbox_that_is_well_has_no_problem(subject: Subject) -> None:
    box = await subject.claimed()
    await box.release()
    assert subject.sandbox.problem() == ""
