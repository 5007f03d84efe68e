"""What every `ports.Sandbox` promises, whatever it is made of.

Each implementation plays the same small programs. The fake is told what they do; a real one runs
them. So a test against the fake can be believed.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from auxot_tools.errors import DeadlineExceeded
from auxot_tools.ports import (
    Box,
    BoxLimits,
    BoxOwner,
    BoxSpec,
    Program,
    Sandbox,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.types import Deadline, OutputChunk
from tests.support.engine import docker_sandbox
from tests.support.fake_sandbox import FakeSandbox, Script, run_to_the_end

pytestmark = pytest.mark.anyio

SPEC = BoxSpec("", BoxLimits(timeout_s=20))
OWNER = BoxOwner("tenant", "session")

HELLO = Program(("bash", "-c", "echo hello; echo oops >&2; exit 3"), b"")
ECHO = Program(("cat",), b"from stdin")
KILLED = Program(("bash", "-c", "kill -KILL $$"), b"")
FOREVER = Program(("bash", "-c", "echo running; sleep 600"), b"")

SCRIPTS = {
    HELLO.command: Script(
        (("stdout", b"hello\n"), ("stderr", b"oops\n")), SandboxOutcome(exit_code=3)
    ),
    ECHO.command: Script((("stdout", b"from stdin"),)),
    KILLED.command: Script(outcome=SandboxOutcome(signal=9)),
    FOREVER.command: Script((("stdout", b"running\n"),), until_stopped=True),
}

MakeSandbox = Callable[[], AbstractAsyncContextManager[Sandbox]]


@asynccontextmanager
async def fake_sandbox() -> AsyncGenerator[Sandbox, None]:
    yield FakeSandbox(behaviour=lambda _spec, program: SCRIPTS[program.command])


@pytest.fixture(
    params=[
        pytest.param(fake_sandbox, id="fake"),
        pytest.param(docker_sandbox, id="docker", marks=pytest.mark.engine),
    ]
)
async def sandbox(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncGenerator[Sandbox, None]:
    make: MakeSandbox = request.param
    async with make() as sandbox:
        yield sandbox


async def claimed(sandbox: Sandbox, spec: BoxSpec = SPEC) -> Box:
    return await sandbox.claim(spec, OWNER, Deadline.after(60))


async def test_a_run_gives_its_output_and_then_exactly_one_outcome(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
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
    sandbox: Sandbox,
) -> None:
    box = await claimed(sandbox)
    chunks, outcome = await run_to_the_end(box, HELLO, Deadline.after(60))
    await box.release()
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    stdout = b"".join(chunk.data for chunk in chunks if chunk.stream == "stdout")
    assert outcome.stdout is not None
    assert stdout == outcome.stdout.head


async def test_a_program_gets_its_stdin(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    _, outcome = await run_to_the_end(box, ECHO, Deadline.after(60))
    await box.release()
    assert outcome.stdout is not None
    assert outcome.stdout.head == b"from stdin"


async def test_a_signal_excludes_an_exit_code(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    _, outcome = await run_to_the_end(box, KILLED, Deadline.after(60))
    await box.release()
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (None, 9, None)


async def test_the_time_limit_stops_a_program(sandbox: Sandbox) -> None:
    spec = replace(SPEC, limits=BoxLimits(timeout_s=0.5))
    box = await claimed(sandbox, spec)
    _, outcome = await run_to_the_end(box, FOREVER, Deadline.after(60))
    await box.release()
    assert outcome.stopped is StopReason.TIME_LIMIT
    assert outcome.exit_code is None


async def test_the_deadline_stops_a_program_before_its_time_limit(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    _, outcome = await run_to_the_end(box, FOREVER, Deadline.after(1))
    await box.release()
    assert outcome.stopped is StopReason.TIME_LIMIT


async def test_cancel_ends_a_run_with_an_outcome(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
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


async def test_cancel_from_another_task_ends_a_run(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
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


async def test_a_run_may_be_left_early_and_the_box_released(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    async with aclosing(box.run(FOREVER, Deadline.after(60))) as events:
        assert isinstance(await anext(events), OutputChunk)
    with anyio.fail_after(20):
        await box.release()


async def test_a_box_that_never_ran_can_be_released(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    assert box.id
    assert box.isolation == "call"
    await box.release()


async def test_a_claim_whose_deadline_has_passed_gives_no_box(sandbox: Sandbox) -> None:
    with pytest.raises(DeadlineExceeded):
        await sandbox.claim(SPEC, OWNER, Deadline.after(0))


async def test_prepare_never_raises(sandbox: Sandbox) -> None:
    prepared = await sandbox.prepare(replace(SPEC, image="no-such-image"), OWNER)
    assert isinstance(prepared, bool)


async def test_close_stops_what_still_runs(sandbox: Sandbox) -> None:
    box = await claimed(sandbox)
    outcomes = []

    async def run() -> None:
        outcomes.append((await run_to_the_end(box, FOREVER, Deadline.after(60)))[1])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            await sandbox.close()
    await box.release()
    assert outcomes[0].stopped is StopReason.CANCELLED
