"""Rules about refusals and failing upstreams: statuses, bodies, and streams that break. Pure."""

from auxot_tools.roundtrip.rule import Rule, of, with_upstream
from auxot_tools.roundtrip.rules.faults import INTERNALS
from auxot_tools.roundtrip.scenes import REFUSAL_TEXT, RETRY_AFTER_S
from auxot_tools.roundtrip.seen import Everything, Seen
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, over, quoted

_API = "Messages API: errors"
_STREAM = "Messages API: errors within a stream"
_TYPES = {
    400: "invalid_request_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _status(name: str, meaning: str, *good: int) -> Rule:
    """A request that must be refused so."""

    def check(seen: Seen) -> Says:
        return None if seen.status in good else f"status {seen.status}, not {good[0]}"

    return Rule(f"errors.{name}", meaning, _API, of(name, check))


def _body_shape(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        body = seen.json if isinstance(seen.json, dict) else {}
        error = seen.error or {}
        good = body.get("type") == "error" and all(
            isinstance(error.get(name), str) and error[name].strip() for name in ("type", "message")
        )
        return None if good else f"the body is {seen.body[:120].decode('utf-8', 'replace')}"

    return over(everything.errors(), check, "nothing was refused")


def _type_fits(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        kind = (seen.error or {}).get("type")
        wanted = _TYPES.get(seen.status) or ("invalid_request_error" if seen.status < 500 else None)
        if not isinstance(kind, str) or wanted is None:
            return NotTestable(f"status {seen.status} has no type of its own")
        return None if kind == wanted else f"status {seen.status} with error.type {kind}"

    return over(
        (seen for seen in everything.errors() if seen.status != 401), check, "nothing was refused"
    )


def _request_id(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        header = seen.answer.headers.get("request-id")
        if not header or not isinstance(seen.json, dict) or seen.error is None:
            return NotTestable("no error body with a request-id beside it")
        told = seen.json.get("request_id")
        return (
            None
            if told == header
            else f"request_id is {quoted(told)}, the header says {quoted(header)}"
        )

    return over(everything.errors(), check, "nothing was refused")


def _no_stack(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        text = seen.body.decode("utf-8", "replace")
        met = [sign for sign in INTERNALS if sign in text or sign in text.replace('\\"', '"')]
        return f"the body shows a stack: {quoted(met[0])}" if met else None

    return over(everything.errors(), check, "nothing was refused")


@with_upstream
def _overload_told(seen: Seen) -> Says:
    return None if seen.status in (529, 503) else f"status {seen.status}, not 529 (or 503)"


@with_upstream
def _limit_told(seen: Seen) -> Says:
    return None if seen.status == 429 else f"status {seen.status}, not 429"


@with_upstream
def _retry_after_kept(seen: Seen) -> Says:
    if seen.status != 429:
        return NotTestable(f"status {seen.status}")
    told = seen.answer.headers.get("retry-after")
    return (
        None
        if told == RETRY_AFTER_S
        else f"retry-after is {quoted(told)}, not {quoted(RETRY_AFTER_S)}"
    )


@with_upstream
def _refusal_told(seen: Seen) -> Says:
    return None if seen.status == 400 else f"status {seen.status}, not 400"


@with_upstream
def _words_kept(seen: Seen) -> Says:
    if seen.error is None or seen.status != 400:
        return NotTestable(f"no error body with status 400 (status {seen.status})")
    text = str(seen.error.get("message"))
    return None if REFUSAL_TEXT in text else f"the message is {quoted(text, 120)}"


@with_upstream
def _page_is_an_error(seen: Seen) -> Says:
    return None if seen.status >= 500 else f"status {seen.status} with {quoted(seen.body[:60])}"


@with_upstream
def _stream_refused(seen: Seen) -> Says:
    if seen.status >= 400:
        return None
    if seen.stream is not None and seen.stream.of("error"):
        return None
    return f"status {seen.status} and no error event"


@with_upstream
def _error_event(seen: Seen) -> Says:
    if seen.stream is None:
        return NotTestable(f"no stream came (status {seen.status})")
    return None if seen.stream.of("error") else "no error event came"


@with_upstream
def _no_stop(seen: Seen) -> Says:
    if seen.stream is None:
        return NotTestable(f"no stream came (status {seen.status})")
    return "message_stop came all the same" if seen.stream.of("message_stop") else None


@with_upstream
def _cut_told(seen: Seen) -> Says:
    if seen.stream is None:
        return NotTestable(f"no stream came (status {seen.status})")
    told = seen.stream.of("error") or seen.answer.broke_off
    return None if told else "the stream ended as if nothing had happened"


def _event_shape(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        events = seen.stream.of("error") if seen.stream else ()
        if not events:
            return NotTestable("no error event came")
        error = events[0].member("error")
        good = all(isinstance(error.get(name), str) for name in ("type", "message"))
        return None if good else f"the event is {events[0].data[:100]}"

    return over(everything.streams(), check, "no stream came")


_BREAK = "upstream-error-stream"
RULES = (
    _status("bad-json", "A body that is no JSON gets 400.", 400),
    _status("no-messages", "A request without messages gets 400.", 400),
    _status("no-model", "A request without model gets 400.", 400),
    _status("no-max-tokens", "A request without max_tokens gets 400.", 400),
    _status("unknown-path", "A path that is not there gets 404 (or 501).", 404, 501),
    Rule(
        "errors.body-shape",
        "An error's body is {type: error, error: {type, message}}.",
        _API,
        _body_shape,
    ),
    Rule("errors.type", "error.type fits the status.", _API, _type_fits),
    Rule("errors.request-id", "The body's request_id is the header's.", _API, _request_id),
    Rule("errors.no-stack", "No error shows a stack.", "prudence", _no_stack),
    Rule(
        "errors.overloaded",
        "An overloaded upstream is told as 529 or 503.",
        _API,
        of("upstream-busy", _overload_told),
    ),
    Rule(
        "errors.rate-limit", "An upstream's 429 is told.", _API, of("upstream-limit", _limit_told)
    ),
    Rule(
        "errors.retry-after",
        "And its retry-after.",
        "SDKs and Claude Code wait so long",
        of("upstream-limit", _retry_after_kept),
    ),
    Rule(
        "errors.refusal",
        "An upstream's 400 is told as 400.",
        "clients try again after 5xx",
        of("upstream-refuses", _refusal_told),
    ),
    Rule(
        "errors.refusal-words",
        "With the upstream's words.",
        "Claude Code mends its request by them",
        of("upstream-refuses", _words_kept),
    ),
    Rule(
        "errors.web-page",
        "A web page in place of a model is an error, status 5xx.",
        "Claude Code takes 200 for an answer",
        of("upstream-html", _page_is_an_error),
    ),
    Rule(
        "errors.stream-refused",
        "A stream that cannot begin is an error status or event.",
        _STREAM,
        of("upstream-busy-stream", _stream_refused),
    ),
    Rule(
        "errors.stream-error",
        "An error within the upstream's stream comes as an error event.",
        _STREAM,
        of(_BREAK, _error_event),
    ),
    Rule("errors.stream-error-ends", "No message_stop follows it.", _STREAM, of(_BREAK, _no_stop)),
    Rule("errors.event-shape", "An error event has type and message.", _STREAM, _event_shape),
    Rule(
        "errors.cut-told",
        "An upstream's stream that breaks off is told, or breaks off too.",
        "Claude Code, measured: takes it as whole else",
        of("upstream-cut-stream", _cut_told),
    ),
    Rule(
        "errors.cut-not-whole",
        "It does not end with message_stop.",
        _STREAM,
        of("upstream-cut-stream", _no_stop),
    ),
)
