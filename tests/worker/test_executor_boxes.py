"""Which boxes a call asks for, what they say of themselves, and a sandbox that has a problem."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from auxot_tools.errors import EngineUnavailable
from auxot_tools.ports import CollectLimits, LeftOutFile, OutputFile, SandboxOutcome
from auxot_tools.share import share_dir
from auxot_tools.types import (
    Artifact,
    CallHint,
    Deadline,
    InputFile,
    Started,
    Status,
    ToolCall,
    ToolResult,
)
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry
from tests.support.executor_calls import (
    FOREVER,
    a_call,
    assert_nothing_left,
    events_of,
    result_of,
    text_of,
    until,
)
from tests.support.fake_sandbox import FakeSandbox, Script, printing

pytestmark = pytest.mark.anyio


def ours(policy: IsolationPolicy) -> Registry:
    return Registry.load([share_dir("tools")], policy=policy)


def code_call(**arguments: Any) -> ToolCall:
    return a_call("code_executor", json.dumps(arguments))


@pytest.mark.parametrize("isolation", ["call", "warm"])
async def test_started_and_result_tell_the_isolation_that_the_call_has(isolation: Any) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("1"))
    executor = Executor(ours(IsolationPolicy(isolation)), sandbox)
    started, _output, result = await events_of(executor, code_call(code="1", language="javascript"))
    assert isinstance(started, Started)
    assert isinstance(result, ToolResult)
    assert (started.isolation, result.isolation) == (isolation, isolation)
    spec = sandbox.boxes[0].spec
    assert (spec.isolation, spec.ready) == (isolation, "node")


async def test_the_code_is_a_file_and_stdin_the_text_of_its_field() -> None:
    sandbox = FakeSandbox()
    executor = Executor(ours(IsolationPolicy()), sandbox)
    await result_of(executor, code_call(code="print(1)", stdin="given"))
    (program,) = sandbox.programs
    assert program.command == ("python3", "/work/main.py")
    assert (program.stdin, program.work_files) == (b"given", (InputFile("main.py", b"print(1)"),))
    assert (program.tool_files, program.collect) == ((), CollectLimits())


@pytest.mark.parametrize("padding", [0, 100_000])
async def test_code_that_no_interpreter_runs_whole_takes_no_box(padding: int) -> None:
    sandbox = FakeSandbox()
    executor = Executor(ours(IsolationPolicy()), sandbox)
    result = await result_of(executor, code_call(code="#" * padding + "print(1)\0print(2)"))
    assert result.status is Status.INVALID_ARGUMENTS
    assert f"/code: has a NUL character at position {padding + 8}" in text_of(result)
    assert sandbox.boxes == []


async def test_files_left_behind_are_in_the_result_and_its_text() -> None:
    outcome = SandboxOutcome(
        exit_code=0,
        files=(OutputFile("a.csv", b"1,2"),),
        files_left_out=(LeftOutFile("huge", "too_large"),),
    )
    sandbox = FakeSandbox(lambda _spec, _program: Script(outcome=outcome))
    result = await result_of(Executor(ours(IsolationPolicy()), sandbox), code_call(code="1"))
    assert result.artifacts == (Artifact("a.csv", "text/csv", b"1,2"),)
    assert "Files: a.csv (3 bytes)" in text_of(result)
    assert "huge (it has more than 8 MiB)" in text_of(result)


async def test_what_a_box_has_to_say_is_told_first(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("42"), notice="Started anew.")
    assert text_of(await result_of(Executor(registry, sandbox), a_call())) == (
        "Started anew.\n\nstdout:\n42"
    )


async def test_a_hint_asks_for_the_box_that_is_likeliest(tmp_path: Path) -> None:
    folder = tmp_path / "js"
    folder.mkdir()
    text = {"type": "string"}
    only = {"type": "string", "enum": ["javascript"], "default": "javascript"}
    declared = {
        "description": "x",
        "input_schema": {
            "type": "object",
            "properties": {"code": text, "language": only},
            "required": ["code"],
        },
        "code": {"field": "code", "language_field": "language"},
        "isolation": "session",
    }
    (folder / "tool.json").write_text(json.dumps(declared))
    sandbox = FakeSandbox()
    executor = Executor(Registry.load([tmp_path, share_dir("tools")]), sandbox)
    for name in ("js", "code_executor"):
        assert await executor.prepare(CallHint(name, "t", "s"))
    assert [(spec.isolation, spec.ready) for spec, _owner in sandbox.prepared] == [
        ("session", "node"),
        ("call", "python"),
    ]
    assert {(spec.isolation, spec.ready) for spec in executor.ready_specs()} == {
        ("call", "python"),
        ("call", "node"),
    }


async def test_with_a_problem_a_call_is_answered_soon_and_not_at_its_deadline(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox(full=True, trouble="the engine does not answer")
    executor = Executor(registry, sandbox)
    with anyio.fail_after(30):
        result = await result_of(executor, a_call(), Deadline.after(3600))
    assert result.status is Status.UNAVAILABLE
    assert "The sandbox is not available now, so nothing was run." in text_of(result)
    assert_nothing_left(executor, sandbox)


async def test_with_a_problem_the_reason_of_a_failed_try_is_told(registry: Registry) -> None:
    sandbox = FakeSandbox(claim_error=EngineUnavailable("x"), trouble="it does not answer")
    result = await result_of(Executor(registry, sandbox), a_call())
    assert "The sandbox engine of this worker does not answer" in text_of(result)


async def test_with_a_problem_that_is_over_a_call_runs(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("42"), trouble="not noticed yet")
    result = await result_of(Executor(registry, sandbox), a_call())
    assert (result.status, text_of(result)) == (Status.COMPLETED, "42")


async def test_with_a_problem_no_call_waits_in_line(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(result_of, executor, a_call())
        await until(lambda: bool(sandbox.programs))
        sandbox.trouble = "the engine does not answer"
        waiting = dataclasses.replace(a_call(), tool_use_id="toolu_2")
        result = await result_of(executor, waiting, Deadline.after(3600))
        tasks.cancel_scope.cancel()
    assert result.status is Status.UNAVAILABLE
    assert_nothing_left(executor, sandbox)


async def test_calls_of_one_session_wait_for_each_other_without_a_slot(
    registry: Registry,
) -> None:
    kept = dataclasses.replace(registry.tools["run"], isolation="session")
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(Registry({"run": kept}), sandbox, slots=3)
    async with anyio.create_task_group() as tasks:
        for number, session in enumerate(("one", "one", "one", "two")):
            call = ToolCall(f"toolu_{number}", "run", b"{}", tenant="t", session=session)
            tasks.start_soon(result_of, executor, call)
        await until(lambda: len(sandbox.programs) == 2 and executor.waiting_calls == 2)
        assert {box.owner.session for box in sandbox.boxes} == {"one", "two"}
        assert executor.free_slots == 1
        tasks.cancel_scope.cancel()
    assert_nothing_left(executor, sandbox)
