"""Images that a program left behind, as blocks that the model sees.

One job: that translation. Pure. What an image is, its bytes say and not its name; one that the
upstream would refuse becomes no block (``messages.images``).
"""

import base64
from collections.abc import Iterator, Sequence

from auxot_tools.messages.images import image_type
from auxot_tools.ports import OutputFile
from auxot_tools.types import JSON

MAX_IMAGES = 4  # of one result: each costs the model some 1,500 tokens


def image_blocks(files: Sequence[OutputFile]) -> tuple[JSON, ...]:
    """The first images among the files, in their order, as ``image`` blocks."""
    return tuple(_blocks(files))[:MAX_IMAGES]


def _blocks(files: Sequence[OutputFile]) -> Iterator[JSON]:
    for file in files:
        if media_type := image_type(file.data):
            encoded = base64.b64encode(file.data).decode()
            source = {"type": "base64", "media_type": media_type, "data": encoded}
            yield {"type": "image", "source": source}
