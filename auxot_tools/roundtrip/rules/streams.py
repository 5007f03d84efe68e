"""Rules about streams. Most are those of `stream_checks`, each over every stream. Pure."""

from auxot_tools.roundtrip.rule import Judge, Rule, of, with_upstream
from auxot_tools.roundtrip.seen import Everything, Seen
from auxot_tools.roundtrip.stream_checks import ALWAYS, WHEN_COMPLETE, shows
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, kept, over, quoted

_SSE = "Messages API: streaming"
# What breaks: clients as measured, or the API's own words.
_SOURCES = {
    "sse.data-json": ("Each record's data is a JSON object with a type.", _SSE),
    "sse.event-name": (
        "Each record has an event line that is its type.",
        "SDKs decode nothing without it",
    ),
    "sse.known-events": ("No events but the API's.", "SDK anthropic 2.12, strict validation"),
    "sse.start-first": ("A stream begins with message_start.", "SDK accumulate_event"),
    "sse.start-once": ("There is one message_start.", "@anthropic-ai/sdk 1.12: event order"),
    "sse.start-empty": ("message_start has no content and no stop_reason.", _SSE),
    "sse.start-usage": ("message_start counts tokens.", "SDK accumulate_event: AttributeError"),
    "sse.index-contiguous": ("Blocks are numbered 0, 1, 2, …", "SDK accumulate_event: IndexError"),
    "sse.block-open": ("A delta or stop belongs to an open block.", _SSE),
    "sse.blocks-in-turn": ("Blocks come one after another.", _SSE),
    "sse.delta-fits": ("A delta fits the type of its block.", _SSE),
    "sse.client-input-in-deltas": (
        "The input of tool_use comes in deltas, its start has {}.",
        "Claude Code, measured: loses it else",
    ),
    "sse.shown-input-whole": (
        "The input of mcp_tool_use is whole in its start: Claude Code needs it (the API: deltas).",
        "Claude Code, measured: aborts at deltas",
    ),
    "sse.result-whole": ("A result stands whole in its start.", _SSE),
    "sse.nothing-after-stop": ("Nothing follows message_stop.", _SSE),
    "sse.block-stopped": ("Every block has its stop.", "Claude Code ignores a block without it"),
    "sse.input-json": ("The deltas of an input make a JSON object.", "SDK: ValueError"),
    "sse.stop-reason": ("message_delta tells the stop_reason.", _SSE),
    "sse.delta-usage": ("message_delta counts output tokens.", "SDK: AttributeError"),
    "sse.delta-after-blocks": ("message_delta comes after all blocks.", _SSE),
    "sse.message-stop": ("A whole stream has one message_stop.", "@anthropic-ai/sdk 1.12"),
}
_CUT = frozenset({"client-cut-stream", "cut-call-stream"})  # where an input may be no JSON


def _judge(rule: str) -> Judge:
    complete = rule in WHEN_COMPLETE
    check_stream = (ALWAYS | WHEN_COMPLETE)[rule]

    def check(seen: Seen) -> Says:
        if seen.stream is None:
            return NotTestable("no stream")
        broken = next(check_stream(seen.stream), None)
        if broken is None and not shows(rule, seen.stream):
            return NotTestable("the stream has nothing that this is about")
        return broken

    def judge(everything: Everything) -> Outcome:
        streams = everything.streams(complete=complete)
        wanted = (s for s in streams if rule != "sse.input-json" or s.name not in _CUT)
        return over(wanted, check, "no stream came")

    return judge


def _content_type(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        kind = seen.answer.headers.get("content-type", "")
        return None if kind.startswith("text/event-stream") else f"content-type is {quoted(kind)}"

    return over(everything.streams(), check, "no stream came")


@with_upstream
def _text_kept(seen: Seen) -> Says:
    if seen.stream is None or not seen.is_complete:
        return NotTestable("no stream came")
    said = seen.upstream[-1].said_text
    return kept(seen.text, said)


@with_upstream
def _not_buffered(seen: Seen) -> Says:
    """The words take more than a second to come: half of them in one moment were held back."""
    texts = [] if seen.stream is None else seen.stream.of("content_block_delta")
    if len(texts) < 2:
        return NotTestable("no words came")
    took_s = texts[-1].at_s - texts[0].at_s
    return None if took_s > 0.5 else f"{len(texts)} slow words came within {took_s:.2f} s"


RULES = (
    Rule("sse.content-type", "A stream is text/event-stream.", _SSE, _content_type),
    *(Rule(rule, *_SOURCES[rule], _judge(rule)) for rule in ALWAYS | WHEN_COMPLETE),
    Rule("sse.text-kept", "A stream has the text as said.", _SSE, of("plain-stream", _text_kept)),
    Rule(
        "sse.not-buffered",
        "Words come as they are said.",
        "maximhq/bifrost, LiteLLM: streams held back while tools may come",
        of("slow-text-stream", _not_buffered),
    ),
)
