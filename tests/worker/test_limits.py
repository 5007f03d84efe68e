"""Limits as three people write them: none can raise another's, and nonsense is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.ports import BoxLimits
from auxot_tools.types import CallLimits, Status
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.limits import DEFAULT_CEILINGS, LIMIT_NAMES, combine_limits
from auxot_tools.worker.registry import Registry, Tool
from tests.support.executor_calls import a_call, result_of, text_of
from tests.support.fake_sandbox import FakeSandbox

WHOLE = tuple(name for name in LIMIT_NAMES if name not in {"timeout_s", "cpus"})
# What a tool.json may say in the place of a limit's number, as JSON text -> what is said of it.
NONSENSE = {
    "0": "expected ",
    "-1": "expected ",
    "-1e300": "expected ",
    "true": "got a boolean",
    '"64"': "got a string",
    "null": "got null",
    "[64]": "got an array",
    "NaN": "NaN is not a JSON number",
    "Infinity": "Infinity is not a JSON number",
    "1e400": "outside the range of a double",
}


def load(tools_dir: Path, name: str, value_json: str) -> Registry:
    folder = tools_dir / "tool"
    folder.mkdir()
    declared = {"description": "x", "input_schema": {"type": "object"}, "command": ["true"]}
    text = json.dumps(declared)[:-1] + f', "limits": {{"{name}": {value_json}}}}}'
    (folder / "tool.json").write_text(text)
    return Registry.load([tools_dir])


@pytest.mark.parametrize("name", LIMIT_NAMES)
@pytest.mark.parametrize("value_json", NONSENSE)
def test_nonsense_in_a_tool_json_is_told_and_the_tool_not_offered(
    tmp_path: Path, name: str, value_json: str
) -> None:
    (bad,) = load(tmp_path, name, value_json).quarantined
    assert NONSENSE[value_json] in bad.reason
    if not value_json.startswith(("N", "I", "1e400")):
        assert f"/limits/{name}: " in bad.reason


@pytest.mark.parametrize("name", WHOLE)
def test_half_a_byte_or_process_is_told(tmp_path: Path, name: str) -> None:
    (bad,) = load(tmp_path, name, "100000000.5").quarantined
    assert f"/limits/{name}: expected" in bad.reason


@pytest.mark.parametrize("name", [name for name in LIMIT_NAMES if name != "timeout_s"])
@pytest.mark.parametrize("value_json", ["1e300", "9" * 300, "1e18"])
def test_a_huge_limit_of_a_tool_is_lowered_to_the_operators(
    tmp_path: Path, name: str, value_json: str
) -> None:
    limits = tool_of(load(tmp_path, name, value_json)).limits
    ceiling = getattr(DEFAULT_CEILINGS, name)
    assert getattr(limits, name) == ceiling
    assert type(getattr(limits, name)) is type(ceiling)


def test_a_time_limit_of_more_than_a_day_is_told(tmp_path: Path) -> None:
    (bad,) = load(tmp_path, "timeout_s", "86401").quarantined
    assert "/limits/timeout_s: expected at most 86400" in bad.reason


def test_a_whole_number_written_as_a_fraction_is_a_whole_number(tmp_path: Path) -> None:
    memory_bytes = tool_of(load(tmp_path, "memory_bytes", "67108864.0")).limits.memory_bytes
    assert (memory_bytes, type(memory_bytes)) == (64 * 2**20, int)


def test_a_grant_in_parts_of_a_second_stays_one_when_the_tool_s_limit_is_whole(
    tmp_path: Path,
) -> None:
    limits = tool_of(load(tmp_path, "timeout_s", "20")).limits
    assert combine_limits(limits, {"timeout_s": 0.5}).timeout_s == 0.5


def test_less_memory_than_the_supervisor_leaves_is_told(tmp_path: Path) -> None:
    (bad,) = load(tmp_path, "memory_bytes", "33554431").quarantined
    assert "/limits/memory_bytes: expected at least 33554432" in bad.reason


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ({"timeout_s": 0}, "more than 0 seconds"),
        ({"timeout_s": -0.0}, "more than 0 seconds"),
        ({"timeout_s": -1.5}, "more than 0 seconds"),
        ({"timeout_s": float("nan")}, "more than 0 seconds"),
        ({"timeout_s": float("inf")}, "more than 0 seconds"),
        ({"output_bytes": 0}, "more than 0 bytes"),
        ({"output_bytes": -5}, "more than 0 bytes"),
    ],
)
async def test_nonsense_granted_to_a_call_runs_nothing(
    registry: Registry, granted: dict[str, Any], said: str
) -> None:
    sandbox = FakeSandbox()
    result = await result_of(Executor(registry, sandbox), a_call(limits=CallLimits(**granted)))
    assert result.status is Status.INVALID_ARGUMENTS
    assert said in text_of(result)
    assert sandbox.boxes == []


@pytest.mark.anyio
@pytest.mark.parametrize("granted", [CallLimits(1e308, 2**64 - 1), CallLimits()])
async def test_more_than_the_tool_has_is_not_granted_to_a_call(
    registry: Registry, granted: CallLimits
) -> None:
    sandbox = FakeSandbox()
    await result_of(Executor(registry, sandbox), a_call(text='{"seconds":100}', limits=granted))
    limits = sandbox.boxes[0].spec.limits
    assert limits == registry.tools["run"].limits
    assert limits.output_bytes == BoxLimits().output_bytes


def tool_of(registry: Registry) -> Tool:
    assert registry.quarantined == ()
    return registry.tools["tool"]
