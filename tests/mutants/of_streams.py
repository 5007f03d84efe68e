"""Mutants for the rules about streams and about time.

One job: two tables, from a rule's id to what breaks it and nothing else.
"""

from collections.abc import Mapping

from auxot_tools.types import JSON
from tests.mutants.edits import (
    Frame,
    as_it_is,
    block_before_end,
    change,
    drop,
    event_line,
    header,
    in_json,
    indexes,
    member,
    put,
    put_frame,
    refused,
    repeat,
    result,
    swap_with_next,
    text_of_result,
    without,
)
from tests.mutants.making import answer, stream
from tests.support.mutant_router import Mutant

START, DELTA, STOP = "content_block_start", "content_block_delta", "content_block_stop"
OPENED, TOLD, ENDED = "message_start", "message_delta", "message_stop"
PING = {"type": "ping"}
CUT_CALL = {"type": "tool_use", "id": "toolu_1", "name": "roundtrip_note", "input": {}}
BROKEN = {"type": "input_json_delta", "partial_json": '{"note": oops'}


def delta(index: int, **members: object) -> JSON:
    return {"type": DELTA, "index": index, "delta": members}


SSE: Mapping[str, Mutant] = {
    "sse.content-type": answer("plain-stream", header("content-type", "text/plain")),
    "sse.data-json": stream("plain-stream", put_frame(Frame("ping", "{"), DELTA)),
    "sse.event-name": stream("plain-stream", event_line(None, STOP)),
    "sse.known-events": stream("plain-stream", put({"type": "gadget"}, DELTA)),
    "sse.start-first": stream("plain-stream", swap_with_next(OPENED)),
    "sse.start-once": stream("plain-stream", repeat(OPENED)),
    "sse.start-empty": stream("plain-stream", change(OPENED, member("message.stop_reason", ""))),
    "sse.start-usage": stream("plain-stream", change(OPENED, without("message.usage"))),
    "sse.index-contiguous": stream("plain-stream", indexes(lambda index: index + 1)),
    "sse.block-open": stream(
        "plain-stream", put(delta(0, type="text_delta", text=""), STOP, after=True)
    ),
    "sse.blocks-in-turn": stream("thinking-stream", swap_with_next(STOP)),
    "sse.delta-fits": stream(
        "plain-stream", put(delta(0, type="thinking_delta", thinking=""), STOP)
    ),
    "sse.client-input-in-deltas": stream(
        "client-tool-stream", change(START, member("content_block.input", {"note": ""}), 1)
    ),
    "sse.shown-input-whole": stream(
        "parallel-stream", put(delta(1, type="input_json_delta", partial_json=""), STOP, 1)
    ),
    "sse.result-whole": stream(
        "parallel-stream", put(delta(3, type="text_delta", text=""), STOP, 3)
    ),
    "sse.nothing-after-stop": stream("plain-stream", put(PING, ENDED, after=True)),
    "sse.block-stopped": stream("plain-stream", drop(STOP)),
    "sse.input-json": stream("plain-stream", block_before_end(CUT_CALL, BROKEN)),
    "sse.stop-reason": stream("plain-stream", change(TOLD, without("delta.stop_reason"))),
    "sse.delta-usage": stream("plain-stream", change(TOLD, without("usage.output_tokens"))),
    "sse.delta-after-blocks": stream("plain-stream", swap_with_next(STOP)),
    "sse.message-stop": stream("plain-stream", drop(ENDED)),
    "sse.text-kept": stream("plain-stream", drop(DELTA)),
    "sse.not-buffered": answer("slow-text-stream", as_it_is),
}


def _another_result(body: JSON, number: int) -> JSON:
    """The third request of the scene is the first that the repeat makes."""
    return body if number < 3 else result(text_of_result("run 999"))(body, number)


TIME: Mapping[str, Mutant] = {
    "disconnect.stops-the-loop": Mutant(deaf=frozenset({"leaves-in-call"})),
    "disconnect.stops-the-upstream": Mutant(deaf=frozenset({"leaves-in-stream"})),
    "disconnect.serves-on": answer("after-leaving", refused(500, "api_error")),
    "keep-alive.slow-tool": Mutant(silent=frozenset({"slow-tool-stream"})),
    "keep-alive.slow-upstream": Mutant(silent=frozenset({"slow-upstream-stream"})),
    "keep-alive.headers": answer("slow-upstream-stream", as_it_is),
    "retry.no-second-run": Mutant(asked={"fails-after-tool": _another_result}),
    "retry.repeat-answered": answer("repeated-after-failure", refused(500, "api_error")),
    "retry.success-is-new": Mutant(
        answers=dict.fromkeys(("plain", "plain-again"), in_json(member("id", "msg_1")))
    ),
}

MUTANTS = {**SSE, **TIME}
