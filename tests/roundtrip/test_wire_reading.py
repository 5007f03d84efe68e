"""Streams are read with patience: however they were cut, whatever is in them."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from auxot_tools.roundtrip.wire import is_deep, message_of, parsed, read_bytes, read_stream

GOOD = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":3}}}

: a comment

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"世界"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

""".encode()


@given(st.lists(st.integers(0, len(GOOD)), max_size=8))
def test_where_a_stream_was_cut_does_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(GOOD)]
    pieces = [(GOOD[a:b], float(a)) for a, b in pairwise(places)]
    read = read_stream(pieces)
    assert [(r.event, r.data) for r in read.records] == [
        (r.event, r.data) for r in read_bytes(GOOD).records
    ]
    assert read.rest == ""


def test_line_ends_of_every_kind_are_read() -> None:
    kinds = [record.type for record in read_bytes(GOOD).records]
    for end in (b"\r\n", b"\r"):
        assert [r.type for r in read_bytes(GOOD.replace(b"\n", end)).records] == kinds


def test_a_single_line_end_of_two_characters_is_no_blank_line() -> None:
    read = read_bytes(b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n')
    assert [(r.event, r.type) for r in read.records] == [("ping", "ping")]


def test_a_record_has_the_time_at_which_its_end_came() -> None:
    read = read_stream([(b"event: ping\nda", 1.0), (b'ta: {"type": "ping"}\n\n', 2.0)])
    assert read.records[0].at_s == 2.0


def test_a_record_without_its_blank_line_is_the_rest() -> None:
    read = read_bytes(b'event: ping\ndata: {"type": "ping"}\n\nevent: pi')
    assert len(read.records) == 1
    assert read.rest == "event: pi"


def test_a_stream_makes_its_message() -> None:
    assert message_of(read_bytes(GOOD)) == {
        "id": "msg_1",
        "content": [{"type": "text", "text": "世界"}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
        "stop_reason": "end_turn",
    }
    assert message_of(read_bytes(b": nothing\n\n")) is None


def test_an_input_that_is_no_json_stays_the_text_that_came() -> None:
    read = read_bytes(
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"input_json_delta","partial_json":"{\\"a\\": "}}\n\n'
    )
    message = message_of(read)
    assert message is not None
    assert message["content"][0]["input"] == '{"a": '


def test_json_that_is_too_deep_to_be_looked_at_counts_as_none() -> None:
    for depth in (200, 900, 100_000):
        assert parsed("[" * depth + "]" * depth) is None
    assert parsed('{"a": [[1]]}') == {"a": [[1]]}
    assert not is_deep([[]], 3)
    assert is_deep([[[[]]]], 3)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_stumble(data: bytes) -> None:
    read = read_bytes(data + b"\n\ndata: [1]\n\ndata: {\n\n")
    message_of(read)
    assert read.block_types == {}
