"""Requests are checked in Anthropic's wording; what we do not know passes."""

import json
from typing import Any

import pytest

from auxot_tools.errors import RequestError
from auxot_tools.messages.request import ThreadUnsupported, parse_request

GOOD: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "hi"}],
}
ABSENT = object()


def parse(**changes: Any) -> Any:
    body = {key: value for key, value in (GOOD | changes).items() if value is not ABSENT}
    return parse_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": ABSENT}, "messages: Field required"),
        ({"messages": None}, "messages: Input should be a valid list"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"messages": [1]}, "messages.0: Input should be an object"),
        ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
        (
            {"messages": [{"role": 1, "content": "x"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"system": 5}, "system: Input should be a valid list"),
        ({"system": ["x"]}, "system.0: Input should be an object"),
        (
            {"messages": [{"role": "user", "content": 3}]},
            "messages.0.content: Input should be a valid list",
        ),
        (
            {"messages": [{"role": "user", "content": [3]}]},
            "messages.0.content.0: Input should be an object",
        ),
        ({"model": ABSENT}, "model: Field required"),
        ({"model": 3}, "model: Input should be a valid string"),
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"max_tokens": ABSENT}, "max_tokens: Field required"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": 1.5}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 1.0}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"tools": {}}, "tools: Input should be a valid list"),
        ({"tools": [1]}, "tools.0: Input should be an object"),
        ({"tool_choice": "auto"}, "tool_choice: Input should be an object"),
        ({"thinking": True}, "thinking: Input should be an object"),
    ],
)  # fmt: skip
def test_a_wrong_member_is_named_with_what_it_should_be(changes: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(**changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  ",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"{}x",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b"[" * 10**6,
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(data)
    assert str(caught.value).startswith("The request body")


def test_zero_max_tokens_is_legal_for_it_primes_a_cache() -> None:
    assert parse(max_tokens=0).max_tokens == 0


def test_threads_are_refused_with_the_code_on_which_sdks_fall_back() -> None:
    with pytest.raises(ThreadUnsupported) as caught:
        parse(thread={"type": "create"})
    assert caught.value.error_code == "thread_unsupported_request"


def test_unknown_members_and_blocks_and_system_messages_pass() -> None:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": [{"odd": 1}]}]
    parsed = parse(messages=messages, context_management={"edits": []}, system=[{"type": "text"}])
    assert parsed.body["context_management"] == {"edits": []}
    assert parsed.messages == tuple(messages)


def test_the_thinking_budget_counts_only_when_thinking_is_enabled() -> None:
    assert parse(thinking={"type": "enabled", "budget_tokens": 2048}).thinking_budget_tokens == 2048
    assert parse(thinking={"type": "adaptive"}).thinking_budget_tokens == 0
    assert parse(thinking={"type": "enabled", "budget_tokens": "x"}).thinking_budget_tokens == 0
