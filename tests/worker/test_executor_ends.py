"""How calls wait, are cancelled and are drained: all are answered, nothing is left behind."""

import logging
from collections.abc import AsyncGenerator

import anyio
import pytest

from auxot_tools.errors import Draining, Unavailable
from auxot_tools.ports import BoxOwner, BoxSpec, Program, SandboxOutcome
from auxot_tools.types import (
    CallLimits,
    Deadline,
    OutputChunk,
    Started,
    Status,
    ToolResult,
    text_result,
)
from auxot_tools.worker.ends import log_end
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.executor_calls import (
    FOREVER,
    WAIT_S,
    a_call,
    assert_nothing_left,
    result_of,
    text_of,
    until,
)
from tests.support.fake_sandbox import FakeBox, FakeSandbox, printing

pytestmark = pytest.mark.anyio


class BoxesOf(FakeSandbox):
    """A sandbox whose boxes run until they are stopped, and are of the given kind."""

    def __init__(self, kind: type[FakeBox]) -> None:
        super().__init__(lambda _spec, _program: FOREVER)
        self.kind = kind

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> FakeBox:
        return self.kind(self, spec, owner, "box")


async def test_calls_beyond_the_slots_wait_and_beyond_the_line_are_answered_busy(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=2, max_waiting=1)
    async with anyio.create_task_group() as tasks:
        for _number in range(3):
            tasks.start_soon(result_of, executor, a_call())
        await until(lambda: (executor.free_slots, executor.waiting_calls) == (0, 1))
        result = await result_of(executor, a_call())
        assert result.status is Status.UNAVAILABLE
        assert "busy" in text_of(result)
        await until(lambda: len(sandbox.boxes) == 2)
        await sandbox.boxes[0].cancel()
        await until(lambda: len(sandbox.boxes) == 3)
        tasks.cancel_scope.cancel()
    assert_nothing_left(executor, sandbox)


