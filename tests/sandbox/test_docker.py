"""Boxes come, go and never stay behind: failures of the engine, cancellation, dead workers."""

import os
import signal
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.errors import DeadlineExceeded, EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec, Program, SandboxOutcome, StopReason
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.options import ChannelChoice, SandboxOptions
from auxot_tools.sandbox.profile import LABEL_DEADLINE
from auxot_tools.types import Deadline, OutputChunk
from tests.support.engine import (
    PATIENCE_S,
    containers_of,
    docker_sandbox,
    run_program,
    sandbox_image,
    until_none_left,
)
from tests.support.engine_proxy import engine_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SPEC = BoxSpec("", BoxLimits())
FOREVER = Program(("bash", "-c", "echo running; sleep 600"), b"")


@asynccontextmanager
async def at_engine(
    url: str, worker_id: str, channel: ChannelChoice = "auto"
) -> AsyncGenerator[DockerSandbox, None]:
    """A sandbox on an engine that may be in trouble."""
    options = SandboxOptions(concurrency=1, ready=0, engine_url=url, channel=channel, watch_s=0.05)
    async with DockerSandbox(options, worker_id=worker_id) as sandbox:
        yield sandbox


async def test_who_is_cancelled_while_it_is_opened_gets_just_that() -> None:
    sandbox = DockerSandbox(SandboxOptions(ready=0), worker_id="test-opening")
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with sandbox:
            pytest.fail("it was opened all the same")
    assert scope.cancelled_caught


async def run_until_output(sandbox: DockerSandbox, running: anyio.Event) -> None:
    box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
    try:
        async with aclosing(box.run(FOREVER, Deadline.after(60))) as events:
            async for event in events:
                assert isinstance(event, OutputChunk)
                running.set()
    finally:
        await box.release()


async def test_check_names_the_image_that_is_there(sandbox: DockerSandbox) -> None:
    assert await sandbox.check() == sandbox_image()
    assert await sandbox.check(sandbox_image()) == sandbox_image()


async def test_an_engine_that_is_down_is_named_with_what_to_do(tmp_path: Path) -> None:
    async with at_engine(f"unix://{tmp_path}/nobody.sock", "test-down") as sandbox:
        with pytest.raises(EngineUnavailable, match=r"nobody\.sock does not answer.*engine_url"):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(10))
        with pytest.raises(EngineUnavailable):
            await sandbox.remove_leftovers()


async def test_an_engine_that_comes_back_is_used_again(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    async with at_engine(f"unix://{tmp_path}/engine.sock", "test-back") as sandbox:
        with pytest.raises(EngineUnavailable):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(10))
        async with engine_proxy(tmp_path):
            assert (await run_program(sandbox, "echo", "back")).stdout == "back\n"
            await sandbox.close()


async def test_a_missing_image_is_named_with_what_to_do(sandbox: DockerSandbox) -> None:
    spec = BoxSpec("auxot-tools/sandbox:never-built", BoxLimits())
    with pytest.raises(ImageMissing, match=r"never-built.*`sandbox\.image`"):
        await sandbox.claim(spec, BoxOwner(), Deadline.after(10))
    with pytest.raises(ImageMissing, match=r"never-built.*`sandbox\.image`"):
        await sandbox.check(spec.image)
    assert containers_of(sandbox.identity.worker_id) == []


async def test_a_default_image_that_was_never_built_is_missing() -> None:
    options = SandboxOptions(image_base="never:built", watch_s=0.05)
    async with DockerSandbox(options, worker_id="test-image") as sandbox:
        with pytest.raises(ImageMissing, match="auxot-tools sandbox build"):
            await sandbox.check()
        with pytest.raises(ImageMissing):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(10))
        with anyio.fail_after(PATIENCE_S):
            while "auxot-tools sandbox build" not in sandbox.problem():  # noqa: ASYNC110
                await anyio.sleep(0.05)


