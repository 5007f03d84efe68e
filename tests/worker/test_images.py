"""Which files become images that a model sees: by their bytes, whole, few and small enough."""

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.messages.images import MAX_IMAGE_BYTES, image_type
from auxot_tools.ports import OutputFile
from auxot_tools.worker.images import MAX_IMAGES, image_blocks


def chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int = 1, height: int = 1, padding: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"tEXt", b"x" * padding), (b"IDAT", zlib.compress(b"\0\0"))
    body = b"".join(chunk(*part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def jpeg(width: int = 1, height: int = 1) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"\xff\xc0ab"  # looks like a frame, and is none
    return (
        b"\xff\xd8" + comment + b"\xff\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame
        + b"\xff\xda\x00\x02abc\xff\xd9"
    )  # fmt: skip


def gif(width: int = 1, height: int = 1) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0,abc;"


def webp(width: int = 1, height: int = 1, form: bytes = b"X") -> bytes:
    if form == b"X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif form == b"L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    body = b"WEBPVP8" + form + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(body)) + body


MAKERS = {"image/png": png, "image/jpeg": jpeg, "image/gif": gif, "image/webp": webp}


@pytest.mark.parametrize("media_type", MAKERS)
def test_an_image_is_what_its_bytes_say(media_type: str) -> None:
    data = MAKERS[media_type](640, 480)
    (block,) = image_blocks([OutputFile("data.txt", data)])
    encoded = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": media_type, "data": encoded}
    assert block == {"type": "image", "source": source}


@pytest.mark.parametrize("form", [b"X", b"L", b" "])
def test_every_form_of_webp_tells_its_size(form: bytes) -> None:
    assert image_type(webp(8000, 3, form)) == "image/webp"
    assert image_type(webp(8001, 3, form)) == ""


@pytest.mark.parametrize("media_type", MAKERS)
@pytest.mark.parametrize("size", [(8001, 1), (1, 8001)])
def test_an_image_with_too_many_pixels_is_none(media_type: str, size: tuple[int, int]) -> None:
    assert image_type(MAKERS[media_type](*size)) == ""
    assert image_type(MAKERS[media_type](8000, 8000)) == media_type


@pytest.mark.parametrize("media_type", MAKERS)
def test_an_image_that_is_cut_off_anywhere_is_none(media_type: str) -> None:
    data = MAKERS[media_type](3, 3)
    assert {image_type(data[:end]) for end in range(len(data))} == {""}


@pytest.mark.parametrize(
    "data", [b"", b"x", b"<svg/>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt ", b"BM"]
)
def test_a_file_that_is_only_named_like_an_image_is_none(data: bytes) -> None:
    assert image_blocks([OutputFile("plot.png", data)]) == ()


def test_the_first_few_images_are_shown_in_their_order() -> None:
    files = [OutputFile(f"{n}.png", png(n + 1)) for n in range(MAX_IMAGES + 2)]
    files.insert(1, OutputFile("a.csv", b"1,2"))
    blocks = image_blocks(files)
    sent = [base64.b64decode(block["source"]["data"]) for block in blocks]
    assert sent == [png(n + 1) for n in range(MAX_IMAGES)]


def test_an_image_beyond_the_limit_is_left_out_and_takes_no_place() -> None:
    room = MAX_IMAGE_BYTES - len(png())
    assert len(png(padding=room)) == MAX_IMAGE_BYTES
    files = [OutputFile("large.png", png(padding=room + 1))]
    files += [OutputFile(f"{n}.png", png(padding=room)) for n in range(MAX_IMAGES)]
    assert len(image_blocks(files)) == MAX_IMAGES
    block = image_blocks(files)[0]
    assert len(block["source"]["data"]) <= 5_000_000


MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8L")


@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_any_bytes_at_all_are_judged(magic: bytes, rest: bytes) -> None:
    assert image_type(magic + rest) in {"", *MAKERS}
