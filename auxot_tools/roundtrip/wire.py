"""What came over the wire, read with patience: an SSE stream as records, and the message it makes.

One job: read. Nothing is refused: a broken stream is what is to be examined (`stream_checks` says
what is broken). Pure. It must not know rules, endpoints or HTTP.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from auxot_tools.types import JSON

STEADY = frozenset({"ping", "error"})  # what may come anywhere, and is part of no block
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Record:
    """One SSE record: its `event:` line (`None` without one), its `data:` lines joined, and the
    JSON object that they hold (`None` when they hold none). ``at_s`` is when its end came.
    """

    event: str | None
    data: str
    value: JSON | None
    at_s: float = 0.0

    @property
    def type(self) -> str:
        """What it is: the JSON's own `type`, which every client of the Messages API goes by."""
        kind = (self.value or {}).get("type")
        return kind if isinstance(kind, str) else ""

    @property
    def index(self) -> int | None:
        """The block it is about."""
        index = (self.value or {}).get("index")
        return index if isinstance(index, int) and not isinstance(index, bool) else None

    def member(self, name: str) -> JSON:
        """A member of its JSON that should be an object; empty when it is not."""
        found = (self.value or {}).get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Stream:
    """The records of a stream, and what came after the last of them that is none."""

    records: tuple[Record, ...]
    rest: str = ""
    is_cut: bool = False  # there were more records than are looked at

    @cached_property
    def events(self) -> tuple[Record, ...]:
        """The records that are events of the message: no pings, no errors, nothing unreadable."""
        kept = (record for record in self.records if record.type and record.type not in STEADY)
        return tuple(kept)

    @cached_property
    def _by_type(self) -> Mapping[str, tuple[Record, ...]]:
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.type, []).append(record)
        return {kind: tuple(records) for kind, records in found.items()}

    def of(self, kind: str) -> tuple[Record, ...]:
        """The records of one type."""
        return self._by_type.get(kind, ())

    def starts(self) -> tuple[Record, ...]:
        return self.of("content_block_start")

    @cached_property
    def _deltas(self) -> Mapping[int | None, list[JSON]]:
        found: dict[int | None, list[JSON]] = {}
        for record in self.of("content_block_delta"):
            found.setdefault(record.index, []).append(record.member("delta"))
        return found

    def deltas(self, index: int | None) -> Sequence[JSON]:
        """The deltas of one block."""
        return self._deltas.get(index, ())

    @cached_property
    def block_types(self) -> Mapping[int, str]:
        """The type of each block by its index; of an index that comes twice the first."""
        found: dict[int, str] = {}
        for start in self.starts():
            kind = start.member("content_block").get("type")
            if start.index is not None and isinstance(kind, str):
                found.setdefault(start.index, kind)
        return found


def read_stream(pieces: Iterable[tuple[bytes, float]], most: int | None = None) -> Stream:
    """The stream in pieces of bytes and the times at which they came; the first ``most`` records.

    Bytes that are no UTF-8 are replaced. Comments count for nothing here. Of a record the field
    `event` that comes last counts, as the SSE rules say.
    """
    whole = bytearray()
    ends: list[tuple[int, float]] = []  # after so many bytes it was so late
    for data, at_s in pieces:
        whole += data
        ends.append((len(whole), at_s))
    records: list[Record] = []
    place = 0
    clock = iter(ends)
    reached, now_s = next(clock, (0, 0.0))
    for part, size in _parts(bytes(whole)):
        if most is not None and len(records) >= most:
            return Stream(tuple(records), is_cut=True)
        place += size
        while reached < place:
            reached, now_s = next(clock, (place, now_s))
        record = _record(part, now_s)
        if record is not None:
            records.append(record)
    return Stream(tuple(records), bytes(whole[place:]).decode("utf-8", "replace"))


def read_bytes(data: bytes) -> Stream:
    """The same of a stream whose times do not matter."""
    return read_stream([(data, 0.0)])


_ONE_END = rb"(?:\r\n|\r(?!\n)|\n)"
_BLANK_LINE = re.compile(_ONE_END * 2)


def _parts(whole: bytes) -> Iterator[tuple[str, int]]:
    """What stands between blank lines, and how many bytes each takes with its blank line."""
    begin = 0
    for end in _BLANK_LINE.finditer(whole):
        if end.start() < begin:
            continue
        yield whole[begin : end.start()].decode("utf-8", "replace"), end.end() - begin
        begin = end.end()


def _record(part: str, at_s: float) -> Record | None:
    """The record in these lines; `None` for comments alone."""
    event: str | None = None
    data: list[str] = []
    for line in _LINE_END.split(part.removeprefix("\ufeff")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
    if event is None and not data:
        return None
    text = "\n".join(data)
    return Record(event, text, parsed_object(text), at_s)


def parsed(text: object) -> Any:
    """The JSON value; `None` when it is none, or one that is too deep to be looked at."""
    try:
        value = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):
        return None
    return None if is_deep(value) else value


DEEPEST = 100  # levels of JSON: no message has a tenth of it, and showing more takes recursion


def is_deep(value: Any, limit: int = DEEPEST) -> bool:
    """Whether a JSON value has more levels than that."""
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def parsed_object(text: object) -> JSON | None:
    """The JSON object; `None` when it is none."""
    value = parsed(text)
    return value if isinstance(value, dict) else None


def message_of(stream: Stream) -> JSON | None:
    """The message that a patient client makes of a stream; `None` when nothing of one came.

    Blocks stand in the order in which they began. An input that is no JSON object stays the text
    that came, so that nobody takes it for a good one.
    """
    if not stream.events:
        return None
    opened = next(iter(stream.of("message_start")), None)
    message: JSON = dict(opened.member("message")) if opened else {}
    message["content"] = _blocks(stream)
    for record in stream.of("message_delta"):
        message |= record.member("delta")
        usage = message.get("usage")
        message["usage"] = (usage if isinstance(usage, dict) else {}) | record.member("usage")
    return message


_INPUT = "partial_json"
_MEMBER_OF_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": _INPUT,
}


def _blocks(stream: Stream) -> list[JSON]:
    """The blocks; a delta belongs to the latest start of its index, one without a start to none."""
    made: list[tuple[JSON, dict[str, list[str]]]] = []
    latest: dict[int | None, dict[str, list[str]]] = {}
    for record in stream.events:
        if record.type == "content_block_start":
            latest[record.index] = {}
            made.append((dict(record.member("content_block")), latest[record.index]))
        elif record.type == "content_block_delta" and record.index in latest:
            delta = record.member("delta")
            kind = delta.get("type")
            name = _MEMBER_OF_DELTA.get(kind) if isinstance(kind, str) else None
            if name is not None:
                latest[record.index].setdefault(name, []).append(str(delta.get(name) or ""))
    return [_completed(block, texts) for block, texts in made]


def _completed(block: JSON, texts: Mapping[str, list[str]]) -> JSON:
    for name, parts in texts.items():
        text = "".join(parts)
        if name != _INPUT:
            block[name] = f"{block.get(name) or ''}{text}"
        elif text:
            value = parsed_object(text)
            block["input"] = text if value is None else value
    return block


def input_text(stream: Stream, index: int) -> str:
    """The input of the block as it was streamed."""
    return "".join(str(delta.get("partial_json") or "") for delta in stream.deltas(index))
