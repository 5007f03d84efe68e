"""Server-sent events: framing does not depend on how the bytes were cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.dialects.anthropic.sse import MAX_FRAME_BYTES, PING, SseDecoder, encode_event
from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages.events import event, message_events
from tests.support.turns import text, tool_use, turn

EVENTS = turn(text("Grüße 🎉"), tool_use("a", "run", '{"x": "', 'ü"}'))
STREAM = b"".join(encode_event(each) for each in EVENTS)


def decoded(data: bytes, *cuts: int) -> list[object]:
    found: list[object] = []
    decoder, start = SseDecoder(), 0
    for cut in [*sorted(cuts), len(data)]:
        found += [each.data for each in decoder.feed(data[start:cut])]
        start = cut
    return found


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_decoding_does_not_depend_on_where_the_bytes_were_cut(cuts: list[int]) -> None:
    assert decoded(STREAM, *cuts) == [each.data for each in EVENTS]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b"{}", b"\r\n"])))
def test_garbage_gives_remote_protocol_error_and_nothing_else(pieces: list[bytes]) -> None:
    decoder = SseDecoder()
    try:
        for piece in pieces:
            for each in decoder.feed(piece):
                assert each.data["type"] == each.type
    except RemoteProtocolError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b'data:{"type":"ping"}\n\n',
        b'event: ping\r\ndata: {"type":"ping"}\r\n\r\n',
        b': note\nretry: 3\nid: 7\ndata: {"type":\ndata: "ping"}\n\ndata: [DONE]\n\n',
        PING,
    ],
)
def test_every_legal_way_to_write_a_frame_is_read(data: bytes) -> None:
    assert decoded(data) == [{"type": "ping"}]


@pytest.mark.parametrize(
    "data",
    [
        b"data: <html>\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b'data: {"type":"a\\nb"}\n\n',
        b'data: {"type":5}\n\n',
        b"data: \xff\n\n",
    ],
)
def test_a_frame_that_is_no_event_is_an_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decoded(data)


def test_an_endless_frame_is_cut_off() -> None:
    decoder = SseDecoder()
    for _ in range(MAX_FRAME_BYTES // 2**20 - 1):
        decoder.feed(b"data: " + b"x" * (2**20 - 6))
    with pytest.raises(RemoteProtocolError, match="32 MiB"):
        decoder.feed(b"x" * 2**21)


def test_an_endless_frame_of_empty_lines_is_cut_off() -> None:
    decoder = SseDecoder()
    lines = b"data:\n" * 2**16
    with pytest.raises(RemoteProtocolError, match="32 MiB"):
        feed_for_ever(decoder, lines)


def feed_for_ever(decoder: SseDecoder, chunk: bytes) -> None:
    for _ in range(2 * MAX_FRAME_BYTES // len(chunk)):
        decoder.feed(chunk)


def test_a_carriage_return_inside_a_frame_does_not_leave_as_it_came() -> None:
    [found] = SseDecoder().feed(b'data: {"type":"odd",\r"x":1}\n\n')
    assert b"\r" not in encode_event(found)


def test_what_only_a_whole_answer_has_is_told_at_its_end() -> None:
    message = {"type": "message", "content": [], "stop_reason": "refusal"}
    extras = {"stop_details": {"type": "refusal"}, "container": {"id": "c"}}
    told = list(message_events(message | extras))
    assert told[-2].data["delta"] == {"stop_reason": "refusal", "stop_sequence": None} | extras
    assert "stop_details" not in told[0].data["message"]


def test_a_frame_in_many_pieces_is_counted_once() -> None:
    big = b'data: {"type":"x","pad":"' + b"y" * (20 * 2**20) + b'"}\n\n'
    assert len(decoded(big, *range(0, len(big), 2**20))) == 1


def test_integers_beyond_64_bits_in_a_block_come_back_exactly() -> None:
    block = {"type": "server_tool_use", "input": {"n": 2**80}}
    start = event({"type": "content_block_start", "index": 0, "content_block": block})
    assert decoded(encode_event(start)) == [start.data]


def test_an_event_that_is_passed_on_keeps_its_bytes() -> None:
    frame = b'event: odd\ndata: {"type": "odd",  "x": 1.50}\n\n'
    [found] = SseDecoder().feed(frame)
    assert encode_event(found) == frame


def test_half_a_surrogate_pair_is_carried() -> None:
    raw = b'data: {"type":"x","t":"\\ud83d"}\n\n'
    [found] = SseDecoder().feed(raw)
    assert found.data["t"] == "\ud83d"


def test_a_blocking_answer_reads_like_a_stream() -> None:
    message = {"type": "message", "content": [{"type": "text", "text": "x"}], "usage": {}}
    told = [each.type for each in message_events(message | {"stop_reason": "end_turn"})]
    assert told[0] == "message_start"
    assert told[-2:] == ["message_delta", "message_stop"]
    with pytest.raises(RemoteProtocolError):
        list(message_events({"type": "completion"}))
    assert json.loads(STREAM.split(b"data: ")[1].split(b"\n")[0])["type"] == "message_start"
