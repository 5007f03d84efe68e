"""Images that a program left behind, as blocks that the model sees.

One job: that translation. Pure. What an image is, its bytes say and not its name.
"""

import base64
from collections.abc import Sequence

from auxot_tools.ports import OutputFile
from auxot_tools.types import JSON

MAX_IMAGES = 4  # of one result: each costs the model some 1,500 tokens
MAX_IMAGE_BYTES = 3_750_000  # 5 MB in base64, the Messages API's limit of one image
_RIFF, _WEBP = b"RIFF", b"WEBP"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def image_blocks(files: Sequence[OutputFile]) -> tuple[JSON, ...]:
    """The first images among the files, in their order, as ``image`` blocks."""
    found = ((file.data, image_type(file.data)) for file in files)
    images = [(data, kind) for data, kind in found if kind and len(data) <= MAX_IMAGE_BYTES]
    return tuple(_block(data, kind) for data, kind in images[:MAX_IMAGES])


def image_type(data: bytes) -> str:
    """The media type by the first bytes; empty for what is no image that a model can see."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    return "image/webp" if data[:4] == _RIFF and data[8:12] == _WEBP else ""


def _block(data: bytes, media_type: str) -> JSON:
    encoded = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": media_type, "data": encoded}
    return {"type": "image", "source": source}
