"""Boxes that serve many calls, boxes that wait: nothing crosses, nothing stays; in real ones."""

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.ports import (
    BoxLimits,
    BoxOwner,
    BoxSpec,
    CollectLimits,
    Isolation,
    OutputFile,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.types import Deadline, OutputChunk
from tests.support.engine import (
    PATIENCE_S,
    Ran,
    containers_of,
    docker_sandbox,
    run_program,
    sandbox_image,
    until_none_left,
)
from tests.support.engine_proxy import engine_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

MIB = 2**20
ALICE, BOB = BoxOwner("alice", "one"), BoxOwner("bob", "one")
LEAVE = "echo secret > /tmp/left; echo secret > /dev/shm/left; (setsid sleep 300 &); echo done"
LOOK = "cat /tmp/left /dev/shm/left 2>/dev/null; cat /proc/[0-9]*/comm | grep -c sleep; true"


async def shell(
    sandbox: DockerSandbox,
    isolation: Isolation,
    script: str,
    owner: BoxOwner = ALICE,
    limits: BoxLimits | None = None,
) -> Ran:
    return await run_program(
        sandbox, "bash", "-c", script, isolation=isolation, owner=owner, limits=limits
    )


async def until_waiting(sandbox: DockerSandbox, count: int) -> None:
    """Until so many containers of this worker run and none is on its way."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            found = await anyio.to_thread.run_sync(containers_of, sandbox.identity.worker_id)
            if [box["State"] for box in found] == ["running"] * count:
                return
            await anyio.sleep(0.05)


async def test_warm_calls_of_a_tenant_share_a_container_and_nothing_else(
    sandbox: DockerSandbox,
) -> None:
    first = await shell(sandbox, "warm", LEAVE)
    second = await shell(sandbox, "warm", LOOK)
    assert first.box_id == second.box_id
    assert (first.stdout, second.stdout) == ("done\n", "0\n")


async def test_no_warm_container_serves_two_tenants(sandbox: DockerSandbox) -> None:
    ran = [await shell(sandbox, "warm", "true", owner) for owner in (ALICE, BOB, ALICE, BOB)]
    assert ran[0].box_id == ran[2].box_id != ran[1].box_id == ran[3].box_id


@pytest.mark.parametrize(
    "script", ["sleep 60", "python3 -c 'x = bytearray(300 << 20)'"], ids=["time", "memory"]
)
async def test_a_warm_container_is_recycled_after_a_call_that_did_not_end_well(
    sandbox: DockerSandbox, script: str
) -> None:
    limits = BoxLimits(timeout_s=1, memory_bytes=96 * MIB, disk_bytes=16 * MIB)
    bad = await shell(sandbox, "warm", script, limits=limits)
    good = await shell(sandbox, "warm", "echo well", limits=limits)
    assert bad.outcome.stopped is StopReason.TIME_LIMIT or bad.outcome.oom_killed
    assert good.stdout == "well\n"
    assert good.box_id != bad.box_id


async def test_a_session_keeps_files_and_processes(sandbox: DockerSandbox) -> None:
    first = await shell(sandbox, "session", LEAVE)
    second = await shell(sandbox, "session", LOOK)
    other = await shell(sandbox, "session", LOOK, BoxOwner("alice", "two"))
    assert first.box_id == second.box_id != other.box_id
    assert (second.stdout, second.notice) == ("secret\nsecret\n1\n", "")
    assert other.stdout == "0\n"


async def test_a_session_outlives_a_call_that_was_stopped(sandbox: DockerSandbox) -> None:
    first = await shell(sandbox, "session", "echo kept > /work/file")
    limits = BoxLimits(timeout_s=0.5)
    stopped = await shell(sandbox, "session", "sleep 60", limits=limits)
    after = await shell(sandbox, "session", "cat /work/file; cat /proc/[0-9]*/comm | grep -c sleep")
    assert stopped.outcome.stopped is StopReason.TIME_LIMIT
    assert first.box_id == stopped.box_id == after.box_id
    assert (after.stdout, after.notice) == ("kept\n0\n", "")


async def test_a_session_whose_container_was_removed_is_started_anew_and_says_so(
    sandbox: DockerSandbox,
) -> None:
    first = await shell(sandbox, "session", "true")
    await anyio.to_thread.run_sync(remove, first.box_id)
    second = await shell(sandbox, "session", "true")
    assert second.box_id != first.box_id
    assert second.notice.startswith("The session was started anew: its container ended.")


async def test_files_in_work_out_come_back_from_every_kind_of_box(sandbox: DockerSandbox) -> None:
    for isolation in ("call", "warm", "session"):
        ran = await run_program(
            sandbox,
            "bash",
            "-c",
            "mkdir -p out && printf '\\0\\377' > out/b.bin && ln -s /etc/passwd out/link",
            isolation=isolation,
            collect=CollectLimits(),
        )
        assert ran.outcome.files == (OutputFile("b.bin", b"\0\xff"),), isolation
        assert [left.name for left in ran.outcome.files_left_out] == ["link"]


async def test_a_refused_fork_is_told(sandbox: DockerSandbox) -> None:
    script = "for i in $(seq 40); do sleep 5 & done; exit 1"
    ran = await shell(sandbox, "call", script, limits=BoxLimits(pids=12))
    assert ran.outcome.process_limit_hit


@pytest.fixture
async def pooled(anyio_backend: str) -> AsyncGenerator[DockerSandbox, None]:
    """A sandbox in which two boxes wait."""
    async with docker_sandbox(options=SandboxOptions(concurrency=2, ready=2)) as sandbox:
        sandbox.keep_ready([BoxSpec("", BoxLimits())])
        await until_waiting(sandbox, 2)
        yield sandbox


async def test_a_call_gets_a_box_that_waited_and_no_box_serves_twice(
    pooled: DockerSandbox,
) -> None:
    waiting = {str(box["Id"])[:12] for box in containers_of(pooled.identity.worker_id)}
    ran = [await run_program(pooled, "echo", "hello") for _ in range(6)]
    assert {run.box_id for run in ran[:2]} == waiting
    assert len({run.box_id for run in ran}) == 6
    assert {run.stdout for run in ran} == {"hello\n"}
    await until_waiting(pooled, 2)


async def test_a_waiting_box_that_is_killed_is_replaced(pooled: DockerSandbox) -> None:
    before = {str(box["Id"]) for box in containers_of(pooled.identity.worker_id)}
    for box in before:
        await anyio.to_thread.run_sync(remove, box)
    await until_waiting(pooled, 2)
    after = {str(box["Id"]) for box in containers_of(pooled.identity.worker_id)}
    assert not before & after
    assert (await run_program(pooled, "echo", "hello")).stdout == "hello\n"


async def test_prepare_makes_a_box_ready_for_the_call_that_comes() -> None:
    async with docker_sandbox() as sandbox:
        assert await sandbox.prepare(BoxSpec("", BoxLimits()), ALICE)
        await until_waiting(sandbox, 1)
        (waiting,) = containers_of(sandbox.identity.worker_id)
        ran = await run_program(sandbox, "true", owner=ALICE)
        assert str(waiting["Id"]).startswith(ran.box_id)
        await until_none_left(sandbox.identity.worker_id)


async def test_a_call_over_a_socket_goes_on_without_the_engine(tmp_path: Path) -> None:
    """And the container that could not be removed meanwhile is removed by the reconciliation."""
    await anyio.to_thread.run_sync(sandbox_image)
    async with engine_proxy(tmp_path) as proxy:
        options = SandboxOptions(ready=0, engine_url=proxy.base_url, watch_s=0.05, reconcile_s=0.2)
        async with DockerSandbox(options, worker_id="test-without") as sandbox:
            box = await sandbox.claim(BoxSpec("", BoxLimits()), ALICE, Deadline.after(60))
            program = Program(("bash", "-c", "echo begun; sleep 0.5; echo done"), b"")
            outcome = None
            async for event in box.run(program, Deadline.after(60)):
                if isinstance(event, OutputChunk):
                    await proxy.cut()
                else:
                    outcome = event
            await box.release()
            assert isinstance(outcome, SandboxOutcome)
            assert outcome.exit_code == 0
            await until_problem(sandbox, is_there=True)
            assert not await sandbox.prepare(BoxSpec("", BoxLimits()), ALICE)
            proxy.mend()
            await until_problem(sandbox, is_there=False)
            await until_none_left("test-without")


async def test_the_boxes_of_a_worker_are_listed_with_what_they_are(
    sandbox: DockerSandbox,
) -> None:
    ran = await shell(sandbox, "warm", "true")
    worker = sandbox.identity.worker_id
    (mine,) = [box for box in await sandbox.list_boxes() if box.worker == worker]
    assert (mine.id, mine.mode, mine.form, mine.state) == (ran.box_id, "warm", "ns", "running")
    assert mine.owner_lives is True


async def until_problem(sandbox: DockerSandbox, *, is_there: bool) -> None:
    with anyio.fail_after(PATIENCE_S):
        while bool(sandbox.problem()) != is_there:  # noqa: ASYNC110
            await anyio.sleep(0.05)


def remove(container: str) -> None:
    client = connect()
    try:
        client.remove_container(container, force=True)
    finally:
        client.close()
