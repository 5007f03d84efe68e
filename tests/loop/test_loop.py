"""The rules of the tool loop, each as a conversation written down."""

import anthropic
import pytest
from anthropic.lib.streaming._beta_messages import accumulate_event
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.loop.actions import Need
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.types import JSON, Status, ToolResult, text_result
from tests.support.turns import LOOK, RUN, Play, done, kinds, request, text, tool_use, turn

ASK = turn(text("Let me see."), tool_use("toolu_1", "run", '{"code"', ': "1"}'))
ANSWER = turn(text("It is 1."))


def test_an_answer_without_calls_passes_through_with_our_id_and_the_clients_model() -> None:
    play = Play().feed(ANSWER)

    assert play.message["id"] == "msg_ours"
    assert play.message["model"] == "m"
    assert play.message["content"] == [{"type": "text", "text": "It is 1."}]
    assert play.message["stop_reason"] == "end_turn"


def test_a_call_is_run_and_its_result_goes_back_upstream() -> None:
    play = Play().feed(ASK)

    assert play.need is Need.RESULTS
    call = play.started[0].call
    assert (call.tool_use_id, call.name, call.input_json) == ("toolu_1", "run", b'{"code": "1"}')
    assert (call.tenant, call.session) == ("key", "s")

    play.results(done("toolu_1", "1")).feed(ANSWER)

    assert play.sent[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "run", "input": {"code": "1"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "1"}],
                }
            ],
        },
    ]
    assert kinds(play.message["content"]) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]


def test_the_prepare_hint_leaves_when_the_block_begins_and_the_start_when_the_turn_ends() -> None:
    play = Play()
    play.feed(ASK[:5])
    assert [p.hint.name for p in play.prepared] == ["run"]
    assert play.started == []
    play.feed(ASK[5:])
    assert len(play.started) == 1


def test_parallel_results_go_in_one_user_message_in_tool_use_order() -> None:
    calls = turn(tool_use("a", "run", "{}"), tool_use("b", "run", "{}"), tool_use("c", "run", "{}"))
    play = Play().feed(calls).results(done("c"), done("a"), done("b")).feed(ANSWER)

    answers = play.sent[1]["messages"][-1]
    assert answers["role"] == "user"
    assert [block["tool_use_id"] for block in answers["content"]] == ["a", "b", "c"]


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_in_which_results_arrive_changes_nothing(order: list[str]) -> None:
    def outcome(arrival: list[str]) -> tuple[bytes, list[object]]:
        calls = turn(*(tool_use(name, "run", "{}") for name in "abcd"))
        play = Play().feed(calls).results(*(done(name, name) for name in arrival)).feed(ANSWER)
        return play.bodies[1], play.message["content"]

    assert outcome(order) == outcome(["a", "b", "c", "d"])


def test_results_are_shown_as_soon_as_all_before_them_are_there() -> None:
    play = Play().feed(turn(tool_use("a", "run", "{}"), tool_use("b", "run", "{}")))
    before = len(play.events)
    play.results(done("b"))
    assert len(play.events) == before
    play.results(done("a"))
    shown = [e["content_block"] for e in play.events[before:] if "content_block" in e]
    assert [b["tool_use_id"] for b in shown] == ["mcptoolu_auxot_a", "mcptoolu_auxotc1_b"]


def test_block_indexes_run_on_over_all_turns() -> None:
    play = Play().feed(ASK).results(done("toolu_1")).feed(ANSWER)
    starts = [e["index"] for e in play.events if e["type"] == "content_block_start"]
    assert starts == [0, 1, 2, 3]
    assert [e["type"] for e in play.events].count("message_start") == 1
    assert [e["type"] for e in play.events].count("message_stop") == 1


def test_the_official_accumulator_makes_the_same_message_of_the_events() -> None:
    play = Play().feed(ASK).results(done("toolu_1")).feed(ANSWER)
    snapshot = None
    adapter = anthropic.types.beta.BetaRawMessageStreamEvent
    for data in play.events:
        parsed = anthropic._models.construct_type(type_=adapter, value=data)
        snapshot = accumulate_event(
            event=parsed,  # type: ignore[arg-type]
            current_snapshot=snapshot,
            json_bufs={},
            request_headers=None,  # type: ignore[arg-type]
        )
    assert snapshot is not None
    assert snapshot.to_dict()["content"] == play.message["content"]
    assert snapshot.usage.output_tokens == play.message["usage"]["output_tokens"]