async def test_an_engine_that_refuses_a_box_is_reported_in_our_words(
    sandbox: DockerSandbox,
) -> None:
    spec = BoxSpec("", BoxLimits(memory_bytes=1))  # the engine wants 6 MB at least
    with pytest.raises(Unavailable, match="refused") as caught:
        await sandbox.claim(spec, BoxOwner(), Deadline.after(10))
    assert "memory" not in str(caught.value).lower()
    assert containers_of(sandbox.identity.worker_id) == []


async def test_a_silent_engine_costs_a_claim_its_deadline_and_no_more(tmp_path: Path) -> None:
    async with (
        engine_proxy(tmp_path, silent=True) as proxy,
        at_engine(proxy.base_url, "test-dumb") as sandbox,
    ):
        with anyio.fail_after(PATIENCE_S), pytest.raises(DeadlineExceeded):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(0.5))
        await proxy.cut()


async def test_an_engine_lost_during_a_run_ends_the_run_and_the_program(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    async with (
        engine_proxy(tmp_path) as proxy,
        at_engine(proxy.base_url, "test-lost", "attach") as sandbox,
    ):
        box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
        outcome = None
        async for event in box.run(FOREVER, Deadline.after(60)):
            if isinstance(event, OutputChunk):
                await proxy.cut()
            else:
                outcome = event
        await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert "the Docker engine does not say why" in outcome.lost
    await until_not_running("test-lost")
    async with docker_sandbox() as other:
        with anyio.fail_after(PATIENCE_S):
            await anyio.to_thread.run_sync(remove_all_of, "test-lost")
        assert await other.check()


async def test_a_box_removed_by_somebody_else_is_reported_so(sandbox: DockerSandbox) -> None:
    box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
    outcome = None
    async for event in box.run(FOREVER, Deadline.after(60)):
        if isinstance(event, OutputChunk):
            await anyio.to_thread.run_sync(remove_all_of, sandbox.identity.worker_id)
        else:
            outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.lost
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (None, None, None)


async def test_an_engine_that_stops_a_box_is_obeyed_at_once(sandbox: DockerSandbox) -> None:
    """`docker stop` and an engine shutting down wait 10 s for a PID 1 that ignores SIGTERM."""
    box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
    outcome = None
    async for event in box.run(FOREVER, Deadline.after(60)):
        if isinstance(event, OutputChunk):
            await anyio.to_thread.run_sync(stop, box.id)
        else:
            outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.lost == "the sandbox was stopped from outside while the program ran"
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (None, None, None)


async def test_a_paused_box_is_ended_without_a_word_against_the_engine(
    sandbox: DockerSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    spec = BoxSpec("", BoxLimits(timeout_s=1))
    box = await sandbox.claim(spec, BoxOwner(), Deadline.after(60))
    outcome = None
    async for event in box.run(FOREVER, Deadline.after(60)):
        if isinstance(event, OutputChunk):
            await anyio.to_thread.run_sync(pause, box.id)
        else:
            outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.TIME_LIMIT
    await until_none_left(sandbox.identity.worker_id)
    assert "did not end in time" in caplog.text
    assert "does not answer" not in caplog.text


async def test_more_cpus_than_the_engine_has_are_lowered_to_what_it_has(
    sandbox: DockerSandbox,
) -> None:
    assert (
        await run_program(sandbox, "echo", "ran", limits=BoxLimits(cpus=4096))
    ).stdout == "ran\n"


async def test_the_label_with_the_deadline_is_bounded_whatever_the_call_says(
    sandbox: DockerSandbox,
) -> None:
    box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(1e6))
    (container,) = containers_of(sandbox.identity.worker_id)
    await box.release()
    assert int(container["Labels"][LABEL_DEADLINE]) <= time.time() + sandbox.options.lease_s


async def test_claims_beyond_the_concurrency_wait_and_give_up_at_their_deadline() -> None:
    async with docker_sandbox(concurrency=1) as sandbox:
        box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
        with pytest.raises(DeadlineExceeded):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(0.1))
        await box.release()
        other = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
        await other.release()


