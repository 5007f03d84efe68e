"""The answer of a server, read within limits.

One job: from what comes to what is kept. It must not know rules or redirects.
"""

import aiohttp
import anyio.lowlevel

from auxot_tools.errors import OutboundFailed
from auxot_tools.net.decoding import BrokenEncodingError, Decoder
from auxot_tools.net.exchange import OutboundAnswer
from auxot_tools.net.failures import named
from auxot_tools.net.urls import Target

# Taken of a compressed body beyond the limit of the plain one, which it hardly exceeds: a stream
# that never becomes a body ends here.
RAW_MARGIN_BYTES = 64 * 2**10


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; of repeated headers the first counts."""
    pairs = reversed(list(response.headers.items()))
    return {name.lower(): value for name, value in pairs}


async def read_answer(
    response: aiohttp.ClientResponse, target: Target, max_bytes: int, redirects: tuple[str, ...]
) -> OutboundAnswer:
    """The whole answer, its body cut at `max_bytes`.

    Raises `OutboundFailed` for a body that is not what its headers say, and whatever the client
    raises when it breaks off.
    """
    headers = headers_of(response)
    server = named(target.host, bool(redirects))
    if response.status < 200:  # it wants to speak something else from here on
        raise OutboundFailed(f"{server} sent an answer that is not valid HTTP.", "bad_answer")
    try:
        body, is_cut = await _read_body(response, max_bytes)
    except BrokenEncodingError:
        problem = f"{server} sent a body that is not encoded as its headers say."
        raise OutboundFailed(problem, "bad_answer") from None
    return OutboundAnswer(
        url=target.url,
        status=response.status,
        headers=headers,
        content_type=headers.get("content-type", ""),
        body=body,
        is_cut=is_cut,
        redirects=redirects,
    )


async def _read_body(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[bytes, bool]:
    decoder = Decoder(response.headers.get("Content-Encoding", ""))
    kept = bytearray()
    raw_bytes = 0
    # The stream holds at most some 128 KiB that were not read: it stops reading the socket then.
    while raw := await response.content.readany():
        raw_bytes += len(raw)
        for piece in decoder.feed(raw):
            await anyio.lowlevel.checkpoint()  # a large body must not hold up everybody else
            kept += piece
            if len(kept) > max_bytes:
                return bytes(kept[:max_bytes]), True
        if raw_bytes > max_bytes + RAW_MARGIN_BYTES:
            return bytes(kept), True
    if not decoder.is_whole:
        raise BrokenEncodingError
    return bytes(kept), False
