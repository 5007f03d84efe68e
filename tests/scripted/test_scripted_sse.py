"""A turn as bytes: the official order of events, and each fault at its place."""

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from auxot_tools.scripted.scenario import (
    Faults,
    RawBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.sse import Answer, Break, Frame, blocking_body, stream

ANSWER = Answer("msg_1", "m", {"input_tokens": 3, "output_tokens": 7})
RESULT_BLOCK = {"type": "server_result", "tool_use_id": "x", "content": [1]}
TURN = Turn(
    blocks=(
        ThinkingBlock(thinking="let me think", signature="c2ln", chunk_chars=5),
        TextBlock(text="Hello, wörld", chunk_chars=6),
        ToolUseBlock(id="toolu_1", name="t", input={"a": [1, "ü"]}, chunk_chars=4),
        RawBlock(block=RESULT_BLOCK),
    ),
    stop_reason="tool_use",
)


def frames(turn: Turn) -> list[Frame | Break]:
    return list(stream(turn, ANSWER))


def wire(turn: Turn) -> bytes:
    return b"".join(piece.data for piece in frames(turn) if isinstance(piece, Frame))


def events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each must name in `event:` what its data says."""
    found = []
    for record in data.decode().split("\n\n")[:-1]:
        name, body = record.split("\n")
        found.append(json.loads(body.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_the_events_come_in_the_order_of_the_messages_api() -> None:
    kinds = [event["type"] for event in events(wire(TURN))]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4
    indexes = [event["index"] for event in events(wire(TURN)) if "index" in event]
    assert indexes == sorted(indexes)


def test_the_official_sdk_knows_every_event() -> None:
    known = TypeAdapter[Any](RawMessageStreamEvent)
    turn = TURN.model_copy(update={"blocks": TURN.blocks[:3]})
    for event in events(wire(turn)):
        if event["type"] != "ping":
            known.validate_python(event)


def test_the_start_has_an_empty_message_and_the_end_the_whole_usage() -> None:
    start, *_, delta, _stop = events(wire(TURN))
    assert start["message"]["content"] == []
    assert start["message"]["stop_reason"] is None
    assert start["message"]["usage"] == {"input_tokens": 3, "output_tokens": 1}
    assert delta["usage"] == {"input_tokens": 3, "output_tokens": 7}
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def test_the_deltas_put_together_are_the_blocks() -> None:
    deltas = [e["delta"] for e in events(wire(TURN)) if e["type"] == "content_block_delta"]
    joined = {
        key: "".join(delta.get(key, "") for delta in deltas)
        for key in ("thinking", "signature", "text", "partial_json")
    }
    assert joined["thinking"] == "let me think"
    assert joined["signature"] == "c2ln"
    assert joined["text"] == "Hello, wörld"
    assert json.loads(joined["partial_json"]) == {"a": [1, "ü"]}


def test_a_tool_use_starts_with_an_empty_input_and_a_raw_block_comes_whole() -> None:
    starts = [e["content_block"] for e in events(wire(TURN)) if e["type"] == "content_block_start"]
    assert starts[2] == {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
    assert starts[3] == RESULT_BLOCK


def test_a_raw_input_is_streamed_byte_for_byte_even_when_it_is_no_json() -> None:
    raw = '{"n": 123456789012345678901234567890, "n": 1e400, "cut'
    turn = Turn(blocks=(ToolUseBlock(id="a", name="t", raw_input=raw, chunk_chars=3),))
    deltas = [e["delta"] for e in events(wire(turn)) if e["type"] == "content_block_delta"]
    assert "".join(delta["partial_json"] for delta in deltas) == raw
    assert json.loads(blocking_body(turn, ANSWER))["content"][0]["input"] == {}


def test_the_blocking_body_is_the_same_message_whole() -> None:
    body = json.loads(blocking_body(TURN, ANSWER))
    assert body["stop_reason"] == "tool_use"
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 7}
    assert [block["type"] for block in body["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "server_result",
    ]
    official = {**body, "content": body["content"][:3]}
    assert Message.model_validate(official).content[1].type == "text"


def test_a_lone_surrogate_leaves_as_an_escape() -> None:
    turn = Turn(blocks=(TextBlock(text="\ud800"),))
    assert b"\\ud800" in wire(turn)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(cut_after_events=3), [3, Break.CUT]),
        (Faults(stall_after_events=0), [0, Break.STALL]),
        (Faults(cut_after_events=8), [8, Break.CUT]),
        (Faults(cut_after_events=9), [8]),
        (Faults(omit_message_stop=True), [7]),
        (Faults(omit_message_stop=True, omit_message_delta=True), [6]),
    ],
)
def test_a_stream_breaks_where_the_fault_says(faults: Faults, expected: list[object]) -> None:
    turn = Turn(blocks=(TextBlock(text="abcdef", chunk_chars=3),), faults=faults)
    pieces = frames(turn)
    count = sum(isinstance(piece, Frame) for piece in pieces)
    assert [count, *(piece for piece in pieces if isinstance(piece, Break))] == expected


def test_an_error_event_ends_the_stream() -> None:
    turn = TURN.model_copy(update={"faults": Faults(error_after_events=4)})
    seen = events(wire(turn))
    assert len(seen) == 5
    assert seen[-1]["error"]["type"] == "overloaded_error"


def test_broken_json_and_unknown_events_are_put_between_the_regular_ones() -> None:
    whole = wire(TURN)
    unknown = TURN.model_copy(update={"faults": Faults(unknown_event_after_events=2)})
    assert events(wire(unknown))[2]["type"] == "scripted_unknown_event"
    assert len(events(wire(unknown))) == len(events(whole)) + 1
    broken = TURN.model_copy(update={"faults": Faults(invalid_json_after_events=2)})
    with pytest.raises(ValueError, match="Unterminated string"):
        events(wire(broken))


@given(st.integers(1, 200))
def test_cutting_the_stream_into_pieces_changes_no_byte(size: int) -> None:
    pieces = frames(TURN.model_copy(update={"wire_chunk_bytes": size}))
    data = [piece.data for piece in pieces if isinstance(piece, Frame)]
    assert b"".join(data) == wire(TURN)
    assert max(len(part) for part in data) <= size


def test_delays_are_where_the_turn_says() -> None:
    turn = Turn(
        blocks=(TextBlock(text="abcdef", chunk_chars=3),), first_event_delay_s=2, delta_delay_s=1
    )
    delays = [piece.delay_s for piece in frames(turn) if isinstance(piece, Frame)]
    assert delays == [2, 0, 1, 1, 1, 0, 0, 0]
