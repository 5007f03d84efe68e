"""Messages stream events, and how they add up to blocks and usage.

One job: the values of a stream and their sums. Facts: Messages API reference, "Streaming"; the
official SDK's accumulator is the oracle for what each delta does to its block.
Must not know SSE bytes, tools or who reads the stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages import exact_json
from auxot_tools.types import JSON


@dataclass(frozen=True, slots=True)
class Event:
    """One stream event. `raw` is its JSON text when that is known to say the same as `data`."""

    type: str
    data: JSON
    raw: bytes = b""


def event(data: JSON) -> Event:
    return Event(data["type"], data)


# event type -> (its members, and the type each must have)
_SHAPES: dict[str, tuple[tuple[str, type], ...]] = {
    "message_start": (("message", dict),),
    "content_block_start": (("index", int), ("content_block", dict)),
    "content_block_delta": (("index", int), ("delta", dict)),
    "content_block_stop": (("index", int),),
    "message_delta": (("delta", dict),),
    "error": (("error", dict),),
}
_BLOCK_SHAPES: dict[str, tuple[tuple[str, type], ...]] = {
    "tool_use": (("id", str), ("name", str)),
}


def check_shape(event: Event) -> None:
    """Raise `RemoteProtocolError` when an event lacks what a reader of it must rely on."""
    if event.type == "content_block_delta":  # nearly all of them
        data = event.data
        if isinstance(data.get("index"), int) and isinstance(data.get("delta"), dict):
            return
    _require(event.type, event.data, _SHAPES.get(event.type, ()))
    if event.type != "content_block_start":
        return
    block = event.data["content_block"]
    _require("content block", block, (("type", str),))
    _require("tool_use", block, _BLOCK_SHAPES.get(block["type"], ()))


def _require(what: str, data: JSON, members: tuple[tuple[str, type], ...]) -> None:
    for name, kind in members:
        value = data.get(name)
        if not isinstance(value, kind) or value == "":
            raise RemoteProtocolError(f"the upstream sent a {what} without a proper {name}")


# delta type -> (field of the delta, field of the block, how it joins)
_DELTAS: dict[str, tuple[str, str, str]] = {
    "text_delta": ("text", "text", "append"),
    "thinking_delta": ("thinking", "thinking", "append"),
    "signature_delta": ("signature", "signature", "replace"),
    "citations_delta": ("citation", "citations", "collect"),
    "input_json_delta": ("partial_json", "", "input"),
}


@dataclass(slots=True)
class BlockInProgress:
    """A block between its start and its stop. `input_parts` are the pieces of its input's text."""

    block: JSON
    input_parts: list[str] = field(default_factory=list)
    pieces: dict[str, list[str]] = field(default_factory=dict)

    def add(self, delta: JSON) -> None:
        """Take one delta in. A kind of delta that we do not know changes nothing."""
        rule = _DELTAS.get(str(delta.get("type")))
        if rule is None:
            return
        source, target, join = rule
        value = delta.get(source)
        if join == "collect":
            self.block[target] = [*(self.block.get(target) or []), value]
            return
        if not isinstance(value, str):
            raise RemoteProtocolError(f"a {delta['type']} has no {source}")
        if join == "input":
            self.input_parts.append(value)
        elif join == "append":
            self.pieces.setdefault(target, []).append(value)
        else:
            self.block[target] = value

    def finish(self) -> "FinishedBlock":
        """The whole block. Its input's text is kept as it came, valid or not."""
        for target, parts in self.pieces.items():
            self.block[target] = str(self.block.get(target) or "") + "".join(parts)
        text = _utf8("".join(self.input_parts))
        if not text.strip():
            return FinishedBlock(self.block)
        value = _object_or_none(text)
        self.block["input"] = {} if value is None else value
        return FinishedBlock(self.block, text, input_valid=value is not None)


@dataclass(frozen=True, slots=True)
class FinishedBlock:
    """A whole block; `input_text` is the input as written, empty when it came in the start."""

    block: JSON
    input_text: bytes = b""
    input_valid: bool = True

    def encode(self) -> bytes:
        """The block as JSON text, its input exactly as the upstream wrote it when that is JSON."""
        if self.input_text and self.input_valid:
            return exact_json.encode_with_raw(self.block, "input", self.input_text)
        return exact_json.encode(self.block)

    def input_json(self) -> bytes:
        """What the model wrote as input, cut or wrong as it may be."""
        return self.input_text or exact_json.encode(self.block.get("input", {}))


