"""A turn as bytes: the SSE stream of the Messages API, or its whole JSON message.

One job: render, with the turn's faults in it. Pure: no clock, no I/O; delays are numbers beside the
bytes. It must not know who asked or how the bytes travel.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from auxot_tools.scripted.scenario import (
    JSON,
    Block,
    Faults,
    HttpFault,
    RawBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)

Piece = TypeVar("Piece", str, bytes)
_BROKEN_EVENT = b'event: content_block_delta\ndata: {"type": "content_block_d\n\n'


class Break(Enum):
    """How a stream ends before its end."""

    CUT = "cut"  # the connection drops
    STALL = "stall"  # nothing more comes, and the connection stays


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes to send after waiting ``delay_s``."""

    data: bytes
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What all renderings of one response share: the ids and numbers of its message."""

    message_id: str
    model: str
    usage: JSON

    def message(self, content: list[JSON], turn: Turn | None) -> JSON:
        """The message object; without ``turn`` as it is at the start of a stream."""
        usage = self.usage
        if turn is None and "output_tokens" in usage:
            usage = {**usage, "output_tokens": 1}  # the API's count when it starts
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": turn.stop_reason if turn else None,
            "stop_sequence": turn.stop_sequence if turn else None,
            "usage": usage,
        }


def json_bytes(value: JSON) -> bytes:
    """Compact JSON; text that UTF-8 cannot carry (lone surrogates) is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def blocking_body(turn: Turn, answer: Answer) -> bytes:
    """The whole message. An input that is not a JSON object becomes ``{}``, as JSON needs one."""
    return json_bytes(answer.message([_whole(block) for block in turn.blocks], turn))


def blocking(turn: Turn, answer: Answer) -> Iterator[Frame | Break]:
    """The whole message as it leaves. Where a stream would break, half of it comes."""
    body, faults = blocking_body(turn, answer), turn.faults
    breaks = {
        Break.CUT: faults.cut_after_events is not None,
        Break.STALL: faults.stall_after_events is not None,
    }
    broken = next((kind for kind, is_set in breaks.items() if is_set), None)
    is_whole = broken is None and faults.invalid_json_after_events is None
    yield Frame(body if is_whole else body[: len(body) // 2], turn.first_event_delay_s)
    if broken is not None:
        yield broken


def error_body(error_type: str, message: str) -> bytes:
    """A Messages error body."""
    return json_bytes({"type": "error", "error": {"type": error_type, "message": message}})


def fault_body(fault: HttpFault) -> bytes:
    """The body of a scripted HTTP answer."""
    return fault.body.encode() if fault.body else error_body(fault.error_type, fault.message)


def stream(turn: Turn, answer: Answer) -> Iterator[Frame | Break]:
    """The turn as it leaves, piece by piece; a ``Break`` is the last thing when there is one."""
    pieces = _with_faults(_events(turn, answer), turn.faults)
    if turn.wire_chunk_bytes is None:
        yield from pieces
        return
    for piece in pieces:
        if isinstance(piece, Break):
            yield piece
            return
        parts = _chunks(piece.data, turn.wire_chunk_bytes)
        for index, part in enumerate(parts):
            yield Frame(part, 0.0 if index else piece.delay_s)


def _event(data: JSON, delay_s: float = 0.0) -> Frame:
    kind = str(data["type"]).encode()
    return Frame(b"event: " + kind + b"\ndata: " + json_bytes(data) + b"\n\n", delay_s)


def _events(turn: Turn, answer: Answer) -> Iterator[Frame]:
    yield _event(
        {"type": "message_start", "message": answer.message([], None)}, turn.first_event_delay_s
    )
    if turn.ping_after_start:
        yield _event({"type": "ping"})
    for index, block in enumerate(turn.blocks):
        start = {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        yield _event(start, turn.delta_delay_s)
        for delta in _deltas(block):
            data = {"type": "content_block_delta", "index": index, "delta": delta}
            yield _event(data, turn.delta_delay_s)
        yield _event({"type": "content_block_stop", "index": index})
    end = {"stop_reason": turn.stop_reason, "stop_sequence": turn.stop_sequence}
    if not turn.faults.omit_message_delta:
        yield _event({"type": "message_delta", "delta": end, "usage": answer.usage})
    if not turn.faults.omit_message_stop:
        yield _event({"type": "message_stop"})


def _opened(block: Block) -> JSON:
    """The block as ``content_block_start`` has it."""
    match block:
        case TextBlock():
            return {"type": "text", "text": ""}
        case ThinkingBlock():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUseBlock():
            return {
                "type": "tool_use",
                "id": block.id,
                "name": block.name,
                "input": {},
                **block.extra,
            }
        case RawBlock():
            return block.block


def _deltas(block: Block) -> Iterator[JSON]:
    match block:
        case TextBlock():
            for text in _chunks(block.text, block.chunk_chars):
                yield {"type": "text_delta", "text": text}
        case ThinkingBlock():
            for text in _chunks(block.thinking, block.chunk_chars):
                yield {"type": "thinking_delta", "thinking": text}
            yield {"type": "signature_delta", "signature": block.signature}
        case ToolUseBlock():
            yield {"type": "input_json_delta", "partial_json": ""}
            for text in _chunks(input_text(block), block.chunk_chars):
                yield {"type": "input_json_delta", "partial_json": text}
        case RawBlock():
            return


def input_text(block: ToolUseBlock) -> str:
    """The input as the model writes it."""
    if block.raw_input is not None:
        return block.raw_input
    return json.dumps(block.input, ensure_ascii=False)


def _whole(block: Block) -> JSON:
    match block:
        case TextBlock():
            return {"type": "text", "text": block.text}
        case ThinkingBlock():
            return {
                "type": "thinking",
                "thinking": block.thinking,
                "signature": block.signature,
            }
        case ToolUseBlock():
            return {**_opened(block), "input": _parsed_input(block)}
        case RawBlock():
            return block.block


def _parsed_input(block: ToolUseBlock) -> JSON:
    if block.raw_input is None:
        return block.input
    try:
        parsed = json.loads(block.raw_input)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _chunks(whole: Piece, size: int) -> Iterator[Piece]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _with_faults(frames: Iterable[Frame], faults: Faults) -> Iterator[Frame | Break]:
    """The frames with the faults put in at their places; counts are of regular events."""
    error = {"type": "error", "error": {"type": faults.error_type, "message": "scripted fault"}}
    ends: dict[int | None, Frame | Break] = {
        faults.error_after_events: _event(error),
        faults.stall_after_events: Break.STALL,
        faults.cut_after_events: Break.CUT,
    }
    extras: dict[int | None, Frame] = {
        faults.invalid_json_after_events: Frame(_BROKEN_EVENT),
        faults.unknown_event_after_events: _event({"type": "scripted_unknown_event"}),
    }
    count = 0
    for frame in frames:
        if count in extras:
            yield extras[count]
        if count in ends:
            yield ends[count]
            return
        yield frame
        count += 1
    if count in ends:
        yield ends[count]
