"""One fault for each rule, put into the recording of a good run: answers and streams.

`roundtrip_faults_upstream` has those of what goes upstream. A fault is what a router with one
mistake would have done.
"""

import json
from collections.abc import Callable
from typing import Any

from auxot_tools.roundtrip.recording import KEY_MARK, Piece
from tests.support.roundtrip_tampering import JSON, Events, Tampering

Fault = Callable[[Tampering], None]


def setting(name: str, **members: Any) -> Fault:
    """A JSON body whose members are others."""
    return lambda t: t.body(name, lambda body: body.update(members))


def copying(name: str, to: str) -> Fault:
    return lambda t: t.copy(name, to)


def heading(name: str, header: str, value: str | None) -> Fault:
    return lambda t: t.header(name, header, value)


def in_error(name: str, **members: Any) -> Fault:
    return lambda t: t.body(name, lambda body: body["error"].update(members))


def block_of(body: JSON, kind: str) -> JSON:
    return next(block for block in body["content"] if block["type"] == kind)


def without_block(kind: str) -> Callable[[JSON], None]:
    def change(body: JSON) -> None:
        body["content"] = [block for block in body["content"] if block["type"] != kind]

    return change


def find(events: Events, kind: str, block: str = "", nth: int = 0) -> int:
    """Where the n-th event of a type, of a block of a type, is."""
    found = [
        place
        for place, event in enumerate(events)
        if event["type"] == kind and (not block or event["content_block"]["type"] == block)
    ]
    return found[nth]


def removing(name: str, kind: str) -> Fault:
    """Without the last event of this type."""
    return lambda t: t.events(name, lambda events: events.__delitem__(find(events, kind, nth=-1)))


def changing(name: str, kind: str, change: Callable[[JSON], Any], block: str = "") -> Fault:
    """The first event of this type is changed."""

    def apply(events: Events) -> None:
        change(events[find(events, kind, block)])

    return lambda t: t.events(name, apply)


def adding(name: str, event: JSON, after: str, block: str = "") -> Fault:
    """One more event after the first of this type, in the same block."""

    def apply(events: Events) -> None:
        place = find(events, after, block)
        index = {"index": events[place]["index"]} if "index" in events[place] else {}
        events.insert(place + 1, event | index)

    return lambda t: t.events(name, apply)


def stopping(name: str, reason: str) -> Fault:
    """A stream whose stop_reason is another."""
    return changing(name, "message_delta", lambda e: e["delta"].update(stop_reason=reason))


def remove_block(events: Events, nth: int) -> Events:
    """Without all events of the n-th block."""
    index = events[find(events, "content_block_start", nth=nth)]["index"]
    return [event for event in events if event.get("index") != index]


# -- faults that take more than a line ---------------------------------------------------------


def renumbered(events: Events) -> None:
    for event in events:
        if "index" in event:
            event["index"] += 1


def stop_late(events: Events) -> None:
    """The first block stops when the second has begun."""
    stop = events.pop(find(events, "content_block_stop"))
    events.insert(find(events, "content_block_start", nth=1) + 1, stop)


def reason_early(events: Events) -> None:
    told = events.pop(find(events, "message_delta"))
    events.insert(find(events, "content_block_stop", nth=-1), told)


def as_thinking(event: JSON) -> None:
    event["delta"] = {"type": "thinking_delta", "thinking": event["delta"]["text"]}


def garbled_client_call(events: Events) -> None:
    index = events[find(events, "content_block_start", "tool_use")]["index"]
    for event in events:
        if event["type"] == "content_block_delta" and event["index"] == index:
            event["delta"]["partial_json"] = "{oops"


def all_at_once(t: Tampering) -> None:
    answer = t.exchanges["slow-text-stream"].answer
    assert answer is not None
    t.answer("slow-text-stream", pieces=(Piece(answer.body, answer.ended_at_s),))


def without_pings(name: str) -> Fault:
    def apply(t: Tampering) -> None:
        answer = t.exchanges[name].answer
        assert answer is not None
        kept = tuple(p for p in answer.pieces if not p.data.startswith(b"event: ping"))
        t.answer(name, pieces=kept)

    return apply


def invented_server_tool(body: JSON) -> None:
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "my_tool", "input": {}}
    done: JSON = {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}}
    body["content"] += [call, done]


def one_id_for_two(t: Tampering) -> None:
    answer = t.exchanges["plain"].answer
    assert answer is not None
    setting("extras", id=json.loads(answer.body)["id"])(t)


