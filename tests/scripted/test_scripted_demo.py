"""The demo upstream: real tool calls by fixed rules, and no pretence."""

from typing import Any

import pytest

from auxot_tools.scripted import (
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
    demo_model,
    demo_script,
)
from auxot_tools.scripted.demo import INTRODUCTION, CodeRequest, code_requests

TOOLS = [{"name": "other"}, {"name": "code_executor", "input_schema": {"type": "object"}}]


def ask(content: Any, **fields: Any) -> Turn:
    """The demo's turn after one user message; ``content`` may be a whole list of messages."""
    is_history = isinstance(content, list) and content and "role" in content[0]
    messages = content if is_history else [{"role": "user", "content": content}]
    body = {"messages": messages, "tools": TOOLS, "max_tokens": 1000, **fields}
    return demo_script()(ScriptedRequest(body=body, number=0))


def text_of(turn: Turn) -> str:
    return "".join(block.text for block in turn.blocks if isinstance(block, TextBlock))


def calls_of(turn: Turn) -> list[ToolUseBlock]:
    return [block for block in turn.blocks if isinstance(block, ToolUseBlock)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run this python: print(6*7)", [("python", "print(6*7)")]),
        ("Please RUN THIS Python code: `print(1)`", [("python", "print(1)")]),
        (
            "run this python: print(1)\nrun this bash: ls -la\nrun this js: f()\nThanks!",
            [("python", "print(1)"), ("bash", "ls -la"), ("javascript", "f()")],
        ),
        (
            "run this python:\n```py\nimport os\n\nprint(1)\n```\nand run this bash:\n```\nls\n```",
            [("python", "import os\n\nprint(1)"), ("bash", "ls")],
        ),
        ("run this node: ```f()``` please", [("javascript", "f()")]),
        (
            "run this python: for i in range(3):\n    print(i)\nok?",
            [("python", "for i in range(3):\n    print(i)")],
        ),
        (
            "run this python:\n\nimport math\nprint(math.pi)\n",
            [("python", "import math\nprint(math.pi)")],
        ),
        (
            "run this bash:\n```\necho 'run this python: x'\n```",
            [("bash", "echo 'run this python: x'")],
        ),
        ("run this python:\n```python\nprint(1)", [("python", "print(1)")]),
        ("run this python:   ", []),
        ("run this ruby: puts 1", []),
        ("how are you?", []),
    ],
)
def test_code_is_found_after_the_phrase(text: str, expected: list[tuple[str, str]]) -> None:
    assert code_requests(text) == tuple(CodeRequest(*item) for item in expected)


def test_code_becomes_parallel_calls_and_the_text_says_that_no_model_speaks() -> None:
    turn = ask("run this python: print(1)\nrun this bash: ls")
    assert turn.stop_reason == "tool_use"
    assert "I am no language model" in text_of(turn)
    assert [call.input for call in calls_of(turn)] == [
        {"language": "python", "code": "print(1)"},
        {"language": "bash", "code": "ls"},
    ]
    assert {call.name for call in calls_of(turn)} == {"code_executor"}


def test_ids_are_the_same_for_the_same_conversation_and_never_twice_in_one() -> None:
    first = calls_of(ask("run this python: x\nrun this python: x"))
    assert first == calls_of(ask("run this python: x\nrun this python: x"))
    history = [
        {"role": "user", "content": "run this python: x\nrun this python: x"},
        {"role": "assistant", "content": [{"type": "text", "text": "done"}]},
        {"role": "user", "content": "run this python: x"},
    ]
    later = calls_of(ask(history))
    assert len({call.id for call in [*first, *later]}) == 3
    assert all(call.id.startswith("toolu_") for call in later)


