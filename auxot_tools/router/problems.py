"""Errors as a Messages client sees them: status, headers, body.

One job: from an exception to an Anthropic error answer, in the one table of `errors.py`. Facts:
Messages API reference, "Errors"; `x-should-retry` and `retry-after` are what the official SDKs
obey. Must not know requests or streams.
"""

from dataclasses import dataclass, field, replace

from auxot_tools.errors import (
    AuthenticationError,
    AuxotError,
    NotServedHere,
    RateLimited,
    RemoteProtocolError,
    Unavailable,
    UpstreamError,
    wire_status,
)
from auxot_tools.messages import exact_json
from auxot_tools.messages.request import ThreadUnsupported
from auxot_tools.types import JSON

# error.type for a status of an upstream that did not say one itself.
_TYPES = {
    400: "invalid_request_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_NO_ENDPOINT = frozenset({404, 405, 501})  # so answers a server that has no such path
_WORDS_CHARS = 300  # of an upstream's sentence; more is a dump
_NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer. `body` has the form `{"type": "error", "error": {...}, "request_id"}`."""

    status: int
    body: JSON
    headers: dict[str, str] = field(default_factory=dict)


def problem_of(error: Exception, request_id: str, *, may_repeat: bool = True) -> Problem:
    """How `error` is told. Unless `may_repeat`, clients must not repeat the request themselves:
    tools ran, and a repeat would run them again.
    """
    status, told, headers = _told(error)
    if not may_repeat:
        headers = headers | _NO_RETRY
    return Problem(status, {"type": "error", "error": told, "request_id": request_id}, headers)


def tools_problem_of(error: AuxotError, request_id: str, *, may_repeat: bool = True) -> Problem:
    """The same as the tools API says it: with Auxot's word for a worker that is not there."""
    problem = problem_of(error, request_id, may_repeat=may_repeat)
    if problem.status != 503:
        return problem
    told = problem.body["error"] | {"type": "service_unavailable"}
    return replace(problem, body=problem.body | {"error": told})


def _told(error: Exception) -> tuple[int, JSON, dict[str, str]]:
    if isinstance(error, UpstreamError):
        return _upstream_told(error)
    wire = wire_status(error)
    if not isinstance(error, AuxotError):  # ours, and a fault: its text is for the log
        return wire.http, _error(wire.error_type, "Internal error in the router."), {}
    told = _error(wire.error_type, _sentence(error))
    if isinstance(error, ThreadUnsupported):
        told["details"] = {"error_code": error.error_code}
    return wire.http, told, _headers_of(error)


def _sentence(error: AuxotError) -> str:
    text = str(error)
    if isinstance(error, RemoteProtocolError | Unavailable):
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) or ": " in text else f"{text}."


def _headers_of(error: AuxotError) -> dict[str, str]:
    if isinstance(error, AuthenticationError | NotServedHere):
        return _NO_RETRY
    if isinstance(error, RateLimited):
        return {"retry-after": str(error.retry_after_s)}
    if isinstance(error, Unavailable):
        return {"retry-after": "1"}
    return {}


def _upstream_told(error: UpstreamError) -> tuple[int, JSON, dict[str, str]]:
    if error.status == 401:  # the operator's key, not the client's
        text = "The upstream refused the router's own key; its operator must set another one."
        return 502, _error("api_error", text), _NO_RETRY
    if error.status < 400:
        text = f"The upstream answered with HTTP status {error.status}, which is no answer."
        return 502, _error("api_error", text), dict(error.headers)
    told = _own_words(error.body)
    if told is None:
        kind = _TYPES.get(
            error.status, "invalid_request_error" if error.status < 500 else "api_error"
        )
        told = _error(kind, _answered(error))
    return error.status, told, dict(error.headers)


def _answered(error: UpstreamError) -> str:
    """What is told of an answer that is no Messages error, with the upstream's words if short."""
    asked = "answered POST /v1/messages with" if error.status in _NO_ENDPOINT else "answered with"
    text = f"The upstream {asked} HTTP status {error.status}"
    words = _other_words(error.body)
    return f"{text}: {words}" if words else f"{text}."


def _other_words(body: bytes) -> str:
    """The one text in the JSON of an error, as other APIs have it; empty when there is none."""
    try:
        value = exact_json.decode(body)
    except exact_json.InvalidJSON:
        return ""
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    told = error.get("message") if isinstance(error, dict) else error
    found = (one for one in (told, value.get("message"), value.get("detail")))
    text = next((one for one in found if isinstance(one, str)), "")[:_WORDS_CHARS]
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _own_words(body: bytes) -> JSON | None:
    """The upstream's own error object, when it is one that a Messages client can read."""
    try:
        value = exact_json.decode(body)
    except exact_json.InvalidJSON:
        return None
    told = value.get("error") if isinstance(value, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return None
    return told if isinstance(told.get("type"), str) else None


def _error(kind: str, message: str) -> JSON:
    return {"type": kind, "message": message}
