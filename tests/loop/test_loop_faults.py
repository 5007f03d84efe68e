"""What an upstream may do wrong, and what becomes of the message."""

import json

import pytest

from auxot_tools.errors import LocalProtocolError, RemoteProtocolError, UpstreamError
from auxot_tools.loop.actions import Failed, Need
from auxot_tools.loop.splice import with_model
from auxot_tools.loop.state import State, Step, after
from auxot_tools.messages.events import Event, event
from auxot_tools.types import JSON
from tests.support.turns import Play, done, request, text, tool_use, turn

ASK = turn(text("Let me see."), tool_use("toolu_1", "run", '{"code"', ': "1"}'))
ANSWER = turn(text("It is 1."))


@pytest.mark.parametrize(
    "broken",
    [
        [event({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}})],
        [ANSWER[0], ANSWER[0]],
        [ANSWER[0], ANSWER[2]],
        [ANSWER[0], ANSWER[1], ANSWER[1]],
        [ANSWER[0], event({"type": "content_block_start", "index": "0", "content_block": {}})],
        [ANSWER[0], event({"type": "content_block_start", "index": 0, "content_block": {}})],
        [event({"type": "message_start"})],
        turn(tool_use("a", "run", "{}"), tool_use("a", "run", "{}")),
        turn(tool_use("", "run", "{}")),
        [ANSWER[0], event({"type": "message_delta"})],
    ],
)
def test_an_upstream_that_breaks_the_protocol_fails_the_message(broken: list[Event]) -> None:
    play = Play().feed(broken)
    assert isinstance(play.end, Failed)
    assert isinstance(play.end.error, RemoteProtocolError)
    assert play.end.tools_ran is False


def test_an_error_event_keeps_its_words_and_says_that_tools_ran() -> None:
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    play = Play().feed(ASK).results(done("toolu_1")).feed([event(told)])
    assert isinstance(play.end, Failed)
    assert isinstance(play.end.error, UpstreamError)
    assert play.end.error.status == 529
    assert json.loads(play.end.error.body) == told
    assert play.end.tools_ran is True


def test_a_stream_that_ends_without_message_stop_counts_when_its_stop_reason_is_known() -> None:
    play = Play().feed(ANSWER[:-1])
    play.loop.receive_end()
    assert play.drained.message["stop_reason"] == "end_turn"


def test_a_stream_that_ends_before_its_stop_reason_fails() -> None:
    play = Play().feed(ANSWER[:3])
    play.loop.receive_end()
    assert isinstance(play.drained.end, Failed)


@pytest.mark.parametrize("odd_input", [None, "text", [1], "absent"])
@pytest.mark.parametrize("name", ["run", "theirs"])
def test_a_call_whose_start_has_no_proper_input_is_taken_as_one_with_none(
    name: str, odd_input: object
) -> None:
    block: JSON = {"type": "tool_use", "id": "a", "name": name, "input": odd_input}
    if odd_input == "absent":
        del block["input"]
    start: JSON = {"type": "content_block_start", "content_block": block}
    play = Play().feed(turn([start, {"type": "content_block_stop"}])).results(done("a"))
    if name == "run":
        assert play.started[0].call.input_json == b"{}"
        play.feed(ANSWER)
    assert play.message["content"][0]["input"] == {}


def test_an_error_event_without_a_type_is_an_error_all_the_same() -> None:
    play = Play().feed([event({"type": "error", "error": {"message": "x"}})])
    assert isinstance(play.end, Failed)
    assert isinstance(play.end.error, UpstreamError)
    assert play.end.error.status == 500


def test_a_connection_that_breaks_after_the_stop_reason_is_known_changes_nothing() -> None:
    play = Play().feed(ANSWER[:-1])
    play.loop.receive_end(RemoteProtocolError("broke off"))
    assert play.drained.message["stop_reason"] == "end_turn"


def test_events_of_unknown_kinds_pass() -> None:
    odd = event({"type": "odd.thing", "x": 1})
    play = Play().feed([ANSWER[0], odd, *ANSWER[1:]])
    assert {"type": "odd.thing", "x": 1} in play.events
    assert play.message["stop_reason"] == "end_turn"


def test_a_result_for_an_id_that_was_never_called_is_dropped() -> None:
    play = Play().feed(ASK).results(done("other"))
    assert play.need is Need.RESULTS
    assert play.end is None


def test_the_client_sees_the_model_that_it_asked_for_whatever_the_upstream_says() -> None:
    assert Play().feed(ANSWER).message["model"] == "m"


def test_a_client_that_asks_for_auto_is_told_what_served() -> None:
    assert Play(request(model="auto")).feed(ANSWER).message["model"] == "upstream-model"


def test_another_model_takes_the_first_ones_place_in_a_body_and_nothing_else_changes() -> None:
    body = Play(request(system="m")).bodies[0]
    assert with_model(body, "m", "m") is body
    other = with_model(body, "m", "local")
    assert json.loads(other) == json.loads(body) | {"model": "local"}
    with pytest.raises(LocalProtocolError):
        with_model(b'{"messages":[]}', "m", "local")


def test_a_step_that_cannot_come_now_is_a_bug_of_ours() -> None:
    with pytest.raises(LocalProtocolError):
        after(State.FINISHED, Step.TURN_OPENED)