def test_without_code_it_explains_itself_with_the_phrase_to_try() -> None:
    turn = ask("hello")
    assert turn.stop_reason == "end_turn"
    assert text_of(turn) == INTRODUCTION
    assert code_requests(INTRODUCTION) == (CodeRequest("python", "print(6 * 7)"),)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tools": []}, "code_executor is not offered"),
        ({"tools": [{"name": "other"}]}, "code_executor is not offered"),
        ({"tool_choice": {"type": "none"}}, "tool_choice is none"),
        ({"tool_choice": {"type": "tool", "name": "other"}}, "tool_choice names another tool"),
    ],
)
def test_it_says_why_it_makes_no_call(fields: dict[str, Any], words: str) -> None:
    turn = ask("run this python: print(1)", **fields)
    assert calls_of(turn) == []
    assert turn.stop_reason == "end_turn"
    assert words in text_of(turn)


def test_one_call_at_a_time_when_parallel_calls_are_off() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    turn = ask("run this python: 1\nrun this python: 2", tool_choice=choice)
    assert [call.input["code"] for call in calls_of(turn)] == ["1"]


def test_results_are_read_back_quoted_with_those_that_failed() -> None:
    history = [
        {"role": "user", "content": "run this python: print(1)"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "code_executor", "input": {}},
                {"type": "tool_use", "id": "b", "name": "mine", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [{"type": "text", "text": "1\n2"}, {"type": "image", "source": {}}],
                },
                {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": True},
                {"type": "tool_result", "tool_use_id": "c"},
            ],
        },
    ]
    turn = ask(history)
    assert turn.stop_reason == "end_turn"
    assert text_of(turn) == (
        "Call 1 (code_executor) answered:\n> 1\n> 2\n> [image]\n\n"
        "Call 2 (mine) failed and said:\n> no\n\n"
        "Call 3 (a tool) answered:\n> (nothing)\n\n"
        "1 of 3 tool results failed."
    )


def test_a_long_result_is_quoted_in_part() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": "x" * 5000}
    assert "[1000 characters left out]" in text_of(ask([{"role": "user", "content": [result]}]))


def test_max_tokens_cuts_text_and_input_as_a_model_does() -> None:
    cut = ask("hello", max_tokens=3)
    assert (text_of(cut), cut.stop_reason) == ("I am the", "max_tokens")
    words = len(text_of(ask("run this python: a = 1")).split())
    turn = ask("run this python: a = 1", max_tokens=words + 2)
    (call,) = calls_of(turn)
    assert (call.raw_input, turn.stop_reason) == ('{"language": "python",', "max_tokens")
    assert ask("hello", max_tokens=0).blocks == ()
    exact = len(INTRODUCTION.split())
    assert ask("hello", max_tokens=exact).stop_reason == "end_turn"


def test_the_last_user_message_counts_even_when_another_role_follows() -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "run this bash: ls"}]},
        {"role": "system", "content": "be kind"},
    ]
    assert len(calls_of(ask(history))) == 1


@pytest.mark.parametrize(
    "messages", [None, "x", [], [1], [{"role": "user"}], [{"role": "user", "content": [3, None]}]]
)
def test_a_strange_request_gets_the_explanation(messages: Any) -> None:
    request = ScriptedRequest(body={"messages": messages, "tools": "x"}, number=0)
    assert text_of(demo_script()(request)) == INTRODUCTION


def test_it_streams_in_small_pieces_with_small_pauses() -> None:
    assert demo_script()(ScriptedRequest(body={}, number=0)).delta_delay_s > 0
    assert demo_script(delta_delay_s=0)(ScriptedRequest(body={}, number=0)).delta_delay_s == 0


@pytest.mark.anyio
async def test_it_keeps_nothing_of_what_people_ask() -> None:
    model = demo_model(delta_delay_s=0)
    async with model.send(b'{"messages": []}', {"anthropic-beta": "x"}) as response:
        assert INTRODUCTION.encode() in b"".join([chunk async for chunk in response.chunks()])
    assert (model.received, model.requests, model.request_headers) == (1, [], [])
