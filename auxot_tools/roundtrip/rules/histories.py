"""Rules about calls and their results as they go upstream, in the history of a request. Pure.

Turns with two calls, or calls of both sides, have rules of their own in `parallel`.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from auxot_tools.roundtrip.recording import KEY_MARK
from auxot_tools.roundtrip.rule import Judge, Rule, of, of_all, with_upstream
from auxot_tools.roundtrip.seen import (
    MOST_BLOCKS,
    Everything,
    Seen,
    Upstream,
    blocks_of,
    objects,
    text_in,
    thinking_in,
)
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, quoted
from auxot_tools.roundtrip.wire import parsed_object
from auxot_tools.types import JSON

_PAIRS = "Messages API: tool use"
# Conversations whose history goes upstream: one call a turn.
_HISTORIES = ("tool", "tool-stream", "two-rounds-stream", "tool-history", "client-tool-result")
_GROWING = ("two-rounds-stream", "tool", "tool-stream")


def _histories(check: Callable[[Upstream], Says]) -> Judge:
    """A judge of every request upstream that has calls in its history."""
    return of_all(with_upstream(lambda seen: _over_requests(seen, check)), *_HISTORIES)


def _over_requests(seen: Seen, check: Callable[[Upstream], Says]) -> Says:
    with_calls = [asked for asked in seen.upstream if _uses(asked.messages)]
    if not with_calls:
        return NotTestable("no request with a call in its history reached the upstream")
    silent: NotTestable | None = None
    for asked in with_calls:
        said = check(asked)
        if isinstance(said, NotTestable):
            silent = said
        elif said is not None:
            return said
    return silent


def _uses(messages: list[JSON]) -> list[JSON]:
    turns = [message for message in messages if message.get("role") == "assistant"]
    return [use for turn in turns for use in blocks_of(turn, "tool_use")]


def _results(asked: Upstream) -> Iterator[JSON]:
    for message in asked.messages:
        yield from blocks_of(message, "tool_result")


def _each_is_answered(asked: Upstream) -> Says:
    uses, results = len(_uses(asked.messages)), len(list(_results(asked)))
    return None if uses == results else f"{uses} tool_use and {results} tool_result go upstream"


def _each_is_known(asked: Upstream) -> Says:
    if _each_is_answered(asked) is not None:
        return NotTestable("not as many results as calls")
    uses = Counter(str(block.get("id")) for block in _uses(asked.messages))
    results = Counter(str(block.get("tool_use_id")) for block in _results(asked))
    strange = list((results - uses).elements())
    return f"a result of {strange[0]}, which no call has" if strange else None


def _each_is_next(asked: Upstream) -> Says:
    messages = asked.messages
    places = {str(b.get("id")): n for n, m in enumerate(messages) for b in blocks_of(m, "tool_use")}
    for place, message in enumerate(messages):
        for block in blocks_of(message, "tool_result"):
            call = str(block.get("tool_use_id"))
            if call in places and places[call] != place - 1:
                return f"the result of {call} is not in the message after its call"
            if message.get("role") != "user":
                return f"a result in a message of the role {quoted(message.get('role'))}"
    return None


def _results_first(asked: Upstream) -> Says:
    for message in asked.messages:
        kinds = [block.get("type") for block in objects(message.get("content"))]
        others = [place for place, kind in enumerate(kinds) if kind != "tool_result"]
        results = [place for place, kind in enumerate(kinds) if kind == "tool_result"]
        if others and results and others[0] < results[-1]:
            return f"{kinds[others[0]]} stands before a tool_result"
    return None


def _said(everything: Everything) -> dict[str, JSON]:
    """Every call that the upstream made, by its id."""
    asked = (each for seen in everything.all.values() for each in seen.upstream)
    return {str(call.get("id")): call for each in asked for call in each.said_calls}


def _ids_kept(everything: Everything) -> Outcome:
    known = _said(everything)

    def check(asked: Upstream) -> Says:
        strange = [
            use.get("id") for use in _uses(asked.messages) if str(use.get("id")) not in known
        ]
        return f"the upstream never said the id {strange[0]}" if strange else None

    return _histories(check)(everything)


def _inputs_kept(everything: Everything) -> Outcome:
    """As they were said; or as the client sent them, who may have been shown others."""
    known = _said(everything)

    def check_use(use: JSON, sent: list[object]) -> Says:
        call = known.get(str(use.get("id")))
        if call is None:
            return NotTestable("the upstream's id is not kept")
        raw = call.get("raw_input")
        said = call.get("input") if raw is None else parsed_object(raw)
        if use.get("input") == said or use.get("input") in sent:
            return None
        return f"{quoted(use.get('input'), 100)} goes back, {quoted(said, 100)} was said"

    def check(seen: Seen) -> Says:
        uses = _uses(objects(seen.request.get("messages")))[:MOST_BLOCKS]
        sent = [use.get("input") for use in uses]

        def check_request(asked: Upstream) -> Says:
            said = (check_use(use, sent) for use in _uses(asked.messages))
            return next((each for each in said if each is not None), None)

        return _over_requests(seen, check_request)

    return of_all(with_upstream(check), *_HISTORIES)(everything)


@with_upstream
def _thinking_goes_back(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    said = seen.upstream[0].said_thinking
    turn = next((m for m in seen.upstream[1].messages if m.get("role") == "assistant"), {})
    back = [thinking_in(block) for block in blocks_of(turn, "thinking")]
    return None if back == said else f"{quoted(back, 100)} goes back, {quoted(said, 100)} was said"


@with_upstream
def _only_grows(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    for before, after in zip(seen.upstream, seen.upstream[1:], strict=False):
        if after.messages[: len(before.messages)] != before.messages:
            return "a message that had been sent was changed in the next request"
    return None


@with_upstream
def _tools_stay(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    tools = [asked.body.get("tools") for asked in seen.upstream]
    return None if all(each == tools[0] for each in tools) else "tools differ between two requests"


@with_upstream
def _result_reaches(seen: Seen) -> Says:
    """The result of a good call reaches the model, with what the program printed."""
    if len(seen.upstream) < 2 or not seen.upstream[-1].results():
        return NotTestable("no result reached the upstream")
    result = seen.upstream[-1].results()[0]
    if result.get("is_error") is True:
        return NotTestable("the call failed")
    inputs = [call.get("input") for call in seen.upstream[0].said_calls[:1]]
    marked = [word for word in _words(inputs) if word.startswith("roundtrip-")]
    if not marked:
        return NotTestable("the input has no MARK that the result could repeat")
    text = text_in(result.get("content"))
    return None if marked[0] in text else f"the result is {quoted(text, 100)}"


def _words(value: object) -> Iterator[str]:
    """The words of all texts of an input, quotes and brackets away."""
    text = str(value)
    for quote in "\\'\"()[]{},":
        text = text.replace(quote, " ")
    return (word for word in text.split() if word != KEY_MARK)


RULES = (
    Rule(
        "pairing.upstream-results",
        "Each tool_use that goes back upstream has one tool_result.",
        "user asks 10 to 13",
        _histories(_each_is_answered),
    ),
    Rule(
        "pairing.upstream-ids",
        "Each tool_result names a tool_use before it.",
        _PAIRS,
        _histories(_each_is_known),
    ),
    Rule(
        "pairing.upstream-next",
        "The result is in the user message after its call.",
        _PAIRS,
        _histories(_each_is_next),
    ),
    Rule(
        "pairing.upstream-first",
        "Results stand before all else in their message.",
        _PAIRS,
        _histories(_results_first),
    ),
    Rule("pairing.upstream-ids-kept", "The upstream gets its ids back.", _PAIRS, _ids_kept),
    Rule("pairing.upstream-inputs-kept", "It gets its inputs back.", _PAIRS, _inputs_kept),
    Rule(
        "pairing.upstream-thinking",
        "It gets its thinking and signatures back.",
        "Messages API: thinking with tools",
        of("two-rounds-stream", _thinking_goes_back),
    ),
    Rule(
        "pairing.upstream-grows",
        "What was sent upstream is never changed, only added to.",
        "Messages API: prompt caching, bound thinking",
        of_all(_only_grows, *_GROWING),
    ),
    Rule(
        "pairing.upstream-tools",
        "Every request of a conversation declares the same tools.",
        "Messages API: prompt caching",
        of_all(_tools_stay, *_GROWING),
    ),
    Rule(
        "pairing.result-text",
        "What the tool answered reaches the model.",
        _PAIRS,
        of_all(_result_reaches, "tool", "tool-stream"),
    ),
)
