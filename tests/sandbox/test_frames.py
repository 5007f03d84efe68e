"""The channel's bytes mean the same to both sides, wherever they are cut."""

import ast
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import CollectLimits, Program
from auxot_tools.sandbox.frames import (
    KILL,
    REQUEST_LIMIT_BYTES,
    AttachedReader,
    Frame,
    FrameReader,
    encode_request,
    hello,
    join_output,
    last_word,
)
from auxot_tools.sandbox.outcome import ChannelFacts
from auxot_tools.share import share_dir
from auxot_tools.types import InputFile


def frame(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">cI", kind, len(payload)) + payload


def engine_chunk(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


STREAM = (
    engine_chunk(1, frame(b"s", b"") + frame(b"o", b"hello")[:4])
    + engine_chunk(2, b"Traceback")
    + engine_chunk(1, frame(b"o", b"hello")[4:])
    + engine_chunk(1, frame(b"e", b"oops") + frame(b"x", b"exit 3 oom 0 pids 0"))
)
FRAMES = [
    Frame(b"s", b""),
    Frame(b"o", b"hello"),
    Frame(b"e", b"oops"),
    Frame(b"x", b"exit 3 oom 0 pids 0"),
]


@given(st.lists(st.integers(0, len(STREAM))))
def test_frames_do_not_depend_on_where_the_bytes_were_cut(cuts: list[int]) -> None:
    reader = AttachedReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    frames = [frame for a, b in itertools.pairwise(edges) for frame in reader.feed(STREAM[a:b])]
    assert frames == FRAMES
    assert reader.complaint == b"Traceback"


@given(st.binary())
def test_garbage_gives_a_protocol_error_and_nothing_else(data: bytes) -> None:
    try:
        for found in [*AttachedReader().feed(data), *FrameReader().feed(data)]:
            last_word(found)
            hello(found)
    except RemoteProtocolError:
        pass


def test_a_stream_of_our_own_carries_frames_alone() -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"o", b"hello")[:3]) == []
    assert reader.feed(frame(b"o", b"hello")[3:] + frame(b"r", b"")) == [
        Frame(b"o", b"hello"),
        Frame(b"r", b""),
    ]


def test_the_first_word_is_an_object() -> None:
    assert hello(Frame(b"h", b'{"protocol":2}')) == {"protocol": 2}
    for strange in (Frame(b"h", b"[]"), Frame(b"h", b"{"), Frame(b"r", b"{}")):
        with pytest.raises(RemoteProtocolError):
            hello(strange)


def test_neighbours_of_one_stream_are_joined_up_to_the_limit_of_a_frame() -> None:
    words = [b"s", b"o", b"o", b"e", b"o", b"o", b"x"]
    joined = list(join_output(Frame(kind, kind) for kind in words))
    assert [frame.payload for frame in joined] == [b"s", b"oo", b"e", b"oo", b"x"]
    assert [frame.kind for frame in joined] == [b"s", b"o", b"e", b"o", b"x"]
    large = list(join_output(Frame(b"o", bytes(30_000)) for _ in range(5)))
    assert [len(frame.payload) for frame in large] == [60_000, 60_000, 30_000]
    assert list(join_output([])) == []


def test_a_frame_that_is_too_long_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        FrameReader().feed(struct.pack(">cI", b"o", 2**31))


def test_the_complaint_of_pid_1_is_bounded() -> None:
    reader = AttachedReader()
    for _ in range(100):
        reader.feed(engine_chunk(2, b"x" * 1000))
    assert len(reader.complaint) == 4096


def test_a_request_holds_everything_in_order() -> None:
    program = Program(
        ("python3", "a b"),
        b"in",
        tool_files=(InputFile("t.py", b"T"),),
        work_files=(InputFile("ü", b"W"),),
        collect=CollectLimits(1, 2, 3),
        env=(("A", "1=ü"), ("B", "")),
    )
    go = b'{"timeout_s": 1.5, "cpu": 1, "collect": '
    go += b'{"files": 1, "file_bytes": 2, "total_bytes": 3}}'
    assert encode_request(program, 1.5, 1) == b"".join(
        [
            frame(b"a", b"python3"),
            frame(b"a", b"a b"),
            frame(b"v", b"A=1=\xc3\xbc"),
            frame(b"v", b"B="),
            frame(b"i", b"in"),
            frame(b"t", b"\0\x04t.pyT"),
            frame(b"w", b"\0\x02\xc3\xbcW"),
            frame(b"g", go),
        ]
    )
    assert frame(b"k", b"") == KILL


@pytest.mark.parametrize(
    ("received", "facts"),
    [
        (Frame(b"x", b"exit 137 oom 0 pids 4"), ChannelFacts(exit_code=137, refused_forks=4)),
        (Frame(b"x", b"signal 9 oom 2 pids 0"), ChannelFacts(signal=9, oom_kills=2)),
        (Frame(b"x", b"stopped 15 oom 1 pids 0"), ChannelFacts(stopped_outside=True, oom_kills=1)),
        (Frame(b"f", b"missing"), ChannelFacts(not_started="missing")),
        (Frame(b"o", b"exit 0 oom 0 pids 0"), None),
    ],
)
def test_last_words(received: Frame, facts: ChannelFacts | None) -> None:
    assert last_word(received) == facts


@pytest.mark.parametrize(
    "payload", [b"", b"exit", b"exit one oom 0 pids 0", b"exit 0 oom 0", b"left 0 oom 0 pids 0"]
)
def test_a_malformed_last_word_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        last_word(Frame(b"x", payload))


def test_both_sides_agree_on_the_limit_of_a_request() -> None:
    source = (share_dir("sandbox") / "init/supervisor.py").read_text()
    values = {
        node.targets[0].id: eval(compile(ast.Expression(node.value), "supervisor.py", "eval"), {})
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"REQUEST_LIMIT_BYTES", "READ_BYTES"}
    }
    assert values == {"REQUEST_LIMIT_BYTES": REQUEST_LIMIT_BYTES, "READ_BYTES": 64 * 2**10}
