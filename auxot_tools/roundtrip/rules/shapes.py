"""Rules about what any answer looks like: status, message, blocks, usage, lists. Pure."""

from collections.abc import Iterator

from auxot_tools.roundtrip.exchanges import Ends
from auxot_tools.roundtrip.recording import Exchanged
from auxot_tools.roundtrip.rule import Rule, of, with_message, with_upstream
from auxot_tools.roundtrip.seen import (
    MOST_BLOCKS,
    Everything,
    Seen,
    objects,
    thinking_in,
)
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, kept, over, quoted

_API = "Messages API: response"
_STRICT = "SDK anthropic 2.12, strict validation"
# Exchanges whose status has a rule of its own.
_OWN_RULE = frozenset(
    {
        *("x-api-key", "bearer", "extras", "unknown-beta", "tool-history", "mixed-result"),
        *("after-leaving", "repeated-after-failure"),
    }
)
STOP_REASONS = frozenset(
    {
        *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
        *("model_context_window_exceeded", "compaction"),
    }
)
SERVER_TOOLS = frozenset(
    {
        *("web_search", "web_fetch", "code_execution", "bash_code_execution", "advisor"),
        *("text_editor_code_execution", "tool_search_tool_regex", "tool_search_tool_bm25"),
    }
)
_RESULTS = frozenset(
    f"{name}_tool_result"
    for name in (
        *("web_search", "web_fetch", "code_execution", "bash_code_execution", "advisor", "mcp"),
        *("text_editor_code_execution", "tool_search"),
    )
)
BLOCK_TYPES = _RESULTS | {
    *("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"),
    *("container_upload", "compaction", "fallback", "mcp_tool_listing"),
}
_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "text": {"text": str},
    "thinking": {"thinking": str, "signature": str},
    "tool_use": {"id": str, "name": str, "input": (dict, str)},
    "server_tool_use": {"id": str, "name": str, "input": (dict, str)},
    "mcp_tool_use": {"id": str, "name": str, "server_name": str, "input": (dict, str)},
    **{name: {"tool_use_id": str, "content": (str, list, dict)} for name in _RESULTS},
}


def _answered(everything: Everything) -> Outcome:
    def check(exchanged: Exchanged) -> Says:
        return exchanged.failure or None

    sent = (e for e in everything.recording.exchanges.values() if not e.skipped)
    return over(sent, check, "nothing was sent")


