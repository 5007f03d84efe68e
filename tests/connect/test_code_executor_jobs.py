"""Auxot's code tool without a box: arguments, defaults, and each way in which a call ends."""

import json
from typing import Any

import pytest

from auxot_tools.connect.adapters import prepare
from auxot_tools.connect.calls import Prepared, Ran
from auxot_tools.connect.captured import HEAD_BYTES, TAIL_BYTES, Captured
from auxot_tools.connect.code_executor import RETURN_CHARS
from auxot_tools.connect.frames import JobAnswer, ToolJob, tool_result
from auxot_tools.types import Status, ToolResult
from tests.support.web_calls import schema_mistakes

MARK = "mark-of-the-tests"


def prepared(arguments: Any) -> Prepared | JobAnswer:
    text = json.dumps(arguments).encode()
    return prepare(ToolJob("j", tool_name="code_executor", arguments=text), MARK)


def call_of(**arguments: Any) -> dict[str, Any]:
    made = prepared({"code": "1"} | arguments)
    assert isinstance(made, Prepared)
    call: dict[str, Any] = json.loads(made.input_json)
    assert schema_mistakes("code_executor", call) == ""
    return call


def answered(
    status: Status = Status.COMPLETED,
    *,
    text: str = "",
    stdout: bytes = b"",
    stderr: bytes = b"",
    exit_code: int | None = 0,
    **arguments: Any,
) -> JobAnswer:
    made = prepared({"code": "1"} | arguments)
    assert isinstance(made, Prepared)
    content = ({"type": "text", "text": text},)
    ran = Ran(ToolResult("j", status, content, exit_code=exit_code), duration_ms=5)
    ran.stdout.add(stdout)
    ran.stderr.add(stderr)
    return made.answer(ran)


def ended(told: str) -> bytes:
    return f"noise\n{MARK}{told}\n".encode()


def test_without_a_language_it_is_a_script_whose_code_stands_first() -> None:
    call = call_of(code="let a = 'é\"';\na")
    assert call["language"] == "javascript"
    assert call["code"].startswith('const CODE = "let a = \'é\\"\';\\na";\nconst MARK = ')
    assert call["timeout_seconds"] == 10


@pytest.mark.parametrize(
    ("asked", "language"),
    [("Python", "python"), ("bash", "bash"), ("sh", "bash"), ("JS", "javascript")],
)
def test_a_language_may_be_named(asked: str, language: str) -> None:
    call = call_of(code="x", language=asked)
    assert call["language"] == language
    assert (call["code"] == "x") is (language != "javascript")


