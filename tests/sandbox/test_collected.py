"""Files that come out of a box: data with a name, never a path; what was not finished is lost."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import CollectLimits, LeftOutFile, OutputFile
from auxot_tools.sandbox.collected import Collected, FileCollector


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def taken(name: str, data: bytes) -> bytes:
    return b"f" + text(name) + struct.pack(">Q", len(data)) + data


def left_out(name: str, reason: str) -> bytes:
    return b"u" + text(name) + text(reason)


def collected(*pieces: bytes, limits: CollectLimits | None = None) -> Collected:
    collector = FileCollector(limits or CollectLimits())
    for piece in pieces:
        collector.add(piece)
    return collector.collected()


STREAM = taken("a.txt", b"hello") + left_out("b", "too_large") + taken("ü", b"")


@given(st.integers(0, len(STREAM)))
def test_files_do_not_depend_on_where_the_stream_was_cut(cut: int) -> None:
    assert collected(STREAM[:cut], STREAM[cut:]) == (
        (OutputFile("a.txt", b"hello"), OutputFile("ü", b"")),
        (LeftOutFile("b", "too_large"),),
    )


def test_without_a_word_there_are_no_files() -> None:
    assert collected() == ((), ())


def test_a_file_whose_data_broke_off_is_lost_and_those_before_it_are_not() -> None:
    assert collected(taken("a", b"A") + taken("b", b"BBBB")[:-1]) == (
        (OutputFile("a", b"A"),),
        (LeftOutFile("b", "lost"),),
    )


def test_a_name_stays_as_the_program_chose_it() -> None:
    names = ("../../etc/passwd", "a/b", "\n", "..")
    files, _ = collected(*(taken(name, b"") for name in names))
    assert tuple(file.name for file in files) == names


@pytest.mark.parametrize("stream", [b"q" + text("a"), left_out("a", "because")])
def test_another_form_breaks_the_protocol(stream: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        collected(stream)


@given(st.binary(max_size=200))
def test_garbage_gives_a_protocol_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        collected(data)


def test_more_than_was_asked_for_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        FileCollector(None).add(b"x")
    limited = FileCollector(CollectLimits(total_bytes=2**20))
    limited.add(bytes(5 * 2**20))
    with pytest.raises(RemoteProtocolError):
        limited.add(b"x")