async def test_a_call_that_waits_too_long_for_a_slot_is_answered(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(result_of, executor, a_call())
        await until(lambda: executor.free_slots == 0)
        result = await result_of(executor, a_call(), Deadline.after(0.05))
        assert result.status is Status.UNAVAILABLE
        assert "nothing was run" in text_of(result)
        tasks.cancel_scope.cancel()
    assert_nothing_left(executor, sandbox)


async def test_calls_of_a_tool_that_is_not_parallel_run_one_at_a_time_for_each_tenant(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=5)
    async with anyio.create_task_group() as tasks:
        for tenant in ("a", "a", "a", "b"):
            tasks.start_soon(result_of, executor, a_call("alone", tenant=tenant))
        await until(lambda: len(sandbox.boxes) == 2 and executor.waiting_calls == 2)
        assert {box.owner.tenant for box in sandbox.boxes} == {"a", "b"}
        assert executor.free_slots == 3  # those that wait for their turn hold no slot
        for number in range(4):
            await until(lambda number=number: len(sandbox.boxes) > number)  # type: ignore[misc]
            await sandbox.boxes[number].cancel()
    assert_nothing_left(executor, sandbox)


async def test_the_calls_deadline_ends_a_program_in_time_for_its_result(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    deadline = Deadline.after(1.1)
    result = await result_of(Executor(registry, sandbox), a_call(), deadline)
    assert result.status is Status.TIMED_OUT
    assert deadline.remaining_s() > 0


@pytest.mark.parametrize("stage", ["claiming", "running"])
async def test_a_cancelled_call_stops_its_program_and_frees_its_slot(
    registry: Registry, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER, full=stage == "claiming")
    executor = Executor(registry, sandbox)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(result_of, executor, a_call())
        await until(lambda: executor.free_slots < executor.total_slots)
        if stage == "running":
            await until(lambda: bool(sandbox.programs))
        tasks.cancel_scope.cancel()
    assert all(box.cancelled.is_set() and box.released for box in sandbox.boxes)
    assert_nothing_left(executor, sandbox)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'toolu_1' of 'run': cancelled" in line


async def test_closing_the_events_after_started_stops_the_call(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox)
    events = executor.execute(a_call(), Deadline.after(60))
    assert isinstance(await anext(events), Started)
    await events.aclose()
    assert_nothing_left(executor, sandbox)


async def test_a_clean_up_that_fails_does_not_keep_the_slot(registry: Registry) -> None:
    class Broken(FakeBox):
        async def release(self) -> None:
            raise RuntimeError("a bug")

    executor = Executor(registry, BoxesOf(Broken))
    call = a_call(limits=CallLimits(timeout_s=0.01))
    assert (await result_of(executor, call)).status is Status.TIMED_OUT
    assert executor.free_slots == executor.total_slots


async def test_drain_refuses_new_calls_and_lets_running_ones_finish(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox)
    results: list[ToolResult] = []

    async def keep() -> None:
        results.append(await result_of(executor, a_call()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        await until(lambda: bool(sandbox.programs))
        tasks.start_soon(executor.drain, WAIT_S)
        await until(lambda: executor.is_draining)
        with pytest.raises(Draining):
            await result_of(executor, a_call())
        await sandbox.boxes[0].cancel()
    assert [result.status for result in results] == [Status.CANCELLED]
    assert_nothing_left(executor, sandbox)


async def test_drain_cancels_what_runs_and_what_waits_when_the_grace_is_over(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=1)
    results: list[ToolResult] = []

    async def keep() -> None:
        results.append(await result_of(executor, a_call()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        tasks.start_soon(keep)
        await until(lambda: bool(sandbox.programs) and executor.waiting_calls == 1)
        with anyio.fail_after(WAIT_S):
            await executor.drain(0)
    assert [result.status for result in results] == [Status.CANCELLED] * 2
    assert all("worker is stopping" in text_of(result) for result in results)
    assert_nothing_left(executor, sandbox)


async def test_drain_does_not_wait_for_a_box_that_does_not_come(registry: Registry) -> None:
    sandbox = FakeSandbox(full=True)
    executor = Executor(registry, sandbox)
    results: list[ToolResult] = []

    async def keep() -> None:
        results.append(await result_of(executor, a_call()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        await until(lambda: executor.free_slots < executor.total_slots)
        with anyio.fail_after(WAIT_S):
            await executor.drain(0)
    assert [result.status for result in results] == [Status.CANCELLED]
    assert_nothing_left(executor, sandbox)


async def test_a_box_that_goes_away_because_of_the_drain_is_told_as_cancelled(
    registry: Registry,
) -> None:
    class Leaving(FakeBox):
        async def run(
            self, program: Program, deadline: Deadline
        ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
            async for event in super().run(program, deadline):
                if isinstance(event, SandboxOutcome):
                    raise Unavailable("gone")
                yield event

    sandbox = BoxesOf(Leaving)
    executor = Executor(registry, sandbox)
    results: list[ToolResult] = []

    async def keep() -> None:
        results.append(await result_of(executor, a_call()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        await until(lambda: bool(sandbox.programs))
        await executor.drain(0)
    assert [result.status for result in results] == [Status.CANCELLED]


@pytest.mark.parametrize("way", ["cancelled", "closed"])
async def test_a_clean_up_that_takes_its_time_is_awaited(registry: Registry, way: str) -> None:
    ended: list[str] = []

    class Slow(FakeBox):
        async def run(
            self, program: Program, deadline: Deadline
        ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
            try:
                yield OutputChunk("stdout", b"x")
                async for event in super().run(program, deadline):
                    yield event
            finally:
                ended.append("run")

        async def cancel(self) -> None:
            await anyio.sleep(0.01)
            await super().cancel()
            ended.append("cancel")

        async def release(self) -> None:
            await anyio.sleep(0.01)
            await super().release()
            ended.append("release")

    executor = Executor(registry, BoxesOf(Slow))
    if way == "closed":
        events = executor.execute(a_call(), Deadline.after(60))
        assert [type(await anext(events)) for _number in range(2)] == [Started, OutputChunk]
        await events.aclose()
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(result_of, executor, a_call())
            await until(lambda: executor.free_slots < executor.total_slots)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert sorted(ended) == ["cancel", "release", "run"]
    assert executor.running_calls == 0


async def test_drain_of_an_idle_executor_returns_at_once(registry: Registry) -> None:
    with anyio.fail_after(WAIT_S):
        await Executor(registry, FakeSandbox()).drain(1000)


async def test_two_hundred_calls_over_few_slots_leave_nothing(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
    executor = Executor(registry, sandbox, slots=4, max_waiting=200)
    results: list[ToolResult] = []

    async def keep(name: str, tenant: str) -> None:
        results.append(await result_of(executor, a_call(name, tenant=tenant)))

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(keep, ("run", "alone")[number % 2], f"key-{number % 5}")
    assert [result.status for result in results] == [Status.COMPLETED] * 200
    assert_nothing_left(executor, sandbox)


def test_a_call_that_had_no_container_is_logged_without_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log_end(a_call(), text_result("toolu_1", Status.DENIED, "no"))
    assert "denied, 0.0 s" in caplog.text
    log_end(a_call(), ToolResult("toolu_1", Status.COMPLETED, (), box_id="box-1"))
    assert "completed, container box-1, 0.0 s" in caplog.text
