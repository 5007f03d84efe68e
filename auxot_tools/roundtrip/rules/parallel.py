"""Rules about turns with several calls: of one side (`parallel`), of both (`mixed`). Pure."""

from auxot_tools.roundtrip.plan import CLIENT_TOOL_NAME
from auxot_tools.roundtrip.requests import CLIENT_NOTES, result_texts
from auxot_tools.roundtrip.rule import Rule, of, with_message, with_upstream
from auxot_tools.roundtrip.seen import Seen, blocks_of, objects, text_in
from auxot_tools.roundtrip.verdicts import NotTestable, Says, quoted
from auxot_tools.types import JSON

_PARALLEL = "Messages API: parallel tool use"
_MIXED = "Messages API: server and client tools in one turn"


def _said_ids(seen: Seen) -> list[str]:
    return [str(call.get("id")) for call in seen.upstream[0].said_calls]


def _answers(seen: Seen) -> list[JSON] | NotTestable:
    """The results of the first turn's calls, in the order in which they went upstream."""
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    return [
        block
        for message in seen.upstream[1].messages
        for block in blocks_of(message, "tool_result")
        if str(block.get("tool_use_id")) in _said_ids(seen)
    ]


@with_upstream
def _both_answered(seen: Seen) -> Says:
    answers = _answers(seen)
    if isinstance(answers, NotTestable):
        return answers
    answered = {str(block.get("tool_use_id")) for block in answers}
    missing = [each for each in _said_ids(seen) if each not in answered]
    return f"no result of {missing[0]} goes upstream" if missing else None


@with_upstream
def _in_one_message(seen: Seen) -> Says:
    if len(seen.upstream) < 2:
        return NotTestable("the upstream was not asked again")
    holding = [m for m in seen.upstream[1].messages if blocks_of(m, "tool_result")]
    if not holding:
        return NotTestable("no result went upstream")
    return None if len(holding) == 1 else f"the results stand in {len(holding)} messages"


@with_upstream
def _in_order(seen: Seen) -> Says:
    answers = _answers(seen)
    if isinstance(answers, NotTestable) or len(answers) != 2:
        return NotTestable("not both results went upstream")
    order = [str(block.get("tool_use_id")) for block in answers]
    return None if order == _said_ids(seen) else "the results are not in the order of their calls"


@with_upstream
def _each_its_own(seen: Seen) -> Says:
    answers = _answers(seen)
    if isinstance(answers, NotTestable):
        return answers
    inputs = {str(c.get("id")): str(c.get("input")) for c in seen.upstream[0].said_calls}
    marks = {f"-parallel-stream-{number}" for number in (1, 2)}
    for block in answers:
        text = text_in(block.get("content"))
        own = [mark for mark in marks if mark in inputs[str(block.get("tool_use_id"))]]
        met = [mark for mark in marks if mark in text]
        if own and met and own != met:
            return f"{block.get('tool_use_id')} has the result of the other call"
        if not own or not met:
            return NotTestable("the results repeat no MARK")
    return None if answers else NotTestable("no result went upstream")


@with_upstream
@with_message
def _clients_both(seen: Seen) -> Says:
    count, said = len(seen.own_calls), len(seen.upstream[-1].said_calls)
    return None if count == said else f"{said} calls were said, {count} reach the client"


@with_message
def _clients_in_order(seen: Seen) -> Says:
    inputs = [call.get("input") for call in seen.own_calls]
    notes = [given.get("note") for given in inputs if isinstance(given, dict)]
    if len(notes) != 2:
        return NotTestable("not two calls with an input reached the client")
    return None if notes == list(CLIENT_NOTES) else f"the calls came as {quoted(notes, 80)}"


@with_upstream
def _clients_results_go(seen: Seen) -> Says:
    sent = [b for m in objects(seen.request.get("messages")) for b in blocks_of(m, "tool_result")]
    if len(sent) != 2:
        return NotTestable(f"the client had {len(sent)} calls to answer")
    texts = [text_in(block.get("content")) for block in seen.upstream[-1].results()]
    wanted = result_texts(2)
    return None if texts == wanted else f"{len(texts)} of the client's 2 results go upstream"


# -- mixed ---------------------------------------------------------------------------------------


@with_upstream
@with_message
def _mixed_call_shown(seen: Seen) -> Says:
    count = len(seen.own_calls)
    return None if count == 1 else f"{count} calls of {CLIENT_TOOL_NAME} reach the client, not 1"