async def test_cancellation_at_any_moment_leaves_nothing() -> None:
    async with docker_sandbox(concurrency=4) as sandbox:
        await run_program(sandbox, "true")  # connected, threads made
        fds, threads = open_descriptors(), threading.active_count()

        async def cancelled_after(delay_s: float) -> None:
            with anyio.move_on_after(delay_s):
                await run_until_output(sandbox, anyio.Event())

        for group in range(8):
            async with anyio.create_task_group() as tasks:
                for place in range(4):
                    tasks.start_soon(cancelled_after, (group * 4 + place) * 0.012)
        await until_none_left(sandbox.identity.worker_id)
        async with anyio.create_task_group() as tasks:  # no slot was lost
            for _ in range(4):
                tasks.start_soon(run_program, sandbox, "true")
        await until_none_left(sandbox.identity.worker_id)
        # Threads and kept connections to the engine: one for each slot, and four.
        assert open_descriptors() <= fds + 8
        assert threading.active_count() <= threads + 8


async def test_cancellation_of_a_running_program_stops_it(sandbox: DockerSandbox) -> None:
    running = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_until_output, sandbox, running)
        with anyio.fail_after(PATIENCE_S):
            await running.wait()
        tasks.cancel_scope.cancel()
    await until_none_left(sandbox.identity.worker_id)


async def test_fifty_runs_in_a_row_leak_nothing(sandbox: DockerSandbox) -> None:
    for _ in range(5):
        await run_program(sandbox, "true")
    await until_none_left(sandbox.identity.worker_id)
    fds, threads = open_descriptors(), threading.active_count()
    for _ in range(50):
        ran = await run_program(sandbox, "bash", "-c", "head -c 300000 /dev/zero; echo e >&2")
        assert ran.outcome.exit_code == 0
    await until_none_left(sandbox.identity.worker_id)
    assert open_descriptors() <= fds + 2
    assert threading.active_count() <= threads + 2


async def test_close_removes_boxes_that_are_still_claimed() -> None:
    async with docker_sandbox() as sandbox:
        box = await sandbox.claim(SPEC, BoxOwner(), Deadline.after(60))
        await sandbox.close()
        await box.release()
        assert containers_of(sandbox.identity.worker_id) == []
        with pytest.raises(Unavailable):
            await sandbox.claim(SPEC, BoxOwner(), Deadline.after(10))


async def test_close_while_boxes_are_being_made_leaves_nothing() -> None:
    for step in range(8):
        options = SandboxOptions(concurrency=2, ready=2)
        async with docker_sandbox(options=options) as sandbox:
            sandbox.keep_ready([SPEC])
            await anyio.sleep(0.04 * step)  # whatever the makers are at
            await sandbox.close()
            assert containers_of(sandbox.identity.worker_id) == []


async def test_a_worker_killed_in_mid_call_leaves_nothing_running_and_is_cleaned_up_after(
    sandbox: DockerSandbox,
) -> None:
    worker_id = f"killed-{os.getpid()}"
    command = [sys.executable, "-m", "tests.support.worker_process", worker_id]
    async with await anyio.open_process(command, stderr=None) as worker:
        assert worker.stdout is not None
        with anyio.fail_after(PATIENCE_S):
            box_id = (await worker.stdout.receive()).decode().strip()

        await sandbox.remove_leftovers()
        (container,) = containers_of(worker_id)  # a living worker's box is not touched
        assert container["State"] == "running"
        assert container["Id"].startswith(box_id)

        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    await until_not_running(worker_id)
    assert await sandbox.remove_leftovers() >= 1
    assert containers_of(worker_id) == []


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until_not_running(worker_id: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while any(c["State"] == "running" for c in containers_of(worker_id)):  # noqa: ASYNC110
            await anyio.sleep(0.05)


def remove_all_of(worker_id: str) -> None:
    client = connect()
    try:
        for container in containers_of(worker_id):
            client.remove_container(container["Id"], force=True)
    finally:
        client.close()


def stop(container_id: str) -> None:
    client = connect()
    try:
        client.stop(container_id, timeout=10)
    finally:
        client.close()


def pause(container_id: str) -> None:
    client = connect()
    try:
        client.pause(container_id)
    finally:
        client.close()
