"""Undoing the compression of a body, piece by piece, so that a small body cannot fill the memory.

One job: `gzip` and `deflate`. It must not know limits, sockets or HTTP.
"""

import zlib
from collections.abc import Iterator

PIECE_BYTES = 64 * 2**10  # the most that exists at once beyond what is kept
# Some servers write a body as several gzip members; thousands of empty ones are an attack.
MEMBERS = 64

_GZIP, _ZLIB, _RAW = 31, zlib.MAX_WBITS, -zlib.MAX_WBITS
ENCODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
ACCEPTED = "gzip, deflate"


class BrokenEncodingError(ValueError):
    """The body is not what its encoding says."""


class Decoder:
    """Takes a body as it comes. `content_encoding` is the header's value."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in {"", "identity"}]
        self._is_known = len(names) <= 1 and all(name in ENCODINGS for name in names)
        self._wbits = ENCODINGS[names[0]] if names and self._is_known else 0
        self._stream: zlib._Decompress | None = None  # None: between two members
        self._members = 0
        self._is_over = False

    @property
    def is_whole(self) -> bool:
        """Whether the body may end here."""
        return self._stream is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes of `data`, at most `PIECE_BYTES` at a time, made as they are asked for.

        Raises `BrokenEncodingError`, also for an encoding that was not asked for.
        """
        if not self._is_known:
            raise BrokenEncodingError
        if not self._wbits:
            yield from (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
            return
        has_more = False  # inside of zlib, when all of `data` is taken
        while data or has_more:
            stream = self._stream or self._begin(data)
            if stream is None:
                return
            try:
                piece = stream.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise BrokenEncodingError from None
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
            has_more = len(piece) == PIECE_BYTES and not stream.eof
            self._stream = None if stream.eof else stream
            if piece:
                yield piece

    def _begin(self, data: bytes) -> "zlib._Decompress | None":
        """The next member; None when what follows the last one is padding, which does not count."""
        is_another = self._members > 0
        self._is_over = self._is_over or (is_another and (self._wbits, data[0]) != (_GZIP, 0x1F))
        if self._is_over:
            return None
        if self._members >= MEMBERS:
            raise BrokenEncodingError
        self._members += 1
        # `deflate` should have the zlib header; some servers leave it out.
        is_raw = self._wbits == _ZLIB and not (data[0] & 0x0F == 8 and data[0] >> 4 <= 7)
        return zlib.decompressobj(_RAW if is_raw else self._wbits)
