"""Which bytes are an image that the Messages API takes: whole, of a kind it knows, not too large.

One job: judge bytes. Pure; nothing is decoded. An image that the upstream refuses would end the
whole conversation, and not only one call. It must not know where the bytes come from.
"""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

MAX_IMAGE_BYTES = 3_750_000  # 5 MB in base64, the Messages API's limit of one image
MAX_PIXELS = 8_000  # of a side; likewise
_MOST_PARTS = 100_000  # of a file's structure are looked at; a whole image has far fewer
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WEBP = re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL)

_Size = tuple[int, int]


class _Kind(NamedTuple):
    media_type: str
    magic: tuple[bytes, ...]
    size: Callable[[bytes], _Size]  # width and height; 0 when the file is not whole


def image_type(data: bytes) -> str:
    """The media type of an image that a model can be shown; empty for everything else."""
    if len(data) > MAX_IMAGE_BYTES:
        return ""
    for kind in _KINDS:
        if data.startswith(kind.magic):
            try:
                width, height = kind.size(data)
            except (struct.error, IndexError):  # it ends before its size is told
                return ""
            fits = 0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS
            return kind.media_type if fits else ""
    return ""


def _png_size(data: bytes) -> _Size:
    is_whole = data[12:16] == b"IHDR" and b"IDAT" in data and data.endswith(_PNG_END)
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if is_whole else (0, 0)


def _gif_size(data: bytes) -> _Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return (width, height) if data.endswith(b";") else (0, 0)


def _jpeg_size(data: bytes) -> _Size:
    """From the frame's header, which lies behind any number of other segments."""
    if b"\xff\xd9" not in data[-64:]:  # writers may put a few bytes behind the end
        return 0, 0
    at = 2
    for _ in range(_MOST_PARTS):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return 0, 0


def _webp_size(data: bytes) -> _Size:
    if not _WEBP.match(data) or len(data) < struct.unpack_from("<I", data, 4)[0] + 8:
        return 0, 0
    if data[15:16] == b"X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif data[15:16] == b"L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width, height


_KINDS = (
    _Kind("image/png", (_PNG,), _png_size),
    _Kind("image/jpeg", (b"\xff\xd8\xff",), _jpeg_size),
    _Kind("image/gif", (b"GIF87a", b"GIF89a"), _gif_size),
    _Kind("image/webp", (b"RIFF",), _webp_size),
)
