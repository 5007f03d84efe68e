"""Hosted tools behind the executor: same validation, policy, limits and results as programs."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Deadline, Started, Status, ToolResult
from auxot_tools.worker.executor import Equipment, Executor
from auxot_tools.worker.registry import Registry
from tests.support.executor_calls import a_call, assert_nothing_left, events_of, result_of, text_of
from tests.support.fake_sandbox import FakeSandbox

pytestmark = pytest.mark.anyio
SECRET = "sk-123456"


@dataclass
class Echo:
    """Answers with what it is told to."""

    text: str = "hello"
    error: Exception | None = None
    forever: bool = False
    calls: list[HostedCall] = field(default_factory=list)

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        if self.forever:
            await anyio.sleep(deadline.remaining_s() + 60)
        return HostedAnswer.of(self.text)


@pytest.fixture
def tools(tmp_path: Path) -> Registry:
    (tmp_path / "echo").mkdir()
    declared = {
        "description": "Echoes.",
        "input_schema": {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "additionalProperties": False,
        },
        "runs": "host",
        "limits": {"timeout_s": 0.2, "output_bytes": 1024},
    }
    (tmp_path / "echo" / "tool.json").write_text(json.dumps(declared))
    return Registry.load([tmp_path], hosted=["echo"])


def executor_of(tools: Registry, echo: Echo, store: OutputStore | None = None) -> Executor:
    equipment = Equipment(
        hosted={"echo": echo}, credentials=lambda _tool: {"KEY": SECRET}, outputs=store
    )
    return Executor(tools, FakeSandbox(), equipment)


async def test_a_hosted_call_has_its_start_and_result(tools: Registry) -> None:
    echo = Echo()
    executor = executor_of(tools, echo)
    call = a_call("echo", '{"n":1}', tenant="t", session="s", request_id="r")
    started, result = await events_of(executor, call)
    assert started == Started("toolu_1", "", "hosted")
    assert isinstance(result, ToolResult)
    assert (result.status, text_of(result), result.isolation) == (
        Status.COMPLETED,
        "hello",
        "hosted",
    )
    assert echo.calls == [HostedCall("toolu_1", {"n": 1}, "t", "s", "r", {"KEY": SECRET})]
    assert SECRET not in repr(echo.calls)
    assert_nothing_left(executor, FakeSandbox())


async def test_its_input_is_judged_by_its_schema(tools: Registry) -> None:
    echo = Echo()
    result = await result_of(executor_of(tools, echo), a_call("echo", '{"n":"x"}'))
    assert result.status is Status.INVALID_ARGUMENTS
    assert echo.calls == []


@pytest.mark.parametrize(
    ("echo", "status", "words"),
    [
        (Echo(forever=True), Status.TIMED_OUT, "no answer after 0.2 s"),
        (Echo(error=Unavailable("x")), Status.UNAVAILABLE, "not available now"),
        (Echo(error=ValueError(SECRET)), Status.INTERNAL, "error"),
    ],
    ids=["slow", "away", "broken"],
)
async def test_what_goes_wrong_is_a_result(
    tools: Registry, echo: Echo, status: Status, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = executor_of(tools, echo)
    result = await result_of(executor, a_call("echo"))
    assert (result.status, words in text_of(result)) == (status, True)
    assert SECRET not in caplog.text + text_of(result)
    assert executor.running_calls == 0


async def test_credentials_are_taken_out_of_the_answer(tools: Registry) -> None:
    result = await result_of(executor_of(tools, Echo(f"key={SECRET}!")), a_call("echo"))
    assert text_of(result) == "key=[credential KEY]!"


@pytest.mark.parametrize("text", ["", " \n"])
async def test_an_answer_without_words_is_told_as_such(tools: Registry, text: str) -> None:
    """The Messages API refuses blank text."""
    result = await result_of(executor_of(tools, Echo(text)), a_call("echo"))
    assert text_of(result) in {"(no output)", "(only whitespace: 1 characters)"}


async def test_a_long_text_is_cut_and_the_rest_can_be_read(tools: Registry) -> None:
    store = OutputStore("worker", 2**20, 60)
    whole = "".join(f"line {number}\n" for number in range(1000))
    call = a_call("echo", tenant="t")
    result = await result_of(executor_of(tools, Echo(whole), store), call)
    said = text_of(result)
    assert f'bytes left out; to read them: read_output, handle "{result.output_handle}"' in said
    assert result.omitted_bytes == len(whole) - 1024
    assert store.find("t", result.output_handle) == whole
    offset = int(said.split("offset ")[1].split("]")[0])
    assert said.startswith(whole[:offset])
    assert store.find("another", result.output_handle) is None


async def test_a_worker_that_stops_gives_the_call_up(tools: Registry) -> None:
    echo = Echo(forever=True)
    executor = executor_of(tools, echo)
    results = []

    async def run() -> None:
        results.append(await result_of(executor, a_call("echo")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await executor.drain(0)
    assert [one.status for one in results] == [Status.CANCELLED]
