"""How a message comes to its end: limits, refusals, forced choices, time."""

import json

import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.loop.schedule import OUT_OF_TIME
from tests.support.turns import LOOK, RUN, Play, done, kinds, request, text, tool_use, turn

ASK = turn(text("Let me see."), tool_use("toolu_1", "run", '{"code"', ': "1"}'))
ANSWER = turn(text("It is 1."))


def test_at_the_round_limit_the_model_is_asked_once_more_without_tool_calls() -> None:
    play = Play(settings=LoopSettings(max_rounds=2))
    play.feed(turn(tool_use("a", "run", "{}"))).results(done("a"))
    play.feed(turn(tool_use("b", "run", "{}"))).results(done("b"))

    assert play.sent[2]["tool_choice"] == {"type": "none"}
    assert play.sent[2]["tools"] == play.sent[0]["tools"]
    play.feed(ANSWER)
    assert play.message["stop_reason"] == "end_turn"


def test_a_model_that_calls_although_it_must_not_gets_no_run_and_no_open_id() -> None:
    play = Play(settings=LoopSettings(max_rounds=1))
    play.feed(turn(tool_use("a", "run", "{}"))).results(done("a"))
    play.feed(turn(tool_use("b", "run", "{}")))

    assert len(play.started) == 1
    last = play.message["content"][-1]
    assert (last["type"], last["is_error"]) == ("mcp_tool_result", True)
    assert "limit of 1 rounds" in last["content"][0]["text"]
    assert play.message["stop_reason"] == "end_turn"


def test_the_round_limit_can_pause_instead() -> None:
    play = Play(settings=LoopSettings(max_rounds=1, on_round_limit="pause"))
    play.feed(turn(tool_use("a", "run", "{}"))).results(done("a"))
    assert play.message["stop_reason"] == "pause_turn"
    assert kinds(play.message["content"]) == ["mcp_tool_use", "mcp_tool_result"]


@pytest.mark.parametrize(
    ("reason", "words"), [("refusal", "refusal"), ("max_tokens", "max_tokens"), ("odd", "without")]
)
def test_a_turn_that_did_not_ask_for_its_calls_runs_none_and_answers_each(
    reason: str, words: str
) -> None:
    play = Play().feed(turn(text("x"), tool_use("a", "run", '{"cut'), stop=reason))
    assert play.started == []
    assert play.message["stop_reason"] == reason
    shown = play.message["content"][-1]
    assert shown["type"] == "mcp_tool_result"
    assert shown["is_error"] is True
    assert words in shown["content"][0]["text"]


def test_max_tokens_bounds_the_whole_answer() -> None:
    first = turn(tool_use("a", "run", "{}"), output_tokens=30)
    play = Play(request(max_tokens=100)).feed(first).results(done("a"))
    assert play.sent[1]["max_tokens"] == 70
    play.feed(turn(tool_use("b", "run", "{}"), output_tokens=70)).results(done("b"))
    assert play.message["stop_reason"] == "max_tokens"
    assert kinds(play.message["content"])[-1] == "mcp_tool_result"


def test_when_less_is_left_than_thinking_needs_the_message_stops_with_max_tokens() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = request(max_tokens=2000, thinking=thinking)
    play = Play(asked).feed(turn(tool_use("a", "run", "{}"), output_tokens=976))
    play.results(done("a"))
    assert play.message["stop_reason"] == "max_tokens"


def test_a_forced_choice_becomes_auto_once_it_is_satisfied() -> None:
    choice = {"type": "tool", "name": "run", "disable_parallel_tool_use": True}
    play = Play(request(tool_choice=choice)).feed(turn(tool_use("a", "run", "{}")))
    play.results(done("a"))
    assert [s["tool_choice"] for s in play.sent] == [
        choice,
        {"type": "auto", "disable_parallel_tool_use": True},
    ]


def test_a_forced_choice_stays_until_it_is_satisfied() -> None:
    choice = {"type": "tool", "name": "look"}
    play = Play(request(tool_choice=choice), tools=[LOOK, RUN])
    play.feed(turn(tool_use("a", "run", "{}"))).results(done("a"))
    assert play.sent[1]["tool_choice"] == choice


def test_when_the_time_is_up_running_calls_are_stopped_and_the_model_asked_for_its_answer() -> None:
    play = Play().feed(turn(tool_use("a", "run", "{}"), tool_use("b", "run", "{}")))
    play.results(done("a")).spend_budget()

    assert play.cancelled == ["b"]
    assert play.sent[1]["tool_choice"] == {"type": "none"}
    stopped = play.sent[1]["messages"][-1]["content"][1]
    assert stopped["is_error"] is True
    assert stopped["content"][0]["text"] == OUT_OF_TIME
    play.results(done("b", "too late")).feed(ANSWER)
    assert "too late" not in json.dumps(play.message)


def test_when_the_time_is_up_in_mid_turn_its_calls_are_answered_without_being_run() -> None:
    play = Play().feed(ASK[:4]).spend_budget().feed(ASK[4:])
    assert play.started == []
    assert play.sent[1]["tool_choice"] == {"type": "none"}
    assert "time for this request" in json.dumps(play.sent[1]["messages"][-1])
    assert play.feed(ANSWER).message["stop_reason"] == "end_turn"
