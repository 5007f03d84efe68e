"""A call from beginning to end, on a sandbox in memory: what comes back, what is left behind."""

import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    EngineUnavailable,
    ImageMissing,
    Unavailable,
)
from auxot_tools.ports import (
    BoxOwner,
    BoxSpec,
    KeptOutput,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.types import (
    CallHint,
    CallLimits,
    Deadline,
    InputFile,
    OutputChunk,
    Started,
    Status,
    ToolResult,
)
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.executor_calls import (
    a_call,
    assert_nothing_left,
    events_of,
    result_of,
    text_of,
)
from tests.support.fake_sandbox import FakeBox, FakeSandbox, Script, printing

pytestmark = pytest.mark.anyio

SECRET = "a-word-that-no-log-may-hold"


async def test_a_call_gives_started_output_and_one_result(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("42\n"))
    executor = Executor(registry, sandbox, image="picture")
    call = a_call(text='{"code":"x"}', files=(InputFile("a.txt", b"1"),), tenant="t", session="s")
    started, output, result = await events_of(executor, call)
    assert started == Started("toolu_1", "fake-0", "call")
    assert output == OutputChunk("stdout", b"42\n")
    assert isinstance(result, ToolResult)
    assert (result.status, text_of(result)) == (Status.COMPLETED, "42")
    assert (result.box_id, result.isolation, result.exit_code) == ("fake-0", "call", 0)
    box = sandbox.boxes[0]
    assert (box.spec.image, box.owner) == ("picture", BoxOwner("t", "s"))
    assert box.program == Program(
        ("python3", "/tool/main.py"),
        b'{"code":"x"}',
        (InputFile("main.py", b"pass\n"),),
        (InputFile("a.txt", b"1"),),
    )
    assert_nothing_left(executor, sandbox)


async def test_an_empty_input_reaches_the_program_as_an_empty_object(registry: Registry) -> None:
    sandbox = FakeSandbox()
    await result_of(Executor(registry, sandbox), a_call(text=""))
    assert sandbox.programs[0].stdin == b"{}"


async def test_an_unknown_tool_is_answered_with_the_nearest_name(registry: Registry) -> None:
    executor = Executor(registry, FakeSandbox())
    result = await result_of(executor, a_call("rum"))
    assert result.status is Status.UNKNOWN_TOOL
    assert text_of(result) == (
        'There is no tool named "rum" here. Did you mean `run`? Tools here: alone, run.'
    )


@pytest.mark.parametrize("size", [1, 100_000])
async def test_an_input_that_does_not_fit_runs_nothing(registry: Registry, size: int) -> None:
    sandbox = FakeSandbox()
    text = json.dumps({"cod": "x" * size})
    result = await result_of(Executor(registry, sandbox), a_call(text=text))
    assert result.status is Status.INVALID_ARGUMENTS
    assert "unknown field `cod`; did you mean `code`?" in text_of(result)
    assert sandbox.boxes == []


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"limits": CallLimits(timeout_s=0)}, "more than 0 seconds"),
        ({"limits": CallLimits(timeout_s=float("nan"))}, "more than 0 seconds"),
        ({"limits": CallLimits(output_bytes=0)}, "more than 0 bytes"),
        ({"files": (InputFile("../x", b""),)}, "must be a plain name"),
        ({"files": (InputFile("x", b""), InputFile("x", b""))}, "the same name"),
    ],
)
async def test_a_call_that_cannot_be_run_as_sent_says_why(
    registry: Registry, rest: dict[str, Any], said: str
) -> None:
    result = await result_of(Executor(registry, FakeSandbox()), a_call(**rest))
    assert result.status is Status.INVALID_ARGUMENTS
    assert said in text_of(result)


