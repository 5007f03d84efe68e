"""Rules about calls that go wrong: errors of tools, cut and broken inputs, endless rounds. Pure."""

from auxot_tools.roundtrip.plan import NOBODYS_TOOL
from auxot_tools.roundtrip.requests import result_texts
from auxot_tools.roundtrip.rule import Rule, of, of_all, with_message, with_upstream
from auxot_tools.roundtrip.scenes import CUT_INPUT
from auxot_tools.roundtrip.seen import Everything, Seen, text_in
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, kept, over, quoted
from auxot_tools.roundtrip.wire import input_text
from auxot_tools.types import JSON

_PAIRS = "Messages API: tool use"
_STOPS = "Messages API: stop reasons"
INTERNALS = (
    "Traceback (most recent call last)",
    'File "/',
    "panic:",
    "goroutine ",
    "    at Object.",
)


def _result(seen: Seen) -> JSON | None:
    """The result of the first call, as it went upstream."""
    calls = [str(call.get("id")) for asked in seen.upstream for call in asked.said_calls]
    found = (asked.result_of(calls[0]) for asked in seen.upstream[1:] if calls)
    return next((result for result in found if result is not None), None)


# -- is_error ------------------------------------------------------------------------------------


@with_upstream
def _told_as_error(seen: Seen) -> Says:
    result = _result(seen)
    if result is None:
        return NotTestable("no result went upstream")
    flag = result.get("is_error")
    return (
        None
        if flag is True
        else f"is_error is {quoted(flag)}: {quoted(text_in(result.get('content')), 80)}"
    )


