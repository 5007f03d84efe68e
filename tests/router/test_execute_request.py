"""Bodies of execute: what is read, and what is said of everything else."""

import base64
import json
from typing import Any

import pytest

from auxot_tools.errors import RequestError
from auxot_tools.messages import exact_json
from auxot_tools.router.execute_request import ExecuteRequest, parse_execute
from auxot_tools.types import InputFile


def parsed(**members: Any) -> ExecuteRequest:
    return parse_execute(json.dumps({"tool": "t"} | members).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"tool": "t", "arguments": {"a": 1}},
        {"tool": "t", "input": {"a": 1}},
        {"tool_name": "t", "arguments": {"a": 1}, "job_id": "j"},
        {"tool": "t", "tool_name": "t", "arguments": {"a": 1}, "input": {"a": 1}},
        {"tool": None, "tool_name": "t", "arguments": None, "input": {"a": 1}},
    ],
)
def test_every_spelling_of_auxots_names_the_same_call(body: Any) -> None:
    assert parse_execute(json.dumps(body).encode()) == ExecuteRequest("t", b'{"a":1}')


@pytest.mark.parametrize("members", [{}, {"arguments": None}, {"input": {}}])
def test_a_call_without_arguments_has_an_empty_object(members: Any) -> None:
    assert parsed(**members) == ExecuteRequest("t", b"{}")


def test_arguments_come_through_without_loss() -> None:
    text = b'{"tool":"t","arguments":{"b":12345678901234567890123,"a":"\\ud800","c":[1.5,null]}}'
    got = exact_json.decode(parse_execute(text).input_json)
    assert got == {"b": 12345678901234567890123, "a": "\ud800", "c": [1.5, None]}
    assert list(got) == ["b", "a", "c"]


def test_everything_else_that_a_call_may_have_is_read() -> None:
    files = [{"name": "a b.txt", "data": base64.b64encode(b"\x00\xff").decode()}]
    got = parsed(
        session="s",
        timeout_seconds=1.5,
        idempotency_key="k",
        files=files,
        stream=True,
    )
    assert got == ExecuteRequest(
        *("t", b"{}", "s", 1.5, "k"), (InputFile("a b.txt", b"\x00\xff"),), stream=True
    )


FILE = {"name": "a", "data": ""}
WRONG: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "empty": (b"", "invalid JSON: "),
    "blank": (b" \n", "invalid JSON: "),
    "no JSON": (b"tool=t", "invalid JSON: "),
    "cut": (b'{"tool": "t', "invalid JSON: "),
    "two values": (b'{"tool": "t"}{}', "invalid JSON: something follows"),
    "no UTF-8": (b'{"tool": "\xff"}', "invalid JSON: not UTF-8"),
    "UTF-16": ('{"tool": "t"}'.encode("utf-16"), "invalid JSON: not UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"tool": "t"}', "invalid JSON: "),
    "a list": (b"[]", "invalid JSON: the request body must be an object"),
    "a text": (b'"t"', "invalid JSON: the request body must be an object"),
    "null": (b"null", "invalid JSON: the request body must be an object"),
    "NaN": (b'{"tool": "t", "timeout_seconds": NaN}', "invalid JSON: NaN"),
    "infinite": (b'{"tool": "t", "timeout_seconds": 1e999}', "invalid JSON: the number"),
    "long integer": (b'{"tool": "t", "a": ' + b"1" * 5000 + b"}", "invalid JSON: an integer"),
    "deep": (b'{"tool":"t","input":' + b'{"a":' * 300 + b"1" + b"}" * 301, "more than 250 levels"),
    "very deep": (b"[" * 100_000, "invalid JSON: "),
    "deep elsewhere": (b'{"tool":"t","x":' + b"[" * 400 + b"]" * 400 + b"}", "250 levels"),
    "no tool": (b"{}", "tool name is required"),
    "empty tool": ({"tool": ""}, "tool name is required"),
    "null tool": ({"tool": None}, "tool name is required"),
    "number as tool": ({"tool": 7}, "tool: "),
    "list as tool": ({"tool": ["t"]}, "tool: "),
    "object as tool_name": ({"tool": None, "tool_name": {}}, "tool: "),
    "two tools": ({"tool_name": "u"}, "tool, tool_name: "),
    "arguments as text": ({"arguments": "{}"}, "arguments: Input should be an object"),
    "arguments as list": ({"arguments": []}, "arguments: Input should be an object"),
    "arguments as number": ({"arguments": 0}, "arguments: Input should be an object"),
    "arguments as boolean": ({"input": False}, "arguments: Input should be an object"),
    "two arguments": ({"arguments": {}, "input": {"a": 1}}, "arguments, input: "),
    "true is not one": ({"arguments": {"a": 1}, "input": {"a": True}}, "arguments, input: "),
    "session as number": ({"session": 5}, "session: "),
    "session as object": ({"session": {"id": "x"}}, "session: "),
    "no time": ({"timeout_seconds": 0}, "timeout_seconds: "),
    "time before": ({"timeout_seconds": -1}, "timeout_seconds: "),
    "time as text": ({"timeout_seconds": "5"}, "timeout_seconds: "),
    "time as boolean": ({"timeout_seconds": True}, "timeout_seconds: "),
    "too much time": ({"timeout_seconds": 86_401}, "timeout_seconds: "),
    "endless time": ({"timeout_seconds": 10**400}, "timeout_seconds: "),
    "key as number": ({"idempotency_key": 1}, "idempotency_key: "),
    "long key": ({"idempotency_key": "k" * 201}, "idempotency_key: "),
    "half a character": ({"idempotency_key": "\ud800"}, "idempotency_key: "),
    "stream as text": ({"stream": "true"}, "stream: "),
    "stream as number": ({"stream": 1}, "stream: "),
    "files as object": ({"files": {}}, "files: "),
    "too many files": ({"files": [FILE] * 257}, "files: "),
    "file as text": ({"files": ["a"]}, "files.0: "),
    "no name": ({"files": [FILE, {"data": ""}]}, "files.1.name: "),
    "name as number": ({"files": [FILE | {"name": 1}]}, "files.0.name: "),
    "empty name": ({"files": [FILE | {"name": ""}]}, "files.0.name: "),
    "folder above": ({"files": [FILE | {"name": ".."}]}, "files.0.name: "),
    "path": ({"files": [FILE | {"name": "a/b"}]}, "files.0.name: "),
    "NUL": ({"files": [FILE | {"name": "a\0"}]}, "files.0.name: "),
    "half a name": ({"files": [FILE | {"name": "\udfff"}]}, "files.0.name: "),
    "long name": ({"files": [FILE | {"name": "ä" * 128}]}, "files.0.name: "),
    "no data": ({"files": [{"name": "a"}]}, "files.0.data: "),
    "data as list": ({"files": [FILE | {"data": [0]}]}, "files.0.data: "),
    "no base64": ({"files": [FILE | {"data": "?"}]}, "files.0.data: "),
    "cut base64": ({"files": [FILE | {"data": "YQ"}]}, "files.0.data: "),
    "spaced base64": ({"files": [FILE | {"data": "YQ==\n"}]}, "files.0.data: "),
    "other letters": ({"files": [FILE | {"data": "ÄÄÄÄ"}]}, "files.0.data: "),
}


def body_of(wrong: bytes | dict[str, Any]) -> bytes:
    return wrong if isinstance(wrong, bytes) else json.dumps({"tool": "t"} | wrong).encode()


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_told_by_the_member_that_is_wrong(
    wrong: bytes | dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError) as caught:
        parse_execute(body_of(wrong))
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)
