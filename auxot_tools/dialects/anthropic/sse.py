"""Server-sent events of the Messages API: bytes -> events, events -> bytes.

One job: framing. The decoder takes bytes cut anywhere and gives the same events for every way of
cutting; anything that is no event stream raises `RemoteProtocolError` and nothing else. Facts:
Messages API reference, "Streaming"; WHATWG "Server-sent events". Must not know what events mean.
"""

import re
from typing import Any

import orjson

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event
from auxot_tools.types import JSON

# The largest frame that an upstream may send: an image result arrives whole in one frame, and a
# whole request may have 32 MB.
MAX_FRAME_BYTES = 32 * 2**20

# Only a block's start can carry values that must come back exactly (integers beyond 64 bits); all
# other events hold strings and small counters, and are read by the faster parser.
_EXACT = b'"content_block_start"'

_KNOWN = frozenset(
    {
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_start",
        "message_stop",
        "ping",
    }
)
_TYPE = re.compile(r"[\w.-]{1,64}")  # goes out as the frame's `event:` line


class SseDecoder:
    """Bytes in, events out. Keeps at most one unfinished frame. Lines end in LF or CRLF."""

    def __init__(self) -> None:
        self._line = bytearray()  # the line that is not finished
        self._data: list[bytes] = []  # the data lines of the frame that is not finished
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises `RemoteProtocolError`."""
        if not self._line and not self._data and _is_plain(chunk):
            frames = chunk[:-2].split(b"\n\n")
            return [found for frame in frames if (found := self._take_plain(frame)) is not None]
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events = []
        for part in lines:
            line = part
            if self._line:
                line = bytes(self._line) + part
                self._line.clear()
            found = self._take_line(line.removesuffix(b"\r"))
            if found is not None:
                events.append(found)
        self._line += rest
        self._check_size()
        return events

    def _take_plain(self, frame: bytes) -> Event | None:
        """A whole frame, whose lines end in LF; nearly all have just an event and a data line."""
        first, _, second = frame.partition(b"\n")
        if first.startswith(b"event:") and second.startswith(b"data: ") and b"\n" not in second:
            raw = second[6:]
            return _parse(raw) if raw.strip() != b"[DONE]" else None
        for line in frame.split(b"\n"):
            self._take_line(line)
        return self._take_frame()

    def _take_line(self, line: bytes) -> Event | None:
        if not line:
            return self._take_frame()
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._data_bytes += len(line)
            self._check_size()
        return None  # `event:` repeats the JSON's type; the other fields say nothing here

    def _check_size(self) -> None:
        if len(self._line) + self._data_bytes > MAX_FRAME_BYTES:
            raise RemoteProtocolError("the upstream sent a stream event of more than 32 MiB")

    def _take_frame(self) -> Event | None:
        if not self._data:
            return None
        raw = b"\n".join(self._data)
        self._data, self._data_bytes = [], 0
        if raw.strip() == b"[DONE]":  # some servers end their streams the OpenAI way
            return None
        return _parse(raw)


def _is_plain(chunk: bytes) -> bool:
    """Whether it holds whole frames only, as nearly every piece that an upstream sends does."""
    return chunk.endswith(b"\n\n") and b"\r" not in chunk and len(chunk) <= MAX_FRAME_BYTES


def _parse(raw: bytes) -> Event:
    data = _object(raw)
    kind = data.get("type")
    if not isinstance(kind, str) or (kind not in _KNOWN and not _TYPE.fullmatch(kind)):
        raise RemoteProtocolError("the upstream sent a stream event without a proper type")
    is_one_line = b"\n" not in raw and b"\r" not in raw
    return Event(kind, data, raw if is_one_line else b"")


def _object(raw: bytes) -> JSON:
    try:
        data: Any = exact_json.decode(raw) if _EXACT in raw else _fast(raw)
    except exact_json.InvalidJSON:
        raise RemoteProtocolError("the upstream sent a stream event that is not JSON") from None
    if not isinstance(data, dict):
        raise RemoteProtocolError("the upstream sent a stream event that is not a JSON object")
    return data


def _fast(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:  # also for half a surrogate pair, which JSON may hold
        return exact_json.decode(raw)


def encode_event(event: Event) -> bytes:
    """One frame, with its `event:` line: decoders without it see an empty stream."""
    data = event.raw or exact_json.encode(event.data)
    return b"event: " + event.type.encode() + b"\ndata: " + data + b"\n\n"


PING = b'event: ping\ndata: {"type": "ping"}\n\n'
