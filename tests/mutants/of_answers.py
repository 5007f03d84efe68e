"""Mutants for the rules about keys, shapes of answers, and errors.

One job: one table, from a rule's id to what breaks it and nothing else.
"""

from collections.abc import Mapping

from tests.mutants.edits import (
    both,
    broken_off,
    content,
    drop,
    frame,
    header,
    in_json,
    in_stream,
    member,
    put,
    refused,
    status,
    whole_body,
    without,
)
from tests.mutants.making import answer, message, stream
from tests.support.mutant_router import Mutant
from tests.support.running import KEY

REFUSED = refused(400, "invalid_request_error")
UNPROCESSABLE = refused(422, "invalid_request_error")
FAILED = refused(500, "api_error")
STACK = 'Traceback (most recent call last):\n  File "/srv/router.py", line 1'
PAGE = "<!doctype html><html><body>Welcome to nginx</body></html>"
GADGET = {"type": "gadget"}
SERVERS_CALL = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_executor", "input": {}},
    {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
]
EVENTS_OF_A_MESSAGE = (
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    },
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)
WHOLE_STREAM = "".join(frame(event).text for event in EVENTS_OF_A_MESSAGE)

AUTH: Mapping[str, Mutant] = {
    "auth.missing-key": answer("no-key", REFUSED),
    "auth.wrong-key": answer("wrong-key", REFUSED),
    "auth.error-type": message("no-key", member("error.type", "permission_error")),
    "auth.final": answer("no-key", header("x-should-retry", None)),
    "auth.x-api-key": answer("x-api-key", refused(401, "authentication_error")),
    "auth.bearer": answer("bearer", refused(401, "authentication_error")),
    "auth.key-secret": answer("models", header("x-your-key", KEY)),
}

SHAPES: Mapping[str, Mutant] = {
    # Longer than any client reads: no answer comes of it.
    "shapes.answered": answer("unknown-path", header("x-padding", "x" * 100_000)),
    "shapes.status": answer("max-tokens", FAILED),
    "shapes.whole": answer("plain-stream", broken_off),
    "shapes.json-type": answer("models", header("content-type", "text/plain")),
    "shapes.type": message("max-tokens", without("type")),
    "shapes.role": message("max-tokens", member("role", "user")),
    "shapes.id": message("max-tokens", member("id", "")),
    "shapes.id-unique": Mutant(
        answers=dict.fromkeys(("max-tokens", "stop-sequence"), in_json(member("id", "msg_1")))
    ),
    "shapes.model": message("max-tokens", member("model", "another")),
    "shapes.block-fields": message("max-tokens", without("content.0.text")),
    "shapes.block-types": message("max-tokens", content(lambda blocks: [*blocks, GADGET])),
    "shapes.server-names": message("max-tokens", content(lambda blocks: [*blocks, *SERVERS_CALL])),
    "shapes.stop-reason": message("plain-again", member("stop_reason", "done")),
    "shapes.usage": message("plain-again", without("usage.output_tokens")),
    "shapes.request-id": answer("models", header("request-id", None)),
    "shapes.text-kept": message("plain", member("content.0.text", "Hello.")),
    "shapes.extras": answer("extras", REFUSED),
    "shapes.unknown-beta": answer("unknown-beta", REFUSED),
    "shapes.max-tokens": message("max-tokens", member("stop_reason", "end_turn")),
    "shapes.stop-sequence": message("stop-sequence", member("stop_sequence", None)),
    "shapes.thinking-kept": stream("thinking-stream", drop("content_block_delta")),
    "shapes.thread": message("thread", without("error.details")),
    "shapes.count-tokens": message("count-tokens", member("input_tokens", 0)),
    "shapes.models": message("models", member("data", {})),
    "shapes.history": answer("tool-history", REFUSED),
}

ERRORS: Mapping[str, Mutant] = {
    "errors.bad-json": answer("bad-json", UNPROCESSABLE),
    "errors.no-messages": answer("no-messages", UNPROCESSABLE),
    "errors.no-model": answer("no-model", UNPROCESSABLE),
    "errors.no-max-tokens": answer("no-max-tokens", UNPROCESSABLE),
    "errors.unknown-path": answer("unknown-path", REFUSED),
    "errors.body-shape": message("unknown-path", member("error.message", "")),
    "errors.type": message("no-model", member("error.type", "api_error")),
    "errors.request-id": message("unknown-path", member("request_id", "req_of_another")),
    "errors.no-stack": message("unknown-path", member("error.message", STACK)),
    "errors.overloaded": answer("upstream-busy", FAILED),
    "errors.rate-limit": answer("upstream-limit", FAILED),
    "errors.retry-after": answer("upstream-limit", header("retry-after", None)),
    "errors.refusal": answer(
        "upstream-refuses", both(status(500), in_json(member("error.type", "api_error")))
    ),
    "errors.refusal-words": message("upstream-refuses", member("error.message", "It is wrong.")),
    "errors.web-page": answer("upstream-html", status(200), whole_body(PAGE, "text/html")),
    "errors.stream-refused": answer(
        "upstream-busy-stream", status(200), whole_body(WHOLE_STREAM, "text/event-stream")
    ),
    "errors.stream-error": stream("upstream-error-stream", drop("error")),
    "errors.stream-error-ends": stream(
        "upstream-error-stream", put({"type": "message_stop"}, "error", after=True)
    ),
    "errors.event-shape": answer(
        "upstream-error-stream",
        in_stream(drop("error"), put({"type": "error", "error": {}}, "content_block_delta", -1)),
    ),
    "errors.cut-told": stream("upstream-cut-stream", drop("error")),
    "errors.cut-not-whole": stream(
        "upstream-cut-stream", put({"type": "message_stop"}, "error", after=True)
    ),
}

MUTANTS = {**AUTH, **SHAPES, **ERRORS}
