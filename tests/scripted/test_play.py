"""A scenario being played: whose turn it is, what is refused, and what is said at the end."""

from typing import Any

import pytest

from auxot_tools.scripted import (
    Scenario,
    ScenarioPlay,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.play import MAX_TOLD, TURN_HEADER, made_for


def asked(text: str = "", answers: int = 0, number: int = 0) -> ScriptedRequest:
    said = [{"role": "assistant", "content": "a"}, {"role": "user", "content": text}] * answers
    messages = [{"role": "user", "content": text}, *said]
    return ScriptedRequest(body={"messages": messages}, number=number)


def scenario(*turns: Any, **more: Any) -> Scenario:
    return Scenario.model_validate({"turns": list(turns), **more})


def text_of(turn: Turn) -> str:
    (block,) = turn.blocks
    assert isinstance(block, TextBlock)
    return block.text


def test_a_turn_with_a_condition_answers_whenever_it_holds_and_takes_no_others_place() -> None:
    play = ScenarioPlay(
        scenario("first", {"when": {"user_text": "time"}, "text": "noon"}, "second")
    )
    texts = ("a", "what time", "the time", "b")
    assert [text_of(play(asked(text))) for text in texts] == ["first", "noon", "noon", "second"]
    assert play.problems() == []


def test_the_first_condition_that_holds_wins() -> None:
    play = ScenarioPlay(
        scenario(
            {"when": {"user_text": "a"}, "text": "one"}, {"when": {"user_text": "b"}, "text": "two"}
        )
    )
    assert [text_of(play(asked(text))) for text in ("ab", "b")] == ["one", "two"]
    with pytest.raises(LookupError, match="is for a request like this"):
        play(asked("c"))
    assert play.problems() == ["the scenario: No turn of the scenario is for a request like this."]


def test_conditions_and_rounds_go_together() -> None:
    play = ScenarioPlay(
        scenario({"when": {"user_text": "x"}, "text": "x"}, "one", "two", select="by_round")
    )
    requests = (asked("", 1), asked("x", 1), asked("", 0), asked("", 1))
    assert [text_of(play(one)) for one in requests] == ["two", "x", "one", "two"]


def test_a_request_that_is_not_as_expected_gets_a_400_that_says_why() -> None:
    told: list[str] = []
    play = ScenarioPlay(
        scenario("a", {"expect": {"user_text": "please", "round": 2}, "text": "b"}),
        on_failure=told.append,
    )
    play(asked())
    fault = play(asked("go")).faults.http
    assert fault is not None
    assert (fault.status, fault.error_type) == (400, "invalid_request_error")
    reasons = (
        'turns[1].expect.user_text: "please" is not in it; it is "go". '
        "turns[1].expect.round: it is 1."
    )
    assert fault.message == f"This request is not as the scenario expects it. {reasons}"
    assert told == play.problems() == [reasons]
    assert (play.failed, play.played) == (1, 2)


def test_turns_that_nobody_asked_for_are_told_unless_they_are_optional() -> None:
    play = ScenarioPlay(scenario("a", "b", {"text": "c", "optional": True}))
    play(asked())
    assert play.problems() == ["turns[1]: this turn was not played."]
    play(asked())
    assert play.problems() == []


def test_a_request_after_the_last_turn_is_a_problem() -> None:
    play = ScenarioPlay(scenario("a"))
    play(asked())
    with pytest.raises(LookupError):
        play(asked())
    assert play.problems() == ["the scenario: The scenario has 1 turn; turn 2 was asked for."]


def test_failures_are_kept_up_to_a_bound_and_all_counted() -> None:
    play = ScenarioPlay(scenario({"expect": {"round": 2}, "text": "a"}, after_last="repeat"))
    for _ in range(MAX_TOLD + 5):
        play(asked())
    assert len(play.failures) == MAX_TOLD
    assert play.failed == MAX_TOLD + 5


def test_the_turn_is_told_in_a_header_when_it_is_wanted() -> None:
    play = ScenarioPlay(scenario("a", {"expect": {"round": 9}, "text": "b"}), tells_turn=True)
    assert [play(asked()).headers for _ in "ab"] == [{TURN_HEADER: "1"}, {TURN_HEADER: "2"}]


def test_calls_without_an_id_get_one_that_no_other_has() -> None:
    turn = Turn(tool_use=(ToolUseBlock(name="a"), ToolUseBlock(name="b", id="own")))
    assert made_for(turn, {}, "x").blocks == (
        ToolUseBlock(name="a", id="toolu_x_0"),
        ToolUseBlock(name="b", id="own"),
    )
    untouched = Turn(blocks=(TextBlock(text="a"),))
    assert made_for(untouched, {}, "x") is untouched


def test_results_are_said_again() -> None:
    results = [{"type": "tool_result", "content": text} for text in ("1", "2")]
    body = {"messages": [{"role": "user", "content": results}]}
    turn = Turn(text="Now: ", say_results=True)
    assert made_for(turn, body, "x").blocks == (TextBlock(text="Now: "), TextBlock(text="1\n2"))
    assert made_for(turn, {}, "x").blocks[1] == TextBlock(text="There is no tool_result.")