@with_upstream
@with_message
def _mixed_reason(seen: Seen) -> Says:
    if not seen.own_calls:
        return NotTestable("the client's call does not reach it")
    reason = seen.stop_reason
    return None if reason in ("tool_use", None) else f"stop_reason is {quoted(reason)}"


@with_upstream
def _mixed_not_run(seen: Seen) -> Says:
    clients = _said_ids(seen)[-1:]
    if not clients:
        return NotTestable("the upstream called nothing")
    answered = [asked for asked in seen.upstream if asked.result_of(clients[0]) is not None]
    return "the client's call was answered in its place" if answered else None


@with_upstream
@with_message
def _mixed_shape(seen: Seen) -> Says:
    """Run at once, with its result; or deferred, without one. Never twice, never a result alone."""
    if not seen.shown_calls and not seen.shown_results:
        return NotTestable("the endpoint's call is not shown")
    if len(seen.shown_calls) != 1:
        return f"the endpoint's call is shown {len(seen.shown_calls)} times"
    call = seen.shown_calls[0].get("id")
    strange = [r for r in seen.shown_results if r.get("tool_use_id") != call]
    if strange or len(seen.shown_results) > 1:
        return f"{len(seen.shown_results)} results stand beside one call"
    return None


def _taken(seen: Seen) -> Says:
    if seen.status != 200:
        return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"
    if seen.error:
        return "an error event came"
    return None if seen.has_message else NotTestable("status 200 without a message")


@with_upstream
def _mixed_paired(seen: Seen) -> Says:
    first = seen.upstream[0]
    turns = [m for m in first.messages if m.get("role") == "assistant"]
    uses = [str(b.get("id")) for m in turns for b in blocks_of(m, "tool_use")]
    results = [
        str(b.get("tool_use_id")) for m in first.messages for b in blocks_of(m, "tool_result")
    ]
    if len(uses) != 2:
        return f"{len(uses)} of the turn's 2 calls go back upstream"
    return None if sorted(uses) == sorted(results) else f"results of {len(set(results))} of 2 calls"


RULES = (
    Rule(
        "parallel.all-answered",
        "Each of two calls in a turn gets its result.",
        "user asks 10 to 12",
        of("parallel-stream", _both_answered),
    ),
    Rule(
        "parallel.one-message",
        "The results of a turn go upstream in one message.",
        _PARALLEL,
        of("parallel-stream", _in_one_message),
    ),
    Rule(
        "parallel.in-order",
        "They stand in the order of their calls.",
        "user ask 13; prompt caching",
        of("parallel-stream", _in_order),
    ),
    Rule(
        "parallel.own-result",
        "Each call has its own result.",
        _PARALLEL,
        of("parallel-stream", _each_its_own),
    ),
    Rule(
        "parallel.client-all",
        "Both calls of the client's tool reach it.",
        "user ask 8",
        of("client-parallel-stream", _clients_both),
    ),
    Rule(
        "parallel.client-order",
        "They come in the order in which they were said.",
        _PARALLEL,
        of("client-parallel-stream", _clients_in_order),
    ),
    Rule(
        "parallel.client-results",
        "Both of the client's results go upstream.",
        "user ask 10",
        of("client-parallel-result", _clients_results_go),
    ),
    Rule(
        "mixed.client-call",
        "The client's call of a mixed turn reaches it.",
        "user asks 1, 8",
        of("mixed-stream", _mixed_call_shown),
    ),
    Rule(
        "mixed.stop-reason",
        "A mixed turn says stop_reason tool_use.",
        _MIXED,
        of("mixed-stream", _mixed_reason),
    ),
    Rule(
        "mixed.client-not-run",
        "The client's call is not run, or answered, by the endpoint.",
        "user ask 1",
        of("mixed-stream", _mixed_not_run),
    ),
    Rule(
        "mixed.shape",
        "The endpoint's call is shown once: run, with its result, or deferred, without.",
        f"{_MIXED}; user asks 6, 7",
        of("mixed-stream", _mixed_shape),
    ),
    Rule(
        "mixed.result-taken",
        "The client's result alone is taken.",
        f"{_MIXED}; user ask 8",
        of("mixed-result", _taken),
    ),
    Rule(
        "mixed.paired",
        "Then each of the turn's calls goes upstream with one result.",
        "user asks 7, 8",
        of("mixed-result", _mixed_paired),
    ),
)
