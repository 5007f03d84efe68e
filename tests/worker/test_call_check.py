"""What of a call is not its input is judged in plain sentences."""

import pytest

from auxot_tools.types import CallLimits, InputFile, ToolCall
from auxot_tools.worker.call_check import call_fault, unknown_tool


def fault(limits: CallLimits = CallLimits(), *names: str) -> str:  # noqa: B008 - it is frozen
    files = tuple(InputFile(name, b"") for name in names)
    return call_fault(ToolCall("toolu_1", "run", b"{}", limits=limits, files=files))


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(timeout_s: float) -> None:
    assert "more than 0 seconds" in fault(CallLimits(timeout_s=timeout_s))


def test_no_output_at_all_is_refused() -> None:
    assert "more than 0 bytes" in fault(CallLimits(output_bytes=0))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "x" * 256])
def test_a_file_name_that_is_not_plain_is_refused(name: str) -> None:
    assert "plain name" in fault(CallLimits(), name)


def test_two_files_of_one_name_are_refused_and_good_ones_are_not() -> None:
    assert "same name" in fault(CallLimits(), "a", "a")
    assert fault(CallLimits(1.0, 1), "a", "b", ".stdin") == ""


def test_an_unknown_tool_is_answered_with_those_that_are_here_up_to_a_bound() -> None:
    assert "Did you mean `code`? Tools here: code." in unknown_tool("cod", ["code"])
    assert unknown_tool("x", []).endswith("Tools here: none.")
    assert unknown_tool("x", [f"tool-{n}" for n in range(15)]).endswith(" and 3 more.")
