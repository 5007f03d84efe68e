"""Head and tail are right for every stream, however it is cut into pieces."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.ports import KeptOutput
from auxot_tools.sandbox.output import OutputKeeper


def kept(limit: int, *pieces: bytes) -> KeptOutput:
    keeper = OutputKeeper(limit)
    for piece in pieces:
        keeper.add(piece)
    return keeper.kept()


@given(st.integers(0, 40), st.lists(st.binary(max_size=30)))
def test_head_omission_and_tail_make_up_the_stream(limit: int, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    result = kept(limit, *pieces)
    if len(whole) <= limit:
        assert result == KeptOutput(whole)
        return
    assert result.head == whole[: limit - limit // 2]
    assert result.tail == whole[len(whole) - limit // 2 :]
    assert result.omitted_bytes == len(whole) - limit


@given(st.integers(0, 40), st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_the_result_does_not_depend_on_where_the_stream_was_cut(
    limit: int, whole: bytes, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    if b"".join(pieces) == whole:
        assert kept(limit, *pieces) == kept(limit, whole)


def test_memory_stays_at_what_is_kept() -> None:
    keeper = OutputKeeper(10_000)
    piece = b"x" * 65_536
    tracemalloc.start()
    for _ in range(2_000):
        keeper.add(piece)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 200_000
    assert keeper.kept().omitted_bytes == 2_000 * 65_536 - 10_000


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        OutputKeeper(-1)
