"""The output of running calls as extra events, for a client that asked for them.

One job: pieces of bytes to `auxot.tool_output` events with whole characters, in bounded number.
Without this nothing leaves that a strict client would refuse. Must not know how calls are run.
"""

import codecs

from auxot_tools.messages.events import Event, event
from auxot_tools.types import OutputChunk

EVENT_TYPE = "auxot.tool_output"
# Of one call; a result holds the head and tail of everything, so a watcher misses nothing else.
MAX_LIVE_BYTES = 2**20
CUT_TEXT = f"\n[live output ends here, after {MAX_LIVE_BYTES} bytes; the call goes on]\n"


class LiveOutput:
    """The live output of the calls of one message."""

    def __init__(self) -> None:
        self._calls: dict[str, _LiveCall] = {}

    def event_of(self, shown_id: str, chunk: OutputChunk) -> Event | None:
        """The event for this piece; `None` when there is nothing (more) to be told."""
        call = self._calls.setdefault(shown_id, _LiveCall())
        text = call.text_of(chunk)
        if not text:
            return None
        call.sequence += 1
        return event(
            {
                "type": EVENT_TYPE,
                "tool_use_id": shown_id,
                "stream": chunk.stream,
                "sequence": call.sequence - 1,
                "text": text,
            }
        )


class _LiveCall:
    """One call: what was told of it, and characters that are not complete."""

    def __init__(self) -> None:
        self.sequence = 0
        self._told_bytes = 0
        # Many programs write bytes that are no text; a piece may end within a character.
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")
        }

    def text_of(self, chunk: OutputChunk) -> str:
        if self._told_bytes > MAX_LIVE_BYTES:
            return ""
        self._told_bytes += len(chunk.data)
        if self._told_bytes > MAX_LIVE_BYTES:
            return CUT_TEXT
        return self._decoders[chunk.stream].decode(chunk.data)