@pytest.mark.parametrize(
    ("text", "granted_s", "expected_s"),
    [("{}", None, 20), ('{"seconds":50}', None, 50), ('{"seconds":500}', None, 100), ("{}", 3, 3)],
)
async def test_the_smallest_of_all_time_limits_holds(
    registry: Registry, text: str, granted_s: float | None, expected_s: float
) -> None:
    sandbox = FakeSandbox()
    call = a_call(text=text, limits=CallLimits(granted_s, 2048))
    await result_of(Executor(registry, sandbox), call)
    assert sandbox.boxes[0].spec.limits.timeout_s == expected_s
    assert sandbox.boxes[0].spec.limits.output_bytes == 2048


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImageMissing("docker text"), "name another (`sandbox.image`)"),
        (EngineUnavailable("docker text"), "does not answer"),
        (DeadlineExceeded("docker text"), "within the time given"),
        (Unavailable("docker text"), "not available now"),
    ],
)
async def test_a_sandbox_that_cannot_be_had_is_told_in_our_words(
    registry: Registry, error: AuxotError, said: str
) -> None:
    sandbox = FakeSandbox(claim_error=error)
    executor = Executor(registry, sandbox)
    result = await result_of(executor, a_call())
    assert result.status is Status.UNAVAILABLE
    assert said in text_of(result)
    assert "docker text" not in text_of(result)
    assert_nothing_left(executor, sandbox)


async def test_a_sandbox_lost_while_running_is_told_after_started(registry: Registry) -> None:
    script = Script((("stdout", b"x"),), run_error=Unavailable("docker text"))
    sandbox = FakeSandbox(lambda _spec, _program: script)
    executor = Executor(registry, sandbox)
    started, _output, result = await events_of(executor, a_call())
    assert isinstance(started, Started)
    assert isinstance(result, ToolResult)
    assert result.status is Status.UNAVAILABLE
    assert "docker text" not in text_of(result)
    assert_nothing_left(executor, sandbox)


async def test_a_program_without_an_outcome_still_gets_a_result(registry: Registry) -> None:
    class Silent(FakeBox):
        async def run(
            self, program: Program, deadline: Deadline
        ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
            nothing: tuple[SandboxOutcome, ...] = ()
            for outcome in nothing:
                yield outcome

    class Sandbox(FakeSandbox):
        async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> FakeBox:
            return Silent(self, spec, owner, "silent")

    result = await result_of(Executor(registry, Sandbox()), a_call())
    assert result.status is Status.UNAVAILABLE


async def test_a_mistake_of_our_own_is_logged_with_an_id_and_without_its_text(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_spec: BoxSpec, _program: Program) -> Script:
        raise KeyError(SECRET)

    sandbox = FakeSandbox(broken)
    executor = Executor(registry, sandbox)
    with caplog.at_level(logging.DEBUG):
        result = await result_of(executor, a_call(text=json.dumps({"code": SECRET})))
    assert result.status is Status.INTERNAL
    error_id = text_of(result).split("(error ")[1].split(")")[0]
    assert f"error {error_id}: KeyError" in caplog.text
    assert SECRET not in caplog.text + text_of(result)
    assert_nothing_left(executor, sandbox)


async def test_no_log_line_holds_arguments_or_output(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing(SECRET))
    with caplog.at_level(logging.DEBUG):
        await result_of(Executor(registry, sandbox), a_call(text=json.dumps({"code": SECRET})))
        await result_of(Executor(registry, sandbox), a_call(text=json.dumps({"code": [SECRET]})))
    assert "completed" in caplog.text
    assert SECRET not in caplog.text


async def test_two_running_calls_may_have_the_same_id(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
    executor = Executor(registry, sandbox)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(result_of, executor, a_call())
        tasks.start_soon(result_of, executor, a_call())
    assert len(sandbox.programs) == 2


async def test_prepare_passes_the_hint_on_and_is_silent_about_unknown_tools(
    registry: Registry,
) -> None:
    sandbox = FakeSandbox()
    executor = Executor(registry, sandbox)
    await executor.prepare(CallHint("run", "t", "s"))
    await executor.prepare(CallHint("none"))
    assert [owner for _spec, owner in sandbox.prepared] == [BoxOwner("t", "s")]


async def test_a_stopped_program_keeps_its_output(registry: Registry) -> None:
    outcome = SandboxOutcome(
        signal=9, stopped=StopReason.OUTPUT_LIMIT, stdout=KeptOutput(b"a", b"b", 7)
    )
    sandbox = FakeSandbox(lambda _spec, _program: Script(outcome=outcome))
    result = await result_of(Executor(registry, sandbox), a_call())
    assert (result.status, result.omitted_bytes) == (Status.OUTPUT_LIMIT, 7)
    assert "a\n[7 bytes left out]\nb" in text_of(result)