def _utf8(text: str) -> bytes:
    """The text in UTF-8; surrogate pairs cut apart between two deltas are joined again."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return joined.encode("utf-8", "surrogatepass")


def _object_or_none(text: bytes) -> JSON | None:
    try:
        value = exact_json.decode(text)
    except exact_json.InvalidJSON:
        return None
    if not isinstance(value, dict) or _may_be_too_deep(text, value):
        return None
    return value


def _may_be_too_deep(text: bytes, value: JSON) -> bool:
    brackets = text.count(b"{") + text.count(b"[")
    most = exact_json.MAX_DEPTH - 10  # it will stand inside of a block, a message and a request
    return brackets > most and exact_json.is_deeper(value, most)


def as_usage(value: object) -> JSON:
    """A usage object, or an empty one where an upstream sent something else."""
    return value if isinstance(value, dict) else {}


def add_usage(total: JSON, turn: JSON) -> JSON:
    """The usage of two turns together: counters are summed, anything else is the later one's."""
    summed = dict(total)
    for key, value in turn.items():
        before = summed.get(key)
        if isinstance(value, dict):
            summed[key] = add_usage(before if isinstance(before, dict) else {}, value)
        elif _is_count(value):
            summed[key] = value + (before if _is_count(before) else 0)
        elif value is not None or key not in summed:
            summed[key] = value
    return summed


def overlay_usage(start: JSON, delta: JSON) -> JSON:
    """One turn's usage: `message_delta` counts are cumulative and overwrite those of the start."""
    return start | {key: value for key, value in delta.items() if value is not None}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole_block_events(index: int, block: JSON) -> Iterable[Event]:
    """A block that arrives whole in its start, as server result blocks do."""
    yield event({"type": "content_block_start", "index": index, "content_block": block})
    yield event({"type": "content_block_stop", "index": index})


# block type -> its fields that clients read from deltas only, with what they are at the start
_SPELLED: dict[str, JSON] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}
# field -> the type of its delta, and the delta's own field
_SPELLED_BY: dict[str, tuple[str, str]] = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "signature": ("signature_delta", "signature"),
    "input": ("input_json_delta", "partial_json"),
}


def is_spelled_out(block: JSON) -> bool:
    """Whether the start of a block leaves to deltas all that clients read from deltas."""
    empty = _SPELLED.get(block["type"], {})
    return not any(block.get(name) for name in empty)


def opening_events(index: int, block: JSON, input_text: str = "") -> Iterable[Event]:
    """The start of a block that holds something already, and the deltas that say what.

    `input_text` is the JSON text of its input, when it is known.
    """
    empty = _SPELLED.get(block["type"], {})
    started = block | {name: empty[name] for name in empty if name in block}
    yield event({"type": "content_block_start", "index": index, "content_block": started})
    for name in empty:
        value = block.get(name)
        if name == "input" and (input_text or value):
            value = input_text or exact_json.encode(value).decode()
        if not value:
            continue
        kind, field_name = _SPELLED_BY[name]
        delta = {"type": kind, field_name: value}
        yield event({"type": "content_block_delta", "index": index, "delta": delta})


def turn_events(
    opened: JSON, blocks: Iterable[FinishedBlock], end: JSON, usage: JSON
) -> Iterable[Event]:
    """A turn that is known whole, told as a stream. `opened` is its message at the start."""
    yield event({"type": "message_start", "message": opened})
    for index, finished in enumerate(blocks):
        text = finished.input_text.decode("utf-8", "surrogatepass")
        yield from opening_events(index, finished.block, text)
        yield event({"type": "content_block_stop", "index": index})
    yield event({"type": "message_delta", "delta": end, "usage": usage})
    yield event({"type": "message_stop"})


_END_KEYS = ("stop_reason", "stop_sequence", "stop_details", "container")


def message_events(message: JSON) -> Iterable[Event]:
    """A blocking answer told as a stream, for upstreams that do not stream."""
    content = message.get("content")
    if message.get("type") != "message" or not isinstance(content, list):
        raise RemoteProtocolError("the upstream's JSON answer is not a Messages message")
    for block in content:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise RemoteProtocolError("the upstream sent a content block without a proper type")
    end = {"stop_reason": None, "stop_sequence": None}
    end |= {key: message[key] for key in _END_KEYS if key in message}
    opened = {key: value for key, value in message.items() if key not in _END_KEYS}
    opened |= {"content": [], "stop_reason": None, "stop_sequence": None}
    blocks = [FinishedBlock(block) for block in content]
    yield from turn_events(opened, blocks, end, as_usage(message.get("usage")))