def test_a_call_of_ours_is_shown_whole_in_its_start_without_deltas() -> None:
    play = Play().feed(ASK)
    shown = [e for e in play.events if e.get("index") == 1]
    assert [e["type"] for e in shown] == ["content_block_start", "content_block_stop"]
    assert shown[0]["content_block"] == {
        "type": "mcp_tool_use",
        "id": "mcptoolu_auxot_toolu_1",
        "name": "run",
        "server_name": "auxot",
        "input": {"code": "1"},
    }


def test_hidden_calls_leave_no_trace_and_no_gap_in_the_indexes() -> None:
    play = Play(settings=LoopSettings(show_calls=False))
    play.feed(ASK).results(done("toolu_1")).feed(ANSWER)
    assert kinds(play.message["content"]) == ["text", "text"]
    assert [e["index"] for e in play.events if e["type"] == "content_block_start"] == [0, 1]


def test_usage_is_summed_over_all_turns() -> None:
    play = Play().feed(ASK).results(done("toolu_1")).feed(ANSWER)
    assert play.message["usage"] == {"input_tokens": 20, "output_tokens": 10}
    delta = next(e for e in play.events if e["type"] == "message_delta")
    assert delta["usage"] == {"input_tokens": 20, "output_tokens": 10}


# -- mixed turns -----------------------------------------------------------------------------

MIXED = turn(tool_use("toolu_c", "theirs", '{"x": 1}'), tool_use("toolu_o", "run", "{}"))


def test_in_a_mixed_turn_ours_run_and_the_clients_are_passed_through() -> None:
    play = Play().feed(MIXED).results(done("toolu_o", "mine"))

    assert [s.call.tool_use_id for s in play.started] == ["toolu_o"]
    assert kinds(play.message["content"]) == ["tool_use", "mcp_tool_use", "mcp_tool_result"]
    assert play.message["stop_reason"] == "tool_use"
    assert len(play.bodies) == 1


def test_after_a_mixed_turn_all_results_go_upstream_in_one_user_message() -> None:
    first = Play().feed(MIXED).results(done("toolu_o", "mine"))
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": first.message["content"]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_c", "content": "theirs"},
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    turned = Play(request(messages=history)).sent[0]["messages"]

    assert turned[1]["content"] == [
        {"type": "tool_use", "id": "toolu_c", "name": "theirs", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_o", "name": "run", "input": {}},
    ]
    assert turned[2]["role"] == "user"
    assert [b.get("tool_use_id") for b in turned[2]["content"]] == ["toolu_c", "toolu_o", None]


def test_a_custom_tool_that_the_client_declares_under_our_name_is_the_clients() -> None:
    theirs = {"name": "run", "description": "mine!", "input_schema": {"type": "object"}}
    play = Play(request(tools=[theirs])).feed(ASK)
    assert play.started == []
    assert kinds(play.message["content"]) == ["text", "tool_use"]
    assert play.sent[0]["tools"] == [theirs]


def test_a_tool_that_nobody_declared_is_left_to_the_client() -> None:
    play = Play().feed(turn(tool_use("toolu_1", "mcp__srv__lookup", "{}")))
    assert play.message["stop_reason"] == "tool_use"
    assert play.started == []


def test_the_input_of_a_clients_call_always_comes_as_deltas() -> None:
    block: JSON = {"type": "tool_use", "id": "t", "name": "theirs", "input": {"n": 2**70}}
    start: dict[str, object] = {"type": "content_block_start", "content_block": block}
    play = Play().feed(turn([start, {"type": "content_block_stop"}]))
    at_block = [e for e in play.events if e.get("index") == 0]
    assert at_block[0]["content_block"]["input"] == {}
    assert at_block[1]["delta"] == {"type": "input_json_delta", "partial_json": f'{{"n":{2**70}}}'}


# -- what goes upstream ----------------------------------------------------------------------


def test_what_went_upstream_once_is_repeated_byte_for_byte() -> None:
    play = Play(request(system="s", temperature=0.5, tools=[]))
    for name in "abc":
        play.feed(turn(text("é"), tool_use(name, "run", '{"n": 1.0e2}'))).results(done(name))
    for shorter, longer in zip(play.bodies, play.bodies[1:], strict=False):
        end = shorter.rindex(b'],"max_tokens"')
        assert longer.startswith(shorter[:end])


def test_what_came_from_upstream_goes_back_as_it_came() -> None:
    thinking: list[JSON] = [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "c2ln=="},
    ]
    block: list[JSON] = [
        {"type": "content_block_start", "content_block": thinking[0]},
        {"type": "content_block_delta", "delta": thinking[1]},
        {"type": "content_block_delta", "delta": thinking[2]},
        {"type": "content_block_stop"},
    ]
    raw = '{"z": 123456789012345678901234567890, "a": 1.10, "z2": "\\u00e9"}'
    play = Play().feed(turn(block, tool_use("a", "run", *raw))).results(done("a"))
    assert b'{"type":"thinking","thinking":"hm","signature":"c2ln=="}' in play.bodies[1]
    assert raw.encode() in play.bodies[1]