@with_upstream
def _goes_on(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return f"the model is not asked again; the answer has status {seen.status}"
    return None


@with_upstream
def _says_why(seen: Seen) -> Says:
    result = _result(seen)
    if result is None or result.get("is_error") is not True:
        return NotTestable("no error went upstream")
    text = text_in(result.get("content"))
    return None if sum(map(str.isalpha, text)) >= 10 else f"the error's text is {quoted(text, 60)}"


@with_upstream
def _no_internals(seen: Seen) -> Says:
    result = _result(seen)
    if result is None or result.get("is_error") is not True:
        return NotTestable("no error went upstream")
    text = text_in(result.get("content"))
    met = [sign for sign in INTERNALS if sign in text]
    return f"the model is shown a stack: {quoted(text, 80)}" if met else None


@with_upstream
def _not_an_error(seen: Seen) -> Says:
    result = _result(seen)
    if result is None:
        return NotTestable("no result went upstream")
    text = text_in(result.get("content"))
    return f"is_error is true: {quoted(text, 80)}" if result.get("is_error") is True else None


def _flag_shown(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        results = seen.blocks("mcp_tool_result")
        if not results:
            return NotTestable("no mcp_tool_result is shown")
        wrong = [b for b in results if not isinstance(b.get("is_error"), bool)]
        return f"mcp_tool_result has is_error {quoted(wrong[0].get('is_error'))}" if wrong else None

    return over(everything.messages(), check, "no message came")


@with_message
def _error_shown(seen: Seen) -> Says:
    flags = [block.get("is_error") for block in seen.blocks("mcp_tool_result")]
    if not flags or not isinstance(flags[0], bool):
        return NotTestable("no mcp_tool_result with is_error is shown")
    return None if flags[0] else "is_error is false"


@with_upstream
def _client_flag_kept(seen: Seen) -> Says:
    results = seen.upstream[-1].results()
    if not results:
        return NotTestable("no result went upstream")
    flag = results[0].get("is_error")
    return None if flag is True else f"is_error is {quoted(flag)}"


@with_upstream
def _client_text_kept(seen: Seen) -> Says:
    results = seen.upstream[-1].results()
    if not results:
        return NotTestable("no result went upstream")
    text, wanted = text_in(results[0].get("content")), result_texts(1)[0]
    return (
        None if text == wanted else f"{quoted(text, 80)} goes upstream, {quoted(wanted)} was sent"
    )


@with_upstream
@with_message
def _not_dropped(seen: Seen) -> Says:
    """It is handed on to the client, or answered with an error: nobody else may own the tool."""
    handed = [call for call in seen.client_calls if call.get("name") == NOBODYS_TOOL]
    if handed:
        return None
    result = _result(seen)
    if result is None:
        return "the call is neither handed to the client nor answered"
    return None if result.get("is_error") is True else "the call was answered without is_error"


# -- cut -----------------------------------------------------------------------------------------


@with_upstream
def _not_run(seen: Seen) -> Says:
    ran = [b for b in seen.shown_results if b.get("is_error") is False]
    result = _result(seen)
    if result is not None and result.get("is_error") is not True:
        return "the call was run, and its result went upstream"
    return "the call was run, and its result is shown" if ran else None


def _ends_with(reason: str, rule: str, name: str) -> Rule:
    """The upstream's own reason is the message's."""

    @with_upstream
    @with_message
    def check(seen: Seen) -> Says:
        if len(seen.upstream) > 1:
            return NotTestable("the model was asked again")
        told = seen.stop_reason
        return (
            None
            if told in (reason, None)
            else f"stop_reason is {quoted(told)}, not {quoted(reason)}"
        )

    return Rule(rule, f"A turn that ends in {reason} ends the message so.", _STOPS, of(name, check))


@with_message
def _cut_input_kept(seen: Seen) -> Says:
    if seen.stream is None:
        return NotTestable("no stream came")
    places = [i for i, kind in seen.stream.block_types.items() if kind == "tool_use"]
    if not places:
        return NotTestable("the call does not reach the client")
    text = input_text(seen.stream, places[0])
    return kept(text, CUT_INPUT)


@with_message
def _cut_reason_kept(seen: Seen) -> Says:
    told = seen.stop_reason
    return None if told in ("max_tokens", None) else f"stop_reason is {quoted(told)}"


@with_upstream
def _broken_answered(seen: Seen) -> Says:
    if seen.status != 200:
        return f"status {seen.status}: the whole request fails"
    result = _result(seen)
    if result is None:
        return "the call has no result"
    return None if result.get("is_error") is True else "the call was run"


# -- rounds --------------------------------------------------------------------------------------


@with_upstream
def _bounded(seen: Seen) -> Says:
    gave_in = not seen.upstream[-1].said_calls and "tools" in seen.upstream[-1].body
    choice = seen.upstream[-1].body.get("tool_choice")
    asked_to_end = isinstance(choice, dict) and choice.get("type") == "none"
    if gave_in and not asked_to_end:
        return f"after {len(seen.upstream) - 1} rounds it was the upstream that gave in"
    return None


@with_upstream
@with_message
def _clean_end(seen: Seen) -> Says:
    good = ("end_turn", "pause_turn", "max_tokens", None)
    return None if seen.stop_reason in good else f"stop_reason is {quoted(seen.stop_reason)}"


@with_upstream
@with_message
def _no_call_left(seen: Seen) -> Says:
    if not seen.shown_calls:
        return NotTestable("no call is shown")
    if seen.stop_reason == "pause_turn":
        return NotTestable("pause_turn: the call may be run when the client goes on")
    answered = {str(block.get("tool_use_id")) for block in seen.shown_results}
    left = [b for b in seen.shown_calls if str(b.get("id")) not in answered]
    return f"{len(left)} calls are left without a result" if left else None


@with_upstream
@with_message
def _usage_summed(seen: Seen) -> Says:
    usage = (seen.message or {}).get("usage")
    told = usage.get("output_tokens") if isinstance(usage, dict) else None
    if not isinstance(told, int) or len(seen.upstream) < 2:
        return NotTestable("no usage of several rounds")
    total = sum(asked.said_tokens for asked in seen.upstream)
    return None if told == total else f"output_tokens is {told}, the rounds have {total}"


@with_upstream
@with_message
def _text_of_all(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    said = "".join(asked.said_text for asked in seen.upstream)
    return kept(seen.text, said)


_ERRORS = ("bad-arguments-stream", "broken-call")
RULES = (
    Rule(
        "is-error.bad-arguments",
        "A call whose input breaks the schema is answered with is_error.",
        "user asks 20 to 22",
        of("bad-arguments-stream", _told_as_error),
    ),
    Rule(
        "is-error.goes-on",
        "After it the model is asked again.",
        f"{_PAIRS}; user ask 20",
        of("bad-arguments-stream", _goes_on),
    ),
    Rule(
        "is-error.says-why",
        "An error tells the model why.",
        "user ask 22",
        of_all(_says_why, *_ERRORS),
    ),
    Rule(
        "is-error.no-stack",
        "No error shows the model a stack.",
        "prudence",
        of_all(_no_internals, *_ERRORS),
    ),
    Rule(
        "is-error.good-call",
        "A good call is no error.",
        _PAIRS,
        of_all(_not_an_error, "tool", "tool-stream"),
    ),
    Rule(
        "is-error.failing-program",
        "A program that fails is a result, not an error of the tool.",
        "Messages API: code execution",
        of("failing-program", _not_an_error),
    ),
    Rule(
        "is-error.shown-flag",
        "mcp_tool_result says is_error, true or false.",
        "SDK anthropic 2.12: required",
        _flag_shown,
    ),
    Rule(
        "is-error.shown-true",
        "The client is shown that a call failed.",
        "SDK anthropic 2.12: mcp_tool_result",
        of("bad-arguments-stream", _error_shown),
    ),
    Rule(
        "is-error.client-flag",
        "is_error of the client's result goes upstream.",
        _PAIRS,
        of("client-error-result", _client_flag_kept),
    ),
    Rule(
        "is-error.client-text",
        "The client's result goes upstream as it was sent.",
        _PAIRS,
        of("client-tool-result", _client_text_kept),
    ),
    Rule(
        "is-error.unknown-tool",
        "A call of an unknown tool is handed on or answered with is_error.",
        "user asks 1, 9",
        of("unknown-tool", _not_dropped),
    ),
    Rule(
        "cut.not-run",
        "A call that max_tokens cut is never run.",
        "SDK anthropic 2.12 tool runner",
        of("cut-call-stream", _not_run),
    ),
    _ends_with("max_tokens", "cut.stop-reason", "cut-call-stream"),
    Rule(
        "cut.client-input",
        "The client's cut call comes as it was said, unmended.",
        "Messages API: streaming of inputs",
        of("client-cut-stream", _cut_input_kept),
    ),
    Rule(
        "cut.client-stop-reason",
        "And its message says max_tokens.",
        _STOPS,
        of("client-cut-stream", _cut_reason_kept),
    ),
    Rule(
        "cut.broken-json",
        "A call whose input is broken JSON gets an error for a result.",
        "Messages API: streaming of inputs",
        of("broken-call", _broken_answered),
    ),
    Rule(
        "cut.refused-not-run",
        "A call in a turn that ended in a refusal is never run.",
        "SDK anthropic 2.12 tool runner",
        of("refused-call", _not_run),
    ),
    _ends_with("refusal", "cut.refusal-kept", "refused-call"),
    Rule(
        "rounds.bounded",
        "A model that calls for ever comes to an end, within 25 rounds (our choice).",
        "Messages API: server tools, 10 rounds by default",
        of("round-limit-stream", _bounded),
    ),
    Rule(
        "rounds.clean-end",
        "At the limit the message ends with end_turn or pause_turn.",
        _STOPS,
        of("round-limit-stream", _clean_end),
    ),
    Rule(
        "rounds.no-call-left",
        "And leaves no call without its result, unless it says pause_turn.",
        "LiteLLM ends with an open tool_use",
        of("round-limit-stream", _no_call_left),
    ),
    Rule(
        "rounds.usage",
        "usage counts the tokens of all rounds.",
        "Messages API: server tools",
        of("two-rounds-stream", _usage_summed),
    ),
    Rule(
        "rounds.text",
        "The text of all rounds comes, in order.",
        "Messages API: server tools",
        of("two-rounds-stream", _text_of_all),
    ),
)
