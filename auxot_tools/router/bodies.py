"""Request bodies: read whole, in bounded size and time, and parsed.

One job: from ASGI messages to a `MessagesRequest`, or an error that says what is wrong. Must not
know what is done with it.
"""

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread
from starlette.types import Receive

from auxot_tools.errors import RequestError, RequestTooLarge
from auxot_tools.messages.request import MessagesRequest

T = TypeVar("T")

BODY_TIMEOUT_S = 60.0  # for the whole body; 32 MB over a slow line takes less
DROPPED_BODIES = 4  # a body that is too large is read to this many times the limit
# Reading a body of this size takes about 2 ms: larger ones are read in a thread.
LARGE_BODY_BYTES = 256 * 1024


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """The whole body. Raises `RequestError` and `RequestTooLarge`.

    One that is too large is read on a while, and dropped, before it is refused: a client that is
    still sending when the answer comes may never read it.
    """
    pieces: list[bytes] = []
    size, patience_bytes = 0, DROPPED_BODIES * max_bytes
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            while size <= patience_bytes:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestError("The client left before its request was complete.")
                piece = message.get("body", b"")
                size += len(piece)
                if size <= max_bytes:
                    pieces.append(piece)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        text = f"The request body did not arrive within {BODY_TIMEOUT_S:g} s."
        raise RequestError(text) from None
    if size > max_bytes:
        raise RequestTooLarge(f"The request body is larger than {max_bytes} bytes.")
    return b"".join(pieces)


async def parsed(body: bytes, parse: Callable[[bytes], MessagesRequest]) -> MessagesRequest:
    """The request that a body holds. Raises `RequestError`."""
    return await offloaded(body, parse, body)


async def offloaded(body: bytes, work: Callable[..., T], *arguments: object) -> T:
    """What `work` gives; in a thread when it is about a body so large that others would wait."""
    if len(body) < LARGE_BODY_BYTES:
        return work(*arguments)
    return await to_thread.run_sync(work, *arguments)
