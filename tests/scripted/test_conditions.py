"""What a request must be like: each condition, met and not."""

from typing import Any

import pytest

from auxot_tools.scripted import RequestMatch
from auxot_tools.scripted.conditions import unmet

BODY: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}],
    "tools": [{"name": "add"}, {"type": "web_search_1", "name": "web_search"}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": "What is the weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}},
                {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "41"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no clock"}, {"type": "image"}],
                },
                {"type": "text", "text": "Please go on"},
            ],
        },
    ],
}

NO_RESULT = (
    'tool_result.0: no tool_result is like this (that of toolu_1: {}; it is "41"; '
    'that of toolu_2: {}; it is "no clock\\n[image]")'
)
# condition -> what is told when it is not met; "" when it is
CASES: list[tuple[dict[str, Any], str]] = [
    ({"user_text": "go on"}, ""),
    ({"user_text": "weather"}, 'user_text: "weather" is not in it; it is "Please go on"'),
    ({"user_text": {"lacks": "go"}}, 'user_text: "go" is in it; it is "Please go on"'),
    ({"user_text": {"matches": "^Please .o"}}, ""),
    (
        {"user_text": {"matches": "^go"}},
        'user_text: "^go" is not found in it; it is "Please go on"',
    ),
    ({"user_text": {"equals": "Please"}}, 'user_text: it is not "Please"; it is "Please go on"'),
    ({"system": "brief"}, ""),
    ({"model": {"equals": "claude-x"}}, ""),
    ({"model": "gpt"}, 'model: "gpt" is not in it; it is "claude-x"'),
    ({"round": 2}, ""),
    ({"round": 1}, "round: it is 2"),
    ({"stream": False}, ""),
    ({"stream": True}, "stream: it is false"),
    ({"tool_offered": ["add", "web_search"]}, ""),
    (
        {"tool_offered": ["add", "sub"]},
        "tool_offered.1: `sub` is not offered; offered: add, web_search",
    ),
    ({"tool_results": 2}, ""),
    ({"tool_results": 0}, "tool_results: there are 2 in the last message"),
    ({"tool_result": "41"}, ""),
    ({"tool_result": {"id": "toolu_2", "is_error": True, "contains": ["no", "[image]"]}}, ""),
    ({"tool_result": [{"name": "add", "equals": "41"}, {"name": "now"}]}, ""),
    (
        {"tool_result": {"name": "add", "contains": "42"}},
        NO_RESULT.format('"42" is not in it', "it is of now"),
    ),
    (
        {"tool_result": {"id": "toolu_2", "is_error": False}},
        NO_RESULT.format("it has another id", "it is an error"),
    ),
    ({"body": {"max_tokens": 100, "tool_choice": {"type": "auto"}}}, ""),
    ({"body": {"max_tokens": 100.0}}, 'body.max_tokens: it is "100"'),
    ({"body": {"top_k": 1}}, "body.top_k: it is not there"),
    (
        {"body": {"tool_choice": {"type": "any"}}},
        'body.tool_choice: it is "{\\"type\\": \\"auto\\", \\"disable_parallel_tool_use\\": true}"',
    ),
]


@pytest.mark.parametrize(("condition", "told"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_condition_holds_or_says_what_came_instead(condition: dict[str, Any], told: str) -> None:
    found = unmet(RequestMatch.model_validate(condition), BODY)
    texts = [f"{'.'.join(map(str, one.path))}: {one.text}" for one in found]
    assert texts == ([told] if told else [])


def test_all_that_is_not_met_is_told() -> None:
    wanted = RequestMatch.model_validate({"round": 9, "stream": True, "tool_results": 1})
    assert [one.path for one in unmet(wanted, BODY)] == [("tool_results",), ("round",), ("stream",)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": 5, "tools": "x", "system": 1, "model": None},
        {"messages": [1, {"role": "user"}, {"role": "assistant", "content": [1, {"type": 3}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
    ],
    ids=repr,
)
def test_any_object_can_be_judged(body: dict[str, Any]) -> None:
    everything = {
        "user_text": {"matches": "x"},
        "system": "x",
        "model": "x",
        "tool_result": {"name": "x"},
        "tool_results": 7,
        "round": 9,
        "tool_offered": "x",
        "stream": True,
        "body": {"a": {"b": 1}},
    }
    assert len(unmet(RequestMatch.model_validate(everything), body)) == len(everything)