def thread_dropped(t: Tampering) -> None:
    t.copy("extras", "thread")
    t.body("thread", lambda body: body.update(id="msg_of_the_thread"))


def swapped(body: JSON) -> None:
    kinds = [block["type"] for block in body["content"]]
    call, done = kinds.index("mcp_tool_use"), kinds.index("mcp_tool_result")
    content = body["content"]
    content[call], content[done] = content[done], content[call]


def one_id_twice(events: Events) -> None:
    ids = [e["content_block"]["id"] for e in events if "id" in e.get("content_block", {})]
    for event in events:
        block = event.get("content_block", {})
        for name in ("id", "tool_use_id"):
            if block.get(name) == ids[1]:
                block[name] = ids[0]


def handed_to_the_client(body: JSON) -> None:
    without_block("mcp_tool_result")(body)
    block_of(body, "mcp_tool_use")["type"] = "tool_use"


def call_lost(body: JSON) -> None:
    without_block("tool_use")(body)
    body["stop_reason"] = "end_turn"


def mixed_call_lost(events: Events) -> Events:
    index = events[find(events, "content_block_start", "tool_use")]["index"]
    kept = [event for event in events if event.get("index") != index]
    for event in kept:
        if event.get("index", -1) > index:
            event["index"] -= 1
    kept[find(kept, "message_delta")]["delta"]["stop_reason"] = "end_turn"
    return kept


def result_twice(events: Events) -> None:
    start = find(events, "content_block_start", "mcp_tool_result")
    last = find(events, "content_block_stop", nth=-1)
    index = events[last]["index"] + 1
    events[last + 1 : last + 1] = [
        events[start] | {"index": index},
        {"type": "content_block_stop", "index": index},
    ]


def notes_swapped(events: Events) -> None:
    """The two calls come with each other's input."""
    starts = [find(events, "content_block_start", "tool_use", nth) for nth in (0, 1)]
    indexes = [events[place]["index"] for place in starts]
    deltas: dict[int, Events] = {
        index: [e for e in events if e["type"] == "content_block_delta" and e.get("index") == index]
        for index in indexes
    }
    texts = ["".join(e["delta"]["partial_json"] for e in deltas[index]) for index in indexes]
    for index, text in zip(indexes, reversed(texts), strict=True):
        for event in deltas[index]:
            event["delta"]["partial_json"] = ""
        deltas[index][-1]["delta"]["partial_json"] = text


def call_input(events: Events, change: Callable[[str], str]) -> None:
    """The first call of the client's has another input."""
    index = events[find(events, "content_block_start", "tool_use")]["index"]
    of_it = [e for e in events if e["type"] == "content_block_delta" and e["index"] == index]
    text = "".join(event["delta"]["partial_json"] for event in of_it)
    for event in of_it:
        event["delta"]["partial_json"] = ""
    of_it[-1]["delta"]["partial_json"] = change(text)


def stranger_at_the_end(events: Events) -> None:
    place = find(events, "content_block_start", "mcp_tool_result", -1)
    events[place]["content_block"]["tool_use_id"] = "mcptoolu_of_nobody"


_STREAM, _QUIET, _TOOL = "plain-stream", "slow-upstream-stream", "tool-stream"
_EMPTY_INPUT = {"type": "input_json_delta", "partial_json": ""}
_MORE_TEXT = {"type": "text_delta", "text": "more"}
_STOP: JSON = {"type": "message_stop"}

