"""What may be wrong with a stream: one function for each rule of its order, indexes and records.

One job: from a `Stream` to what breaks one rule. Each looks at one thing and is silent about what
another looks at: a stream without a start of a block is told once. Pure. It must not know endpoints
or HTTP. `violations` is for whoever wants all of it at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from auxot_tools.roundtrip.verdicts import quoted
from auxot_tools.roundtrip.wire import Record, Stream, input_text, parsed_object, read_bytes

StreamCheck = Callable[[Stream], Iterator[str]]

KNOWN_EVENTS = frozenset(
    {
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "ping", "error"),
    }
)
CLIENT_CALL = "tool_use"
SHOWN_CALLS = frozenset({"mcp_tool_use", "server_tool_use"})
_CALLS = SHOWN_CALLS | {CLIENT_CALL}
# delta -> the blocks that may have it; a delta that is not here is none of this rule's
_BLOCKS_OF_DELTA = {
    "text_delta": frozenset({"text"}),
    "citations_delta": frozenset({"text"}),
    "thinking_delta": frozenset({"thinking"}),
    "signature_delta": frozenset({"thinking"}),
    "input_json_delta": _CALLS,
}
_OF_BLOCKS = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})


@dataclass(frozen=True, slots=True)
class Violation:
    """What breaks a rule: its id, and what was seen."""

    rule: str
    text: str


def is_shown_call(kind: object) -> bool:
    """Whether a block of this type is a call that the server runs."""
    return isinstance(kind, str) and kind in SHOWN_CALLS


def is_result(kind: object) -> bool:
    """Whether a block of this type is the answer to a call that the server ran."""
    return isinstance(kind, str) and kind.endswith("_tool_result")


def data_is_json(stream: Stream) -> Iterator[str]:
    for record in stream.records:
        if record.value is None or not record.type:
            yield f"data is no JSON object with a type: {quoted(record.data[:80])}"


def event_matches_type(stream: Stream) -> Iterator[str]:
    for record in stream.records:
        if not record.type:
            continue
        if record.event is None:
            yield f"{record.type} came without an event line"
        elif record.event != record.type:
            yield f"event: {record.event} holds the type {record.type}"


def events_are_known(stream: Stream) -> Iterator[str]:
    for record in stream.events:
        if record.type not in KNOWN_EVENTS:
            yield f"an event of the type {quoted(record.type)}"


def starts_with_message_start(stream: Stream) -> Iterator[str]:
    known = [record.type for record in stream.events if record.type in KNOWN_EVENTS]
    if not known and not stream.of("error"):
        yield "there is no event at all"
    elif not known:
        return  # an error in place of a message
    elif known[0] != "message_start":
        yield f"the first event is {known[0]}"


def starts_once(stream: Stream) -> Iterator[str]:
    count = len(stream.of("message_start"))
    if count > 1:
        yield f"{count} times message_start"


def starts_empty(stream: Stream) -> Iterator[str]:
    for record in stream.of("message_start")[:1]:
        message = record.member("message")
        if message.get("content") != []:
            yield f"message_start has content {quoted(message.get('content'), 60)}, not []"
        if message.get("stop_reason") is not None:
            yield f"message_start has stop_reason {quoted(message['stop_reason'], 40)}, not null"


def starts_with_usage(stream: Stream) -> Iterator[str]:
    for record in stream.of("message_start")[:1]:
        usage = record.member("message").get("usage")
        names = ("input_tokens", "output_tokens")
        if not isinstance(usage, dict) or not all(_is_count(usage.get(name)) for name in names):
            yield f"message_start has usage {quoted(usage, 80)}"


def indexes_run_on(stream: Stream) -> Iterator[str]:
    """Of all events of blocks, so that an event that is missing is not told here too."""
    seen = list(dict.fromkeys(record.index for record in _of_blocks(stream)))
    if seen != list(range(len(seen))):
        yield f"the blocks are numbered {seen[:12]}"


def blocks_are_open(stream: Stream) -> Iterator[str]:
    """A delta and a stop belong to a block that has started and not stopped."""
    started: set[int | None] = set()
    stopped: set[int | None] = set()
    for record in _of_blocks(stream):
        if record.type == "content_block_start":
            started.add(record.index)
            stopped.discard(record.index)  # an index that is used twice is another rule's
        elif record.index not in started:
            yield f"{record.type} of block {record.index}, which has not started"
        elif record.index in stopped:
            yield f"{record.type} of block {record.index} after its stop"
        if record.type == "content_block_stop":
            stopped.add(record.index)


def blocks_stop(stream: Stream) -> Iterator[str]:
    stopped = {record.index for record in stream.of("content_block_stop")}
    for start in stream.starts():
        if start.index not in stopped:
            kind = start.member("content_block").get("type")
            yield f"block {start.index} ({kind}) has no content_block_stop"


def blocks_do_not_mix(stream: Stream) -> Iterator[str]:
    """Once a later block has begun nothing comes of an earlier one."""
    left: set[int | None] = set()
    current: int | None = None
    for record in _of_blocks(stream):
        if record.index == current:
            continue
        if record.index in left:
            yield f"{record.type} of block {record.index} after block {current} began"
        left.add(current)
        current = record.index


def deltas_fit(stream: Stream) -> Iterator[str]:
    types = stream.block_types
    for record in stream.of("content_block_delta"):
        kind = types.get(record.index) if record.index is not None else None
        delta = str(record.member("delta").get("type"))
        fitting = _BLOCKS_OF_DELTA.get(delta)
        if kind is None or fitting is None or is_result(kind):
            continue
        if delta == "input_json_delta" and kind == "mcp_tool_use":
            continue  # another rule's
        if kind not in fitting:
            yield f"{delta} in block {record.index}, which is {kind}"


def call_inputs_are_json(stream: Stream) -> Iterator[str]:
    """Of complete messages: where a turn was cut the input may be."""
    for index, kind in stream.block_types.items():
        text = input_text(stream, index) if kind in _CALLS else ""
        if text and parsed_object(text) is None:
            yield f"the input of block {index} is no JSON object: {quoted(text[:60])}"


def client_inputs_come_in_deltas(stream: Stream) -> Iterator[str]:
    for start in stream.starts():
        block = start.member("content_block")
        if block.get("type") == CLIENT_CALL and block.get("input") != {}:
            given = block.get("input")
            yield f"tool_use of block {start.index} starts with input {quoted(given, 60)}, not {{}}"


def shown_inputs_come_whole(stream: Stream) -> Iterator[str]:
    types = stream.block_types
    told: set[int] = set()
    for record in stream.of("content_block_delta"):
        index = record.index
        if index is None or index in told or types.get(index) != "mcp_tool_use":
            continue
        told.add(index)
        yield f"mcp_tool_use of block {index} has deltas"


def results_come_whole(stream: Stream) -> Iterator[str]:
    types = stream.block_types
    for record in stream.of("content_block_delta"):
        kind = types.get(record.index) if record.index is not None else None
        if is_result(kind):
            yield f"{kind} of block {record.index} has deltas"
            return


def tells_its_stop_reason(stream: Stream) -> Iterator[str]:
    deltas = stream.of("message_delta")
    tells = any(isinstance(r.member("delta").get("stop_reason"), str) for r in deltas)
    if stream.events and not tells:
        yield "no message_delta with a stop_reason" if deltas else "no message_delta"


def tells_its_usage(stream: Stream) -> Iterator[str]:
    for record in stream.of("message_delta"):
        usage = (record.value or {}).get("usage")
        if not isinstance(usage, dict) or not _is_count(usage.get("output_tokens")):
            yield f"message_delta has usage {quoted(usage, 80)}"


def ends_after_its_blocks(stream: Stream) -> Iterator[str]:
    """`message_delta` comes when all blocks have."""
    ended = False
    for record in stream.events:
        ended = ended or record.type == "message_delta"
        if ended and record.type in _OF_BLOCKS:
            yield f"{record.type} of block {record.index} after message_delta"
            return


def ends_with_message_stop(stream: Stream) -> Iterator[str]:
    count = len(stream.of("message_stop"))
    if stream.is_cut and count == 0:
        yield f"no message_stop among the first {len(stream.records)} records; no more were read"
    elif count != 1 and stream.events:
        yield "no message_stop" if count == 0 else f"{count} times message_stop"


def nothing_follows(stream: Stream) -> Iterator[str]:
    ended = False
    for record in stream.records:
        if ended and record.type != "message_stop":
            yield f"{quoted(record.type or record.data[:40])} after message_stop"
            return
        ended = ended or record.type == "message_stop"
    if ended and stream.rest.strip():
        yield f"bytes that are no event after message_stop: {quoted(stream.rest[:60])}"


def _of_blocks(stream: Stream) -> Iterator[Record]:
    return (record for record in stream.events if record.type in _OF_BLOCKS)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# What holds for every stream, and what only for one that came to its end.
ALWAYS: dict[str, StreamCheck] = {
    "sse.data-json": data_is_json,
    "sse.event-name": event_matches_type,
    "sse.known-events": events_are_known,
    "sse.start-first": starts_with_message_start,
    "sse.start-once": starts_once,
    "sse.start-empty": starts_empty,
    "sse.start-usage": starts_with_usage,
    "sse.index-contiguous": indexes_run_on,
    "sse.block-open": blocks_are_open,
    "sse.blocks-in-turn": blocks_do_not_mix,
    "sse.delta-fits": deltas_fit,
    "sse.client-input-in-deltas": client_inputs_come_in_deltas,
    "sse.shown-input-whole": shown_inputs_come_whole,
    "sse.result-whole": results_come_whole,
    "sse.nothing-after-stop": nothing_follows,
}
WHEN_COMPLETE: dict[str, StreamCheck] = {
    "sse.block-stopped": blocks_stop,
    "sse.input-json": call_inputs_are_json,
    "sse.stop-reason": tells_its_stop_reason,
    "sse.delta-usage": tells_its_usage,
    "sse.delta-after-blocks": ends_after_its_blocks,
    "sse.message-stop": ends_with_message_stop,
}


def _any_of(*kinds: str) -> Callable[[Stream], bool]:
    return lambda stream: any(stream.of(kind) for kind in kinds)


def _any_block(*kinds: str) -> Callable[[Stream], bool]:
    return lambda stream: any(kind in kinds for kind in stream.block_types.values())


# What must be there for a rule to hold of a stream: where it is not, nothing is shown.
SUBJECTS: dict[str, Callable[[Stream], bool]] = {
    "sse.data-json": lambda stream: bool(stream.records),
    **dict.fromkeys(
        ("sse.start-once", "sse.start-empty", "sse.start-usage"), _any_of("message_start")
    ),
    **dict.fromkeys(
        ("sse.index-contiguous", "sse.blocks-in-turn", "sse.block-stopped"),
        _any_of("content_block_start"),
    ),
    "sse.block-open": _any_of("content_block_delta", "content_block_stop"),
    "sse.delta-fits": _any_of("content_block_delta"),
    "sse.client-input-in-deltas": _any_block(CLIENT_CALL),
    "sse.shown-input-whole": _any_block("mcp_tool_use"),
    "sse.result-whole": lambda stream: any(map(is_result, stream.block_types.values())),
    "sse.nothing-after-stop": _any_of("message_stop"),
    "sse.input-json": _any_block(*_CALLS),
    **dict.fromkeys(("sse.delta-usage", "sse.delta-after-blocks"), _any_of("message_delta")),
}


def shows(rule: str, stream: Stream) -> bool:
    """Whether a stream has what this rule is about; without an entry above, any event."""
    subject = SUBJECTS.get(rule)
    return subject(stream) if subject is not None else bool(stream.events)


def violations(stream: Stream | bytes, *, complete: bool = True) -> list[Violation]:
    """Everything that is wrong with a stream, in the order of the rules.

    ``complete`` is false for a stream that may have ended early (its client left, its upstream
    failed, or `max_tokens` cut it).
    """
    seen = read_bytes(stream) if isinstance(stream, bytes) else stream
    checks = ALWAYS | (WHEN_COMPLETE if complete else {})
    return [Violation(rule, text) for rule, check in checks.items() for text in check(seen)]
