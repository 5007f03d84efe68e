"""Rules about calls and their results as the client sees them. Pure.

Turns with two calls, or calls of both sides, have rules of their own in `parallel`.
"""

from collections import Counter
from collections.abc import Callable

from auxot_tools.roundtrip.rule import Judge, Rule, of, of_all, with_message, with_upstream
from auxot_tools.roundtrip.seen import Everything, Seen
from auxot_tools.roundtrip.stream_checks import is_result, is_shown_call
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, kept, over, quoted
from auxot_tools.roundtrip.wire import parsed_object

_PAIRS = "Messages API: tool use"
_ASK_6 = "Messages API: server tools"
# Answers in which calls of the endpoint's may be shown; some have rules of their own elsewhere.
_ELSEWHERE = frozenset({"mixed-stream", "mixed-result", "round-limit-stream"})


def _shown(check: Callable[[Seen], Says]) -> Judge:
    """A judge of every answer that shows calls of the endpoint's."""

    def checked(seen: Seen) -> Says:
        if not seen.shown_calls and not seen.shown_results:
            return NotTestable("no call is shown")
        return check(seen)

    def judge(everything: Everything) -> Outcome:
        wanted = (seen for seen in everything.messages() if seen.name not in _ELSEWHERE)
        return over(wanted, checked, "no message came")

    return judge


def _as_many_results(seen: Seen) -> Says:
    calls, results = len(seen.shown_calls), len(seen.shown_results)
    return None if calls == results else f"{calls} calls are shown and {results} results"


def _ids_match(seen: Seen) -> Says:
    if _as_many_results(seen) is not None:
        return NotTestable("not as many results as calls")
    calls = Counter(str(block.get("id")) for block in seen.shown_calls)
    results = Counter(str(block.get("tool_use_id")) for block in seen.shown_results)
    strange = list((results - calls).elements())
    return f"a result of {strange[0]}, which no call has" if strange else None


def _result_follows(seen: Seen) -> Says:
    blocks = list(enumerate(seen.content))
    places = {str(b.get("id")): place for place, b in blocks if is_shown_call(b.get("type"))}
    for place, block in blocks:
        call = str(block.get("tool_use_id"))
        if is_result(block.get("type")) and places.get(call, -1) > place:
            return f"the result of {call} stands before its call"
    return None


def _ids_unique(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        ids = [str(block.get("id")) for block in (*seen.shown_calls, *seen.client_calls)]
        if len(ids) < 2:
            return NotTestable("fewer than two calls are shown")
        twice = [each for each, count in Counter(ids).items() if count > 1]
        return f"two calls have the id {twice[0]}" if twice else None

    return over(everything.messages(), check, "no message came")


def _stays_ours(everything: Everything) -> Outcome:
    """Clients act on every tool_use that they see."""
    facts = everything.facts

    def check(seen: Seen) -> Says:
        named = [call for call in seen.client_calls if call.get("name") == facts.tool]
        return f"tool_use of {facts.tool}" if named else None

    if not facts.runs_tools:
        return over((), check, "the endpoint runs no tools")
    wanted = (seen for seen in everything.messages() if "tools" in seen.exchange.needs)
    return over(wanted, check, "no message came")


_CLIENTS = ("client-tool", "client-tool-stream", "client-parallel-stream")


@with_message
def _call_has_its_reason(seen: Seen) -> Says:
    if not seen.own_calls:
        return NotTestable("the model called nothing")
    reason = seen.stop_reason
    return None if reason in ("tool_use", None) else f"a tool_use with stop_reason {quoted(reason)}"


def _reason_has_its_call(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if seen.stop_reason != "tool_use":
            return NotTestable("stop_reason is another")
        return None if seen.client_calls else "stop_reason tool_use, and no tool_use block"

    wanted = (seen for seen in everything.messages() if seen.name != "round-limit-stream")
    return over(wanted, check, "no message came")


@with_upstream
@with_message
def _client_call_shown(seen: Seen) -> Says:
    said = seen.upstream[-1].said_calls
    return None if seen.client_calls or not said else "the call does not reach the client"


@with_upstream
@with_message
def _client_input_kept(seen: Seen) -> Says:
    said = [call.get("raw_input") or "" for call in seen.upstream[-1].said_calls]
    came = [call.get("input") for call in seen.own_calls]
    if not said or len(came) != len(said):
        return NotTestable("the call does not reach the client")
    wanted = [parsed_object(raw) for raw in said]
    return kept(came, wanted)


RULES = (
    Rule(
        "pairing.shown-results",
        "There are as many results as calls that the endpoint ran.",
        _ASK_6,
        _shown(_as_many_results),
    ),
    Rule("pairing.shown-ids", "A shown result names a shown call.", _ASK_6, _shown(_ids_match)),
    Rule("pairing.shown-order", "A result stands after its call.", _ASK_6, _shown(_result_follows)),
    Rule("pairing.ids-unique", "No two calls of a message have one id.", _PAIRS, _ids_unique),
    Rule(
        "pairing.not-the-clients",
        "A call that the endpoint runs never reaches the client as tool_use.",
        "Claude Code runs every tool_use that it sees; user ask 2",
        _stays_ours,
    ),
    Rule(
        "pairing.client-call-shown",
        "A call of the client's own tool reaches the client.",
        "user ask 1",
        of_all(_client_call_shown, *_CLIENTS[:2]),
    ),
    Rule(
        "pairing.call-stop-reason",
        "A message with a call for the client says stop_reason tool_use.",
        "SDK tool runners end else",
        of_all(_call_has_its_reason, *_CLIENTS),
    ),
    Rule(
        "pairing.stop-reason-call",
        "A message that says tool_use has a call for the client.",
        "Messages API: stop reasons",
        _reason_has_its_call,
    ),
    Rule(
        "pairing.client-input-kept",
        "The client's call has the input as said, large numbers too.",
        _PAIRS,
        of("client-tool-stream", _client_input_kept),
    ),
)