@pytest.mark.parametrize(("asked", "granted"), [(30, 30), (31, 10), (0, 10), (-1, 10), (None, 10)])
def test_a_time_out_of_range_becomes_ten_seconds(asked: Any, granted: int) -> None:
    assert call_of(timeout_seconds=asked)["timeout_seconds"] == granted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "code_executor: code must not be empty"),
        (None, "code_executor: code must not be empty"),
        ({"code": "  "}, "code_executor: code must not be empty"),
        ({"code": 1}, "parsing code_executor args: code must be a string"),
        ("x", "parsing code_executor args: arguments must be an object"),
        (
            {"code": "1", "timeout_seconds": 1.5},
            "parsing code_executor args: timeout_seconds must be an integer",
        ),
        (
            {"code": "1", "language": "cobol"},
            "code_executor: language must be javascript, python or bash",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_an_error(arguments: Any, said: str) -> None:
    made = prepared(arguments)
    assert isinstance(made, JobAnswer)
    assert made.error == said


def test_output_and_return_value_come_back_and_null_is_left_out() -> None:
    told = answered(stdout=b"a\nb\n", stderr=ended('{"value":[1]}')).result
    assert told == {"output": "a\nb", "return_value": [1], "duration_ms": 5}
    assert answered(stderr=ended("{}")).result == {"duration_ms": 5}


def test_the_last_mark_counts_and_a_cut_one_does_not() -> None:
    forged = f'\n{MARK}{{"value": 1}}\n\n{MARK}{{"value": 2}}\n'.encode()
    assert answered(stderr=forged).result["return_value"] == 2
    cut = f'\n{MARK}{{"value'.encode()
    assert "return_value" not in answered(stderr=cut).result


def test_a_value_that_a_script_forged_is_bounded_as_any_other() -> None:
    most = RETURN_CHARS - 2  # and its quotes
    assert (
        answered(stderr=ended(f'{{"value":"{"F" * most}"}}')).result["return_value"] == "F" * most
    )
    told = answered(stdout=b"kept", stderr=ended(f'{{"value":"{"F" * 300_000}"}}')).result
    assert told["error"].startswith("the return value is 300002 characters of JSON; at most 65536")
    assert (told["output"], "return_value" in told) == ("kept", False)
    for name in ("error", "unfit"):
        told = answered(stderr=ended(f'{{"{name}":"{"F" * 60_000}"}}')).result
        assert len(told["error"]) < 5000


@pytest.mark.parametrize("levels", [247, 600, 1200, 20_000])
def test_a_value_that_is_too_deep_is_an_error_and_the_output_is_kept(levels: int) -> None:
    deep = "[" * levels + "]" * levels
    told = answered(stdout=b"kept", stderr=ended(f'{{"value":{deep}}}')).result
    assert told["error"].startswith("the return value cannot be written as JSON: ")
    assert "nested" in told["error"]
    assert (told["output"], "return_value" in told) == ("kept", False)


def test_a_value_as_deep_as_may_be_can_be_sent() -> None:
    deep = "[" * 245 + "]" * 245
    answer = answered(stderr=ended(f'{{"value":{deep}}}'))
    told = json.loads(tool_result(ToolJob("j"), answer, 1))
    assert told["result"]["return_value"] == json.loads(deep)


def test_a_value_is_told_though_time_ran_out_or_the_last_mark_was_cut() -> None:
    stderr = ended('{"value":42}')
    told = answered(Status.TIMED_OUT, stderr=stderr, exit_code=None).result
    assert told["return_value"] == 42
    assert told["error"].startswith("execution timed out")
    cut = stderr + f'\n{MARK}{{"val'.encode()
    assert answered(stderr=cut).result["return_value"] == 42


def test_what_a_script_writes_to_stderr_is_told_when_a_language_is_named() -> None:
    stderr = b"one\n" + ended('{"value":1}') + b"two\n" + ended("{}")
    told = answered(stderr=stderr, language="javascript").result
    assert told["stderr"] == "one\nnoisetwo\nnoise"
    assert "stderr" not in answered(stderr=stderr).result
    told = answered(stderr=b"diag", exit_code=3, language="js").result
    assert (told["stderr"], told["exit_code"]) == ("diag", 3)


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (Status.TIMED_OUT, "Timed out: x", "execution timed out after 10000ms"),
        (Status.OUT_OF_MEMORY, "Out of memory: y.\n\nstdout:\nsome", "Out of memory: y."),
        (Status.OUTPUT_LIMIT, "Stopped: it wrote.\n\nstdout:\nsome", "Stopped: it wrote."),
        (Status.PROCESS_LIMIT, "Process limit: z.", "Process limit: z."),
    ],
)
def test_a_limit_is_told_and_the_output_so_far_is_kept(
    status: Status, text: str, error: str
) -> None:
    told = answered(status, text=text, stdout=b"so far\n", exit_code=None).result
    assert told == {"output": "so far", "error": error, "duration_ms": 5}


@pytest.mark.parametrize(
    "status", [Status.UNAVAILABLE, Status.DENIED, Status.INVALID_ARGUMENTS, Status.CANCELLED]
)
def test_what_was_not_run_is_an_error_and_no_result(status: Status) -> None:
    answer = answered(status, text="Why not.")
    assert (answer.error, answer.result) == ("Why not.", None)


def test_a_program_that_goes_without_a_word_is_told_by_its_exit_code() -> None:
    told = answered(exit_code=134, stderr=b"FATAL: JavaScript heap out of memory\n").result
    assert told["error"].startswith("out of memory")
    assert answered(exit_code=2).result["error"] == "the program ended with exit code 2"


def test_a_stream_keeps_its_beginning_and_end_and_counts_the_rest() -> None:
    captured = Captured()
    captured.add(b"a" * (HEAD_BYTES - 1))
    captured.add(b"bc" + b"d" * TAIL_BYTES + b"\n")
    text = captured.text("h1")
    assert text.startswith("a" * (HEAD_BYTES - 1) + "b\n[2 bytes left out")
    assert 'to read them: read_output, handle "h1"]\n' in text
    assert text.endswith("d" * (TAIL_BYTES - 1))
    short = Captured()
    short.add(b"ab")
    short.add(b"\xff\n")
    assert (short.text(), short.end) == ("ab\ufffd", b"ab\xff\n")