FAULTS: dict[str, Fault] = {
    "auth.missing-key": lambda t: t.status("no-key", 200),
    "auth.wrong-key": lambda t: t.status("wrong-key", 200),
    "auth.error-type": in_error("no-key", type="api_error"),
    "auth.final": heading("no-key", "x-should-retry", None),
    "auth.x-api-key": copying("no-key", "x-api-key"),
    "auth.bearer": copying("wrong-key", "bearer"),
    "auth.key-secret": heading("plain", "x-debug", f"key={KEY_MARK}"),
    "shapes.answered": lambda t: t.drop("models", "closed without an answer"),
    "shapes.status": copying("upstream-busy", "plain"),
    "shapes.whole": lambda t: t.answer("plain", broke_off="closed within the answer"),
    "shapes.json-type": heading("plain", "content-type", "text/plain"),
    "shapes.type": setting("plain", type="completion"),
    "shapes.role": setting("plain", role="user"),
    "shapes.id": setting("plain", id=None),
    "shapes.id-unique": one_id_for_two,
    "shapes.model": setting("plain", model="another"),
    "shapes.block-fields": setting("extras", content=[{"type": "text"}]),
    "shapes.block-types": setting("extras", content=[{"type": "invented"}]),
    "shapes.server-names": lambda t: t.body("extras", invented_server_tool),
    "shapes.stop-reason": setting("extras", stop_reason="done"),
    "shapes.usage": setting("extras", usage={}),
    "shapes.request-id": heading("plain", "request-id", None),
    "shapes.text-kept": setting("plain", content=[{"type": "text", "text": "Other words."}]),
    "shapes.extras": copying("bad-json", "extras"),
    "shapes.unknown-beta": copying("bad-json", "unknown-beta"),
    "shapes.max-tokens": setting("max-tokens", stop_reason="end_turn"),
    "shapes.stop-sequence": setting("stop-sequence", stop_sequence=None),
    "shapes.thinking-kept": changing(
        "thinking-stream", "content_block_start", lambda e: e["content_block"].update(thinking="x")
    ),
    "shapes.thread": thread_dropped,
    "shapes.count-tokens": setting("count-tokens", input_tokens="many"),
    "shapes.models": setting("models", data={"scripted": {}}),
    "shapes.history": copying("upstream-refuses", "tool-history"),
    "sse.content-type": heading(_STREAM, "content-type", "text/plain"),
    "sse.data-json": lambda t: t.raw(_STREAM, lambda data: b"event: ping\ndata: {\n\n" + data),
    "sse.event-name": changing(_STREAM, "message_start", lambda e: e.update({"::event": "x"})),
    "sse.known-events": adding(_STREAM, {"type": "invented"}, "message_start"),
    "sse.start-first": removing(_QUIET, "message_start"),
    "sse.start-once": lambda t: t.events(
        _STREAM, lambda e: e.insert(0, e[find(e, "message_start")])
    ),
    "sse.start-empty": changing(_STREAM, "message_start", lambda e: e["message"].pop("content")),
    "sse.start-usage": changing(_STREAM, "message_start", lambda e: e["message"].pop("usage")),
    "sse.index-contiguous": lambda t: t.events(_STREAM, renumbered),
    "sse.block-open": removing(_QUIET, "content_block_start"),
    "sse.blocks-in-turn": lambda t: t.events("thinking-stream", stop_late),
    "sse.delta-fits": changing(_QUIET, "content_block_delta", as_thinking),
    "sse.client-input-in-deltas": changing(
        "client-tool-stream",
        "content_block_start",
        lambda e: e["content_block"].update(input={"note": "first"}),
        "tool_use",
    ),
    "sse.shown-input-whole": adding(
        _TOOL,
        {"type": "content_block_delta", "delta": _EMPTY_INPUT},
        "content_block_start",
        "mcp_tool_use",
    ),
    "sse.result-whole": adding(
        _TOOL,
        {"type": "content_block_delta", "delta": _MORE_TEXT},
        "content_block_start",
        "mcp_tool_result",
    ),
    "sse.nothing-after-stop": adding(_STREAM, {"type": "ping"}, "message_stop"),
    "sse.block-stopped": removing(_STREAM, "content_block_stop"),
    "sse.input-json": lambda t: t.events("mixed-stream", garbled_client_call),
    "sse.stop-reason": removing(_QUIET, "message_delta"),
    "sse.delta-usage": changing(_STREAM, "message_delta", lambda e: e.pop("usage")),
    "sse.delta-after-blocks": lambda t: t.events(_STREAM, reason_early),
    "sse.message-stop": removing(_STREAM, "message_stop"),
    "sse.text-kept": changing(
        _STREAM, "content_block_delta", lambda e: e["delta"].update(text="Other words.")
    ),
    "sse.not-buffered": all_at_once,
    "pairing.shown-results": lambda t: t.body("tool", without_block("mcp_tool_result")),
    "pairing.shown-ids": lambda t: t.body(
        "tool", lambda b: block_of(b, "mcp_tool_result").update(tool_use_id="mcptoolu_x")
    ),
    "pairing.shown-order": lambda t: t.body("tool", swapped),
    "pairing.ids-unique": lambda t: t.events("parallel-stream", one_id_twice),
    "pairing.not-the-clients": lambda t: t.body("tool", handed_to_the_client),
    "pairing.client-call-shown": lambda t: t.body("client-tool", call_lost),
    "pairing.call-stop-reason": setting("client-tool", stop_reason="end_turn"),
    "pairing.stop-reason-call": setting("extras", stop_reason="tool_use"),
    "pairing.client-input-kept": lambda t: t.events(
        "client-tool-stream", lambda e: call_input(e, lambda text: text.replace("67890", "68000"))
    ),
    "parallel.client-all": lambda t: t.events(
        "client-parallel-stream", lambda e: remove_block(e, -1)
    ),
    "parallel.client-order": lambda t: t.events("client-parallel-stream", notes_swapped),
    "mixed.client-call": lambda t: t.events("mixed-stream", mixed_call_lost),
    "mixed.stop-reason": stopping("mixed-stream", "end_turn"),
    "mixed.shape": lambda t: t.events("mixed-stream", result_twice),
    "mixed.result-taken": copying("upstream-refuses", "mixed-result"),
    "is-error.shown-flag": lambda t: t.body(
        "tool", lambda b: block_of(b, "mcp_tool_result").update(is_error="no")
    ),
    "is-error.shown-true": changing(
        "bad-arguments-stream",
        "content_block_start",
        lambda e: e["content_block"].update(is_error=False),
        "mcp_tool_result",
    ),
    "is-error.unknown-tool": lambda t: t.body("unknown-tool", call_lost),
    "cut.stop-reason": stopping("cut-call-stream", "end_turn"),
    "cut.client-input": lambda t: t.events(
        "client-cut-stream", lambda e: call_input(e, lambda text: text + '"}')
    ),
    "cut.client-stop-reason": stopping("client-cut-stream", "tool_use"),
    "cut.refusal-kept": setting("refused-call", stop_reason="end_turn"),
    "rounds.clean-end": stopping("round-limit-stream", "tool_use"),
    "rounds.no-call-left": lambda t: t.events("round-limit-stream", stranger_at_the_end),
    "rounds.usage": changing(
        "two-rounds-stream", "message_delta", lambda e: e["usage"].update(output_tokens=1)
    ),
    "rounds.text": changing(
        "two-rounds-stream",
        "content_block_start",
        lambda e: e["content_block"].update(text="Other words."),
        "text",
    ),
    "disconnect.serves-on": copying("upstream-busy", "after-leaving"),
    "keep-alive.slow-tool": without_pings("slow-tool-stream"),
    "keep-alive.slow-upstream": without_pings(_QUIET),
    "keep-alive.headers": lambda t: t.answer(_QUIET, at_s=60.0),
    "retry.repeat-answered": copying("upstream-busy", "repeated-after-failure"),
    "retry.success-is-new": lambda t: t.copy("plain", "plain-again"),
    "errors.bad-json": lambda t: t.status("bad-json", 422),
    "errors.no-messages": lambda t: t.status("no-messages", 422),
    "errors.no-model": lambda t: t.status("no-model", 422),
    "errors.no-max-tokens": lambda t: t.status("no-max-tokens", 422),
    "errors.unknown-path": copying("bad-json", "unknown-path"),
    "errors.body-shape": lambda t: t.body("bad-json", lambda _body: {"detail": "no"}),
    "errors.type": in_error("bad-json", type="api_error"),
    "errors.request-id": setting("bad-json", request_id="req_another"),
    "errors.no-stack": in_error("bad-json", message="Traceback (most recent call last): …"),
    "errors.overloaded": copying("bad-json", "upstream-busy"),
    "errors.rate-limit": copying("bad-json", "upstream-limit"),
    "errors.retry-after": heading("upstream-limit", "retry-after", None),
    "errors.refusal": copying("upstream-busy", "upstream-refuses"),
    "errors.refusal-words": in_error("upstream-refuses", message="Something went wrong."),
    "errors.web-page": copying("plain", "upstream-html"),
    "errors.stream-refused": copying(_STREAM, "upstream-busy-stream"),
    "errors.stream-error": removing("upstream-error-stream", "error"),
    "errors.stream-error-ends": adding("upstream-error-stream", _STOP, "error"),
    "errors.event-shape": changing("upstream-error-stream", "error", lambda e: e["error"].clear()),
    "errors.cut-told": removing("upstream-cut-stream", "error"),
    "errors.cut-not-whole": adding("upstream-cut-stream", _STOP, "error"),
}
