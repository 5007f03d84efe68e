"""An upstream's answer as events, whether it streams or not.

One job: from the pieces of a body to the events that each piece completes, in bounded memory. It
must not know loops or clients.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from auxot_tools.dialects.anthropic.sse import MAX_FRAME_BYTES, SseDecoder
from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event, message_events
from auxot_tools.ports import ModelResponse
from auxot_tools.types import JSON

# One turn of an upstream is held in memory, to be sent back with the results; more than this is no
# answer of a model.
MAX_TURN_BYTES = 64 * 2**20


async def turn_of(response: ModelResponse) -> AsyncGenerator[Sequence[Event], None]:
    """The events of an answer, as many at once as came at once.

    Raises `RemoteProtocolError`.
    """
    media_type = response.content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        yield tuple(message_events(await _json_body(response)))
        return
    if media_type != "text/event-stream":
        kind = media_type[:80] or "something without a content type"
        raise RemoteProtocolError(f"the upstream answered with {kind}, not with an event stream")
    size = 0
    decoder = SseDecoder()
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_TURN_BYTES:
                raise RemoteProtocolError("the upstream's answer is larger than 64 MiB")
            events = decoder.feed(chunk)
            if events:
                yield events


async def _json_body(response: ModelResponse) -> JSON:
    body = bytearray()
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_FRAME_BYTES:
                raise RemoteProtocolError("the upstream's answer is larger than 32 MiB")
    try:
        value = exact_json.decode(bytes(body))
    except exact_json.InvalidJSON:
        raise RemoteProtocolError("the upstream's answer is not JSON") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("the upstream's answer is not a JSON object")
    return value
