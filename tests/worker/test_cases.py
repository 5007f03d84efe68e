"""How the cases of a tool are read, played and judged."""

import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.types import (
    Artifact,
    CallEvent,
    CallHint,
    Deadline,
    Started,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from auxot_tools.worker.cases import Case, cases_path, play, read_cases

pytestmark = pytest.mark.anyio

RESULT = ToolResult(
    "toolu_1",
    Status.COMPLETED,
    ({"type": "text", "text": "forty-two"},),
    exit_code=0,
    artifacts=(Artifact("a.txt", "text/plain", b"x"),),
)
GOOD = Case("x", {}, exit_code=0, text="forty-two", artifacts=("a.txt",))


class Answering:
    """A dispatcher with one answer for every call, which remembers the calls."""

    def __init__(self, *events: CallEvent) -> None:
        self.calls: list[ToolCall] = []
        self._events = events

    async def list_tools(self) -> Sequence[ToolSpec]:
        return ()

    async def prepare(self, hint: CallHint) -> bool:
        return False

    async def execute(
        self,
        call: ToolCall,
        deadline: Deadline,
    ) -> AsyncGenerator[CallEvent, None]:
        self.calls.append(call)
        for event in self._events:
            yield event


def written(tmp_path: Path, declared: Any) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(declared))
    return path


def test_a_result_that_is_as_declared_has_no_faults() -> None:
    assert GOOD.faults(RESULT) == []
    assert Case("x", {}, contains=("forty", "two"), artifacts=("a.txt",)).faults(RESULT) == []


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (Case("x", {}, artifacts=("a.txt",), status=Status.TIMED_OUT), 'expected "timed_out"'),
        (Case("x", {}, artifacts=("a.txt",), exit_code=1), "exit code: expected 1, got 0"),
        (Case("x", {}, artifacts=("a.txt",), signal=9), "signal: expected 9, got null"),
        (Case("x", {}, artifacts=("a.txt",), text="42"), 'text: expected "42"'),
        (Case("x", {}, artifacts=("a.txt",), contains=("42",)), '"42" is not in it'),
        (Case("x", {}), 'artifacts: expected [], got ["a.txt"]'),
    ],
)
def test_what_is_otherwise_is_told_with_the_text(case: Case, said: str) -> None:
    fault, shown = case.faults(RESULT)
    assert said in fault
    assert shown == "the text was: forty-two"


def test_cases_are_read_with_what_they_leave_out(tmp_path: Path) -> None:
    declared = [
        {"name": "a", "input": {"n": 1}},
        {"name": "b", "before": [{"n": 0}], "input": {}, "status": "timed_out", "contains": ["x"]},
    ]
    assert read_cases(written(tmp_path, declared)) == (
        Case("a", {"n": 1}),
        Case("b", {}, before=({"n": 0},), status=Status.TIMED_OUT, contains=("x",)),
    )


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, "expected array"),
        ([], "at least 1 item"),
        ([{"name": "a"}], "/0: missing required field `input`"),
        ([{"name": "a", "input": {}, "txt": "x"}], "did you mean `text`?"),
        ([{"name": "a", "input": {}, "status": "complete"}], 'did you mean "completed"?'),
    ],
)
def test_cases_that_are_none_are_refused(tmp_path: Path, declared: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_cases(written(tmp_path, declared))
    assert said in str(raised.value)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_text("[")
    with pytest.raises(ConfigError, match="is not valid JSON"):
        read_cases(path)


def test_cases_lie_in_the_folder_or_beside_the_descriptor() -> None:
    assert cases_path(Path("tools/count")) == Path("tools/count/cases.json")
    assert cases_path(Path("tools/count.tool.json")) == Path("tools/count.cases.json")


async def test_calls_before_are_made_in_the_same_session_and_only_the_last_is_judged() -> None:
    answering = Answering(Started("toolu_1"), RESULT)
    case = Case("x", {"n": 2}, before=({"n": 1},), text="forty-two", artifacts=("a.txt",))
    assert await play(case, "count", answering) == []
    assert [call.input_json for call in answering.calls] == [b'{"n": 1}', b'{"n": 2}']
    assert len({call.session for call in answering.calls}) == 1
    await play(case, "count", answering)
    assert len({call.session for call in answering.calls}) == 2


async def test_a_call_without_a_result_is_a_fault() -> None:
    faults = await play(GOOD, "count", Answering(Started("toolu_1")))
    assert 'status: expected "completed", got "internal"' in faults
