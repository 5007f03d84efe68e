"""What is said of a result: statuses, bodies, and that nothing of it is lost."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from auxot_tools.messages import exact_json
from auxot_tools.router.execute_answer import (
    MAX_MESSAGE_CHARS,
    ExecuteAnswer,
    answer_of,
    json_or_text,
    payload_bytes,
)
from auxot_tools.types import Artifact, Status, ToolResult, text_result

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}


def told(result: ToolResult, *, has_started: bool = True) -> ExecuteAnswer:
    return answer_of("t", result, "req_1", has_started=has_started)


def said(text: str, status: Status = Status.COMPLETED) -> ToolResult:
    return text_result("toolu_1", status, text)


def test_a_result_comes_whole() -> None:
    result = ToolResult(
        tool_use_id="toolu_1",
        status=Status.COMPLETED,
        content=({"type": "text", "text": "hello"}, IMAGE),
        exit_code=3,
        omitted_bytes=7,
        isolation="call",
        box_id="box",
        duration_s=1.2344,
        artifacts=(Artifact("a.bin", "application/octet-stream", b"\x00\xff"),),
        output_handle="h1",
    )
    answer = told(result)
    assert (answer.status, answer.headers) == (200, {})
    data = base64.b64encode(b"\x00\xff").decode()
    assert answer.body == {
        "tool": "t",
        "result": "hello",
        "content": [{"type": "text", "text": "hello"}, IMAGE],
        "is_error": False,
        "status": "completed",
        "exit_code": 3,
        "output_handle": "h1",
        "omitted_bytes": 7,
        "isolation": "call",
        "artifacts": [
            {"name": "a.bin", "media_type": "application/octet-stream", "data": data},
        ],
        "tool_use_id": "toolu_1",
        "duration_ms": 1234,
    }
    assert payload_bytes(result) == len("hello") + len("QUJD") + 2


def test_what_does_not_apply_is_not_there() -> None:
    assert set(told(said("x")).body) == {
        *("tool", "result", "content", "is_error", "status"),
        *("artifacts", "tool_use_id", "duration_ms"),
    }
    assert told(replace(said("x"), signal=9)).body["signal"] == 9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null]}\n', {"a": [1, 2.5, None]}),
        (" 42 ", 42),
        ("true", True),
        ('"x"', "x"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("", ""),
        ("hello", "hello"),
        ('{"a": 1', '{"a": 1'),
        ("{} trailing", "{} trailing"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("\ud800", "\ud800"),
    ],
)
def test_a_text_that_is_json_as_a_whole_is_its_value(text: str, value: Any) -> None:
    assert json_or_text(text) == value
    assert told(said(text)).body["result"] == value
    assert exact_json.decode(exact_json.encode(told(said(text)).body))["result"] == value


@pytest.mark.parametrize("levels", [202, 260, 900, 100_000])
def test_json_that_is_nested_too_deeply_to_be_carried_stays_text(levels: int) -> None:
    text = "[" * levels + "]" * levels
    body = told(said(text)).body
    assert body["result"] == text
    assert exact_json.encode(body)


def test_several_texts_are_lines_and_other_blocks_are_only_in_the_content() -> None:
    blocks: tuple[Any, ...] = ({"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"})
    body = told(ToolResult("toolu_1", Status.COMPLETED, blocks)).body
    assert (body["result"], body["content"]) == ("a\nb", list(blocks))
    assert told(ToolResult("toolu_1", Status.COMPLETED, (IMAGE,))).body["result"] == ""


FAILURES = {
    Status.INVALID_ARGUMENTS: (400, "invalid_request_error", "no"),
    Status.DENIED: (403, "permission_error", "no"),
    Status.UNKNOWN_TOOL: (
        *(404, "not_found_error"),
        'no tools worker connected that supports "t"',
    ),
    Status.UNAVAILABLE: (503, "service_unavailable", "no"),
    Status.TIMED_OUT: (500, "tool_error", "tool execution error: no"),
    Status.OUT_OF_MEMORY: (500, "tool_error", "tool execution error: no"),
    Status.PROCESS_LIMIT: (500, "tool_error", "tool execution error: no"),
    Status.OUTPUT_LIMIT: (500, "tool_error", "tool execution error: no"),
    Status.CANCELLED: (500, "tool_error", "tool execution error: no"),
    Status.INTERNAL: (500, "tool_error", "tool execution error: no"),
}


def test_every_status_but_completed_is_a_failure_with_an_answer_of_its_own() -> None:
    assert set(FAILURES) == set(Status) - {Status.COMPLETED}


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_is_an_error_answer_that_still_holds_the_result(status: Status) -> None:
    http, kind, message = FAILURES[status]
    answer = told(said("no", status))
    assert answer.status == http
    assert answer.headers == {"x-should-retry": "false"}
    body = dict(answer.body)
    assert (body.pop("type"), body.pop("request_id")) == ("error", "req_1")
    assert body.pop("error") == {"type": kind, "message": message}
    whole = {"tool": "t", "result": "no", "content": [{"type": "text", "text": "no"}]}
    ending = {"artifacts": [], "tool_use_id": "toolu_1", "duration_ms": 0}
    assert body == whole | {"is_error": True, "status": str(status)} | ending


def test_only_a_call_that_had_not_started_may_be_sent_again() -> None:
    gone = said("no", Status.UNAVAILABLE)
    assert told(gone, has_started=False).headers == {"retry-after": "1"}
    assert told(gone, has_started=True).headers == {"x-should-retry": "false"}


def test_a_long_text_is_cut_in_the_message_and_whole_in_the_content() -> None:
    text = "x" * 10_000
    body = told(said(text, Status.TIMED_OUT)).body
    assert len(body["error"]["message"]) == MAX_MESSAGE_CHARS + 1
    assert body["content"][0]["text"] == text