def _is_200(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if seen.status != 200:
            return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"
        if seen.error:
            return "an error event came in place of the end"
        told = seen.body[:120].decode("utf-8", "replace")
        return None if seen.has_message else f"status 200 without a message: {told}"

    wanted = (
        seen
        for seen in everything.all.values()
        if seen.asks_message and seen.exchange.ends is Ends.COMPLETE and seen.name not in _OWN_RULE
    )
    return over(wanted, check, "no message was asked for")


def _whole(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        return seen.answer.broke_off or None

    wanted = (s for s in everything.all.values() if s.exchange.ends is not Ends.LEFT)
    return over(
        (seen for seen in wanted if seen.exchange.ends is not Ends.FAULT),
        check,
        "nothing was answered",
    )


def _blocking(everything: Everything) -> Iterator[Seen]:
    return (seen for seen in everything.messages() if not seen.asks_stream)


def _json_type(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        kind = seen.answer.headers.get("content-type", "")
        return None if kind.startswith("application/json") else f"content-type is {quoted(kind)}"

    wanted = (
        seen
        for seen in everything.all.values()
        if seen.is_ok and not seen.asks_stream and seen.exchange.ends is not Ends.FAULT
    )
    return over(wanted, check, "no answer with 200")


def _of_messages(member: str, good: object, text: str) -> Rule:
    """A rule about one member that is the same in every message."""

    def judge(everything: Everything) -> Outcome:
        return over(everything.messages(), check, "no message came")

    def check(seen: Seen) -> Says:
        if seen.stream is not None and not seen.stream.of("message_start"):
            return NotTestable("no message_start")
        value = (seen.message or {}).get(member)
        return None if value == good else f"{member} is {quoted(value, 60)}"

    return Rule(f"shapes.{member}", text, _API, judge)


def _id(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if seen.stream is not None and not seen.stream.of("message_start"):
            return NotTestable("no message_start")
        value = (seen.message or {}).get("id")
        return None if isinstance(value, str) and value else f"id is {quoted(value, 60)}"

    return over(everything.messages(), check, "no message came")


def _ids_differ(everything: Everything) -> Outcome:
    met: dict[object, str] = {}

    def check(seen: Seen) -> Says:
        value = (seen.message or {}).get("id")
        if not isinstance(value, str):
            return NotTestable("no id")
        first = met.setdefault(value, seen.name)
        return None if first == seen.name else f"the id of {first} once more: {value}"

    wanted = (seen for seen in everything.messages() if seen.name != "plain-again")
    return over(wanted, check, "no message came")


def _model(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if seen.exchanged.asked is None:
            return NotTestable("a real model's name may be an alias, told with its date")
        message, asked = seen.message or {}, seen.request.get("model")
        if seen.stream is not None and not seen.stream.of("message_start"):
            return NotTestable("no message_start")
        return (
            None
            if message.get("model") == asked
            else f"model is {quoted(message.get('model'), 60)}"
        )

    return over(everything.messages(), check, "no message came")


def _block_fields(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        content = (seen.message or {}).get("content")
        if not isinstance(content, list):
            return f"content is {quoted(content, 60)}, not a list"
        if len(content) > MOST_BLOCKS:
            return f"{len(content)} blocks, of which {MOST_BLOCKS} are looked at"
        return next(filter(None, map(_wrong_with, content)), None)

    return over(everything.messages(), check, "no message came")


def _wrong_with(block: object) -> str | None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return f"a block without a type: {quoted(block, 60)}"
    fields = _FIELDS.get(block["type"], {})
    wrong = [name for name, kind in fields.items() if not isinstance(block.get(name), kind)]
    return f"{block['type']} has {wrong[0]} {quoted(block.get(wrong[0]), 40)}" if wrong else None


def _block_types(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        kinds = [str(block.get("type")) for block in seen.content]
        unknown = [kind for kind in kinds if kind not in BLOCK_TYPES]
        return f"a block of the type {unknown[0]}" if unknown else None

    return over(everything.messages(), check, "no message came")


def _server_names(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        names = [str(block.get("name")) for block in seen.blocks("server_tool_use")]
        if not names:
            return NotTestable("no server_tool_use came")
        unknown = [name for name in names if name not in SERVER_TOOLS]
        return f"server_tool_use of {quoted(unknown[0])}" if unknown else None

    return over(everything.messages(), check, "no message came")


def _stop_reason(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if seen.stop_reason is None and seen.stream is not None:
            return NotTestable("the stream told none")
        good = isinstance(seen.stop_reason, str) and seen.stop_reason in STOP_REASONS
        return None if good else f"stop_reason is {quoted(seen.stop_reason, 60)}"

    return over(everything.messages(), check, "no message came")


def _usage(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        usage = (seen.message or {}).get("usage")
        counts = [usage.get(n) for n in _TOKENS] if isinstance(usage, dict) else [None]
        good = all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in counts)
        return None if good else f"usage is {quoted(usage, 80)}"

    return over(_blocking(everything), check, "no blocking answer came")


_TOKENS = ("input_tokens", "output_tokens")


def _request_id(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if not seen.status:
            return NotTestable("we left before the answer began")
        return None if seen.answer.headers.get("request-id") else "no header request-id"

    return over(everything.all.values(), check, "nothing was answered")


@with_upstream
@with_message
def _text_kept(seen: Seen) -> Says:
    said = seen.upstream[-1].said_text
    return kept(seen.text, said)


def _accepted(seen: Seen) -> Says:
    if seen.status == 200:
        return None if seen.has_message else NotTestable("status 200 without a message")
    return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"


@with_message
def _cut_told(seen: Seen) -> Says:
    reason = seen.stop_reason
    return None if reason == "max_tokens" else f"stop_reason is {quoted(reason)}"


@with_message
def _sequence_told(seen: Seen) -> Says:
    reason, sequence = seen.stop_reason, (seen.message or {}).get("stop_sequence")
    if (reason, sequence) == ("stop_sequence", "END"):
        return None
    return f"stop_reason is {quoted(reason)}, stop_sequence {quoted(sequence)}"


@with_upstream
@with_message
def _thinking_kept(seen: Seen) -> Says:
    said = seen.upstream[-1].said_thinking
    came = [thinking_in(block) for block in seen.blocks("thinking")]
    return kept(came, said)


def _thread(seen: Seen) -> Says:
    if seen.is_ok:
        if seen.exchanged.asked is None:
            return NotTestable("it was taken; whether it is kept the upstream would show")
        passed = any("thread" in asked.body for asked in seen.upstream)
        return None if passed else "taken with 200, and dropped: the next request has no history"
    details = (seen.error or {}).get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    if code == "thread_unsupported_request":
        return None
    return f"status {seen.status} with error.details.error_code {quoted(code)}"


def _counted(seen: Seen) -> Says:
    count = seen.json.get("input_tokens") if isinstance(seen.json, dict) else None
    if seen.is_ok and isinstance(count, int) and count > 0:
        return None
    return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"


def _listed(seen: Seen) -> Says:
    page = seen.json if isinstance(seen.json, dict) else {}
    models = page.get("data")
    is_list = isinstance(models, list) and len(objects(models)) == len(models)
    if seen.is_ok and is_list and all(isinstance(m.get("id"), str) for m in objects(models)):
        return None
    return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"


_SDK = "SDK anthropic 2.12"
RULES = (
    Rule("shapes.answered", "Every request gets an HTTP answer in time.", "HTTP", _answered),
    Rule("shapes.status", "A good request gets 200 and a message.", _API, _is_200),
    Rule("shapes.whole", "An answer is not broken off.", "HTTP", _whole),
    Rule("shapes.json-type", "What is JSON is sent as application/json.", _API, _json_type),
    _of_messages("type", "message", "A message has type: message."),
    _of_messages("role", "assistant", "A message has role: assistant."),
    Rule("shapes.id", "A message has an id.", _API, _id),
    Rule("shapes.id-unique", "No two messages have one id.", _API, _ids_differ),
    Rule(
        "shapes.model",
        "A message names the model that was asked for.",
        "Claude Code 2.1.197, measured: else it drops signed thinking",
        _model,
    ),
    Rule("shapes.block-fields", "Each block has the members of its type.", _API, _block_fields),
    Rule(
        "shapes.block-types", "No invented types of blocks.", "Vercel AI SDK; strict", _block_types
    ),
    Rule("shapes.server-names", "server_tool_use has official names only.", _STRICT, _server_names),
    Rule("shapes.stop-reason", "stop_reason is one of the API's.", _API, _stop_reason),
    Rule("shapes.usage", "A blocking answer counts its tokens.", _API, _usage),
    Rule(
        "shapes.request-id", "Every answer has a request-id.", "Messages API: errors", _request_id
    ),
    Rule(
        "shapes.text-kept", "A blocking answer has the text as said.", _API, of("plain", _text_kept)
    ),
    Rule(
        "shapes.extras",
        "Betas, thinking and fields that Claude Code sends besides are taken.",
        "Claude Code 2.1.330, measured",
        of("extras", _accepted),
    ),
    Rule(
        "shapes.unknown-beta",
        "An anthropic-beta that the endpoint cannot know is passed over, not refused.",
        "Claude Code sends 8 to 11, new ones with each version (the API refuses what it never had)",
        of("unknown-beta", _accepted),
    ),
    Rule("shapes.max-tokens", "A cut answer says max_tokens.", _API, of("max-tokens", _cut_told)),
    Rule(
        "shapes.stop-sequence",
        "An answer that ends at a stop sequence names it.",
        _API,
        of("stop-sequence", _sequence_told),
    ),
    Rule(
        "shapes.thinking-kept",
        "Thinking and its signature come as said.",
        "Messages API: extended thinking",
        of("thinking-stream", _thinking_kept),
    ),
    Rule(
        "shapes.thread",
        "A message thread is kept, or refused with error_code thread_unsupported_request.",
        f"{_SDK} tool runner: else the conversation is lost",
        of("thread", _thread),
    ),
    Rule(
        "shapes.count-tokens",
        "count_tokens answers with a count.",
        "Messages API: count tokens",
        of("count-tokens", _counted),
    ),
    Rule("shapes.models", "models answers with a list.", "Models API", of("models", _listed)),
    Rule(
        "shapes.history",
        "The endpoint takes its own blocks back.",
        "Claude Code --continue sends them as received",
        of("tool-history", _accepted),
    ),
)