def test_an_input_that_is_no_json_object_is_run_as_it_is_and_echoed_as_an_empty_object() -> None:
    play = Play().feed(turn(tool_use("a", "run", '{"code": "x'))).results(done("a"))
    assert play.started[0].call.input_json == b'{"code": "x'
    assert play.sent[1]["messages"][1]["content"][0]["input"] == {}
    assert play.events[1]["content_block"]["input"] == {}


def test_our_tools_follow_the_clients_in_the_same_bytes_for_every_request() -> None:
    theirs = {"name": "theirs", "input_schema": {"type": "object"}}
    play = Play(request(tools=[theirs]), tools=[LOOK, RUN])
    assert [tool["name"] for tool in play.sent[0]["tools"]] == ["theirs", "look", "run"]


def test_an_empty_text_block_is_not_sent_back_for_the_api_refuses_it() -> None:
    play = Play().feed(turn(text(""), tool_use("a", "run", "{}"))).results(done("a"))
    assert kinds(play.sent[1]["messages"][1]["content"]) == ["tool_use"]


def test_images_go_upstream_and_the_client_reads_their_name_and_size() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    image = {"type": "image", "source": source}
    play = Play().feed(turn(tool_use("a", "run", "{}")))
    play.results(ToolResult("a", Status.COMPLETED, (image,))).feed(ANSWER)
    assert play.sent[1]["messages"][-1]["content"][0]["content"] == [image]
    shown = play.message["content"][1]["content"]
    assert shown == [{"type": "text", "text": "[image image-1.png, 3 bytes]"}]


@pytest.mark.parametrize(("data", "size"), [("QQ==", 1), ("QUI=", 2), ("QUJD", 3)])
def test_the_size_of_an_image_is_told_to_the_byte(data: str, size: int) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    play = Play().feed(turn(tool_use("a", "run", "{}")))
    play.results(ToolResult("a", Status.COMPLETED, ({"type": "image", "source": source},)))
    [shown] = [e["content_block"] for e in play.events if "mcp_tool_result" in str(e)]
    assert shown["content"][0]["text"].endswith(f", {size} bytes]")


def test_an_upstream_that_numbers_its_calls_from_zero_in_every_turn_is_understood() -> None:
    play = Play()
    for _ in range(2):
        play.feed(turn(tool_use("call_0", "run", "{}"))).results(done("call_0"))
    play.feed(ANSWER)
    shown = [block["id"] for block in play.message["content"] if "id" in block]
    assert len(set(shown)) == 2
    keys = {start.call.idempotency_key for start in play.started}
    assert len(keys) == 2
    again = request(
        messages=[
            *play.sent[0]["messages"],
            {"role": "assistant", "content": play.message["content"]},
        ]
    )
    assert Play(again).sent[0]["messages"][:5] == play.sent[-1]["messages"]


def test_the_upstream_is_asked_to_stream_when_the_client_asked_for_it() -> None:
    for stream in (False, True):
        play = Play(request(stream=stream)).feed(ASK).results(done("toolu_1"))
        assert [body["stream"] for body in play.sent] == [stream, stream]
    assert Play().sent[0]["stream"] is False


def test_max_tokens_0_is_not_streamed_for_it_only_primes_a_cache() -> None:
    assert Play(request(max_tokens=0, stream=True)).sent[0]["stream"] is False


def test_a_failed_call_is_an_error_result_and_the_conversation_goes_on() -> None:
    play = Play().feed(turn(tool_use("a", "run", "{}")))
    play.results(text_result("a", Status.TIMED_OUT, "Stopped after 30 s.")).feed(ANSWER)
    assert play.sent[1]["messages"][-1]["content"][0]["is_error"] is True
    assert play.message["content"][1]["is_error"] is True
    assert play.message["stop_reason"] == "end_turn"
