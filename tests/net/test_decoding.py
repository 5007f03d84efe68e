"""Undoing compression piece by piece."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.net.decoding import PIECE_BYTES, BrokenEncodingError, Decoder

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "": bytes
}  # fmt: skip
calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@calmly
@given(st.binary(max_size=3000), st.integers(1, 50), st.sampled_from(["gzip", "deflate", ""]))
def test_where_the_body_is_split_does_not_matter(data: bytes, step: int, encoding: str) -> None:
    packed = PACKED[encoding](data * 20)
    decoder = Decoder(encoding)
    pieces = [
        piece
        for at in range(0, len(packed), step)
        for piece in decoder.feed(packed[at : at + step])
    ]
    assert b"".join(pieces) == data * 20
    assert decoder.is_whole


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES])
def test_no_piece_is_larger_than_the_limit_and_none_is_lost(size: int) -> None:
    for encoding, body in (("gzip", gzip.compress(bytes(size))), ("", bytes(size))):
        pieces = list(Decoder(encoding).feed(body))
        assert sum(map(len, pieces)) == size
        assert max(map(len, pieces)) <= PIECE_BYTES


def test_a_body_that_has_no_end_is_not_whole() -> None:
    decoder = Decoder("gzip")
    list(decoder.feed(gzip.compress(b"data")[:-1]))
    assert not decoder.is_whole


def test_an_unknown_encoding_matters_only_when_there_is_a_body() -> None:
    decoder = Decoder("br")
    assert decoder.is_whole
    with pytest.raises(BrokenEncodingError):
        list(decoder.feed(b"x"))
