"""The requests of the exchanges, made from the plan and from what came before.

One job: bodies. Pure. It must not know rules, nor how requests travel.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from auxot_tools.roundtrip.plan import CLIENT_TOOL, CLIENT_TOOL_NAME, Plan
from auxot_tools.roundtrip.recording import Exchanged, Sent
from auxot_tools.roundtrip.wire import message_of, parsed_object, read_bytes
from auxot_tools.types import JSON

Earlier = Mapping[str, Exchanged]
Build = Callable[[Plan, Earlier], Sent | str]
"""Makes a request; a text in its place says why it cannot be sent."""

MESSAGES = "/v1/messages"
MAX_TOKENS = 1024
CLIENT_RESULT = 'Kept: "péché", {"n": 1.10}, 世界.'  # what must reach the upstream unchanged
CLIENT_ERROR = "The note could not be kept: the disk is full."
CLIENT_NOTES = ("first", "second")


def message_in(exchanged: Exchanged) -> JSON | None:
    """The message in an answer, whole or streamed; `None` when there is none."""
    answer = exchanged.answer
    if answer is None or answer.status != 200:
        return None
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return message_of(read_bytes(answer.body))
    return parsed_object(answer.body)


def post(body: Any, path: str = MESSAGES, **headers: str) -> Sent:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent("POST", path, named, body)


def body_of(plan: Plan, scene: str, words: str, **more: Any) -> JSON:
    """A small request; ``more`` are members of it."""
    message = {"role": "user", "content": f"{words} {plan.marker(scene)}"}
    made: JSON = {"model": plan.model, "max_tokens": MAX_TOKENS, "messages": [message]}
    return made | more


def asks(scene: str, words: str = "Say hello in one short sentence.", **more: Any) -> Build:
    """Asks for a message."""
    return lambda plan, _earlier: post(body_of(plan, scene, words, **more))


def without(member: str, scene: str) -> Build:
    """Lacks a required member."""

    def build(plan: Plan, _earlier: Earlier) -> Sent:
        body = body_of(plan, scene, "Hello.")
        return post({name: value for name, value in body.items() if name != member})

    return build


def calls(scene: str, *, kind: str = "echo", count: int = 1, **more: Any) -> Build:
    """Makes the model call the endpoint's tool."""

    def build(plan: Plan, _earlier: Earlier) -> Sent:
        inputs = [
            json.dumps(plan.call_input(kind, plan.mark(scene, number), plan.seconds_of(scene)))
            for number in range(1, count + 1)
        ]
        how = "twice at once, in one turn," if count > 1 else ""
        words = f"Call the tool {plan.tool} {how} with exactly this input: {' and '.join(inputs)}"
        return post(body_of(plan, scene, f"{words}. Then answer with one word.", **more))

    return build


def calls_client(scene: str, *, count: int = 1, **more: Any) -> Build:
    """Makes the model call the client's own tool."""
    notes = " and ".join(json.dumps({"note": note}) for note in CLIENT_NOTES[:count])
    how = "twice at once, in one turn," if count > 1 else ""
    words = f"Call the tool {CLIENT_TOOL_NAME} {how} with exactly this input: {notes}."
    return asks(scene, words, tools=[CLIENT_TOOL], **more)


def again(name: str) -> Build:
    """The same request once more, byte for byte."""
    return lambda _plan, earlier: earlier[name].sent or f"{name} was not sent"


def goes_on(name: str, make_content: Callable[[Plan, list[JSON]], Any]) -> Build:
    """The conversation goes on: the answer goes back as it came, then the user's next message."""

    def build(plan: Plan, earlier: Earlier) -> Sent | str:
        before = earlier[name]
        message = message_in(before)
        if before.sent is None or message is None:
            return f"{name} had no message for an answer"
        content = message.get("content")
        if not isinstance(content, list) or not content:
            return f"the answer to {name} has no content"
        made = make_content(plan, [block for block in content if isinstance(block, dict)])
        if not made:
            return f"the answer to {name} has no call of the client's own tool"
        turns = [{"role": "assistant", "content": content}, {"role": "user", "content": made}]
        body = before.sent.body if isinstance(before.sent.body, dict) else {}
        asked = body.get("messages")
        if not isinstance(asked, list):
            return f"{name} had no messages to go on with"
        return post(body | {"messages": [*asked, *turns]})

    return build


def result_texts(count: int, *, is_error: bool = False) -> list[str]:
    """What the client's tool answers, call by call."""
    text = CLIENT_ERROR if is_error else CLIENT_RESULT
    return [f"{text} ({number})" for number in range(1, count + 1)]


def results(*, is_error: bool = False) -> Callable[[Plan, list[JSON]], list[JSON]]:
    """A result for each call of the client's own, and nothing else."""

    def make(_plan: Plan, content: list[JSON]) -> list[JSON]:
        called = [block.get("id") for block in content if block.get("type") == "tool_use"]
        texts = result_texts(len(called), is_error=is_error)
        flag: JSON = {"is_error": True} if is_error else {}
        return [
            {"type": "tool_result", "tool_use_id": call_id, "content": _as_text(text), **flag}
            for call_id, text in zip(called, texts, strict=True)
        ]

    return make


def _as_text(text: str) -> list[JSON]:
    return [{"type": "text", "text": text}]


def says(scene: str) -> Callable[[Plan, list[JSON]], str]:
    """The user says more, which has a scene of its own."""
    return lambda plan, _content: f"Thank you. Say goodbye. {plan.marker(scene)}"


_BETAS = ",".join(  # those of a plain request of Claude Code 2.1.330
    (
        *("claude-code-20250219", "interleaved-thinking-2025-05-14"),
        *("context-management-2025-06-27", "per-turn-control-2026-07-01"),
        *("mid-conversation-tool-changes-2026-07-01", "thinking-token-count-2026-05-13"),
        *("advanced-tool-use-2025-11-20", "effort-2025-11-24"),
    )
)
_BESIDES = {  # what it sends too; an endpoint that refuses it refuses Claude Code
    "thinking": {"type": "adaptive", "display": "omitted"},
    "metadata": {"user_id": '{"session_id": "roundtrip"}'},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
}


def extras(plan: Plan, _earlier: Earlier) -> Sent:
    """Betas and fields that Claude Code sends besides."""
    body = body_of(plan, "extras", "Say hello.", system=_as_text("Be short."))
    return post(body | _BESIDES, anthropic_beta=_BETAS)


def thread(plan: Plan, _earlier: Earlier) -> Sent:
    """A message thread as the SDK's tool runner begins it."""
    body = body_of(plan, "thread", "Say hello in one short sentence.", thread={"type": "create"})
    return post(body, anthropic_beta="message-threads-2026-08-12")


def unknown_beta(plan: Plan, _earlier: Earlier) -> Sent:
    """A beta header with a value that nobody knows."""
    beta = "interleaved-thinking-2025-05-14,roundtrip-unknown-2026-01-01"
    return post(body_of(plan, "unknown-beta", "Say hello."), anthropic_beta=beta)


def counts_tokens(plan: Plan, _earlier: Earlier) -> Sent:
    body = body_of(plan, "count-tokens", "How many tokens are these?")
    del body["max_tokens"]
    return post(body, f"{MESSAGES}/count_tokens")


def fixed(method: str, path: str, body: Any = None) -> Build:
    """The same whatever the plan."""
    return lambda _plan, _earlier: Sent(method, path, {}, body)
