"""Calls of idempotent tools start while their turn streams, and count only if it ends well."""

import json
from dataclasses import replace

import pytest

from auxot_tools.loop.actions import Failed, Need
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.events import Event, event
from auxot_tools.types import JSON
from tests.support.turns import RUN, Play, done, kinds, request, text, tool_use, turn

PEEK = replace(RUN, name="peek", idempotent=True)
TOOLS = [PEEK, RUN]
ANSWER = turn(text("It is 1."))


def ids(play: Play) -> list[str]:
    return [start.call.tool_use_id for start in play.started]


def until_stop_of(events: list[Event], index: int) -> int:
    """How many events there are up to the end of a block."""
    stops = [
        number
        for number, each in enumerate(events)
        if each.type == "content_block_stop" and each.data["index"] == index
    ]
    return stops[0] + 1


def test_a_call_of_an_idempotent_tool_starts_when_its_block_is_complete() -> None:
    ask = turn(tool_use("a", "peek", '{"x":', "1}"), text("And more to say."))
    cut = until_stop_of(ask, 0)
    play = Play(tools=TOOLS).feed(ask[: cut - 1])
    assert ids(play) == []
    play.feed(ask[cut - 1 : cut])
    assert ids(play) == ["a"]
    assert play.started[0].idempotent
    assert play.started[0].call.input_json == b'{"x":1}'
    play.feed(ask[cut:])
    assert ids(play) == ["a"]
    assert play.need is Need.RESULTS


def test_the_others_wait_for_the_end_of_the_turn() -> None:
    ask = turn(tool_use("a", "run", "{}"), tool_use("b", "peek", "{}"))
    play = Play(tools=TOOLS).feed(ask[:-1])
    assert ids(play) == ["b"]
    play.feed(ask[-1:])
    assert ids(play) == ["b", "a"]


def test_without_eager_calls_every_call_waits() -> None:
    ask = turn(tool_use("a", "peek", "{}"))
    play = Play(tools=TOOLS, settings=LoopSettings(eager=False)).feed(ask[:-1])
    assert ids(play) == []
    assert ids(play.feed(ask[-1:])) == ["a"]


def test_a_result_that_comes_before_the_end_of_the_turn_is_shown_after_it() -> None:
    ask = turn(tool_use("a", "peek", "{}"), text("Still talking."))
    cut = until_stop_of(ask, 0)
    play = Play(tools=TOOLS).feed(ask[:cut]).results(done("a", "early"))
    play.feed(ask[cut:])
    play.feed(ANSWER)
    content = play.message["content"]
    assert kinds(content) == ["mcp_tool_use", "text", "mcp_tool_result", "text"]
    assert content[2]["content"] == [{"type": "text", "text": "early"}]
    assert play.sent[1]["messages"][-1]["content"][0]["content"] == content[2]["content"]


def test_results_of_early_and_late_calls_go_up_in_tool_use_order() -> None:
    ask = turn(tool_use("a", "run", "{}"), tool_use("b", "peek", "{}"))
    play = Play(tools=TOOLS).feed(ask[:-1]).results(done("b"))
    play.feed(ask[-1:]).results(done("a"))
    answers = play.sent[1]["messages"][-1]["content"]
    assert [block["tool_use_id"] for block in answers] == ["a", "b"]


@pytest.mark.parametrize("reason", ["refusal", "max_tokens"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_turn_that_does_not_ask_for_its_calls_cancels_early_ones_and_drops_their_results(
    reason: str, is_done: bool
) -> None:
    ask = turn(tool_use("a", "peek", "{}"), stop=reason)
    play = Play(tools=TOOLS).feed(ask[:-1])
    if is_done:
        play.results(done("a", "the dropped result"))
    play.feed(ask[-1:])
    assert play.cancelled == ([] if is_done else ["a"])
    assert play.message["stop_reason"] == reason
    assert "the dropped result" not in json.dumps(play.message)
    shown = play.message["content"][-1]
    assert shown["is_error"] is True
    assert shown["content"][0]["text"].startswith("Given up: ")


def test_a_cut_input_is_not_started_early() -> None:
    play = Play(tools=TOOLS).feed(turn(tool_use("a", "peek", '{"cut'))[:-1])
    assert ids(play) == []


def test_after_the_round_limit_nothing_starts_early() -> None:
    play = Play(tools=TOOLS, settings=LoopSettings(max_rounds=1))
    play.feed(turn(tool_use("a", "peek", "{}"))).results(done("a"))
    play.feed(turn(tool_use("b", "peek", "{}")))
    assert ids(play) == ["a"]
    assert play.message["stop_reason"] == "end_turn"


def test_an_upstream_that_breaks_off_after_an_early_start_fails_and_says_that_tools_ran() -> None:
    play = Play(tools=TOOLS).feed(turn(tool_use("a", "peek", "{}"))[:-2])
    play.loop.receive_end()
    assert isinstance(play.drained.end, Failed)
    assert play.end == Failed(play.drained.end.error, tools_ran=True)


def test_a_mixed_turn_runs_ours_early_and_leaves_the_clients_to_the_client() -> None:
    ask = turn(tool_use("a", "peek", "{}"), tool_use("b", "theirs", "{}"))
    play = Play(tools=TOOLS).feed(ask[:-1]).results(done("a"))
    play.feed(ask[-1:])
    assert play.message["stop_reason"] == "tool_use"
    assert kinds(play.message["content"]) == ["mcp_tool_use", "tool_use", "mcp_tool_result"]


def test_a_recorded_turn_fed_to_another_loop_makes_the_same_turn() -> None:
    thinking: list[JSON] = [
        {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
        {
            "type": "content_block_delta",
            "delta": {"type": "thinking_delta", "thinking": "I should."},
        },
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "c2ln"}},
        {"type": "content_block_stop"},
    ]
    ask = turn(
        thinking,
        text("Look:"),
        tool_use("a", "run", '{"n": 1.10,', '  "b": 123456789012345678901}'),
    )
    first = Play(request(), tools=TOOLS).feed(ask).results(done("a"))
    [recorded] = first.records
    again = Play(request(), tools=TOOLS)
    again.feed(event(each.data) for each in recorded).results(done("a"))
    assert again.bodies == first.bodies
    first.feed(ANSWER)
    again.feed(ANSWER)
    assert again.message == first.message
