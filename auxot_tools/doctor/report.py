"""Findings and evidence as lines for people, and as JSON for programs.

One job: words. Every line leaves through the redactor: no key is ever in it.
"""

from collections.abc import Sequence
from typing import Any

from auxot_tools.doctor.key import Redactor
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.rules import Finding
from auxot_tools.doctor.words import printable, shortened
from auxot_tools.types import JSON

_WELL = "Nothing is wrong: {what}."
_MAX_DEPTH = 100  # of a JSON value that is shown
_SERVER_CHARS = 40
# purpose of an attempt -> what it was for
_FOR = {
    "asked": "as the client asks",
    "health": "is a router there?",
    "models": "which models?",
    "model": "with a model that is served",
    "path": "another path",
    "there": "the request there",
    "beside": "a path that nobody serves",
    "openai": "the OpenAI dialect?",
    "key": "the key another way",
    "form": "the key in the other header",
    "version": "another anthropic-version",
    "slash": "with the slash at the end",
    "large": "a body of 1.5 MB",
    "stream": "streamed",
    "scheme": "by the other scheme",
    "port": "another port",
}


def lines(seen: Observations, findings: Sequence[Finding]) -> list[str]:
    """The fix first, then what was tried and seen."""
    redactor = Redactor([seen.key])
    told: list[str] = []
    faults = [one for one in findings if not one.is_note]
    for finding in faults:
        told += [f"FIX   {finding.fix}", f"      {finding.says}  [{finding.id}]"]
    if not faults:
        told.append("OK    " + _WELL.format(what=_what_is_well(seen)))
    for note in (one for one in findings if one.is_note):
        told += [f"NOTE  {note.fix}", f"      {note.says}  [{note.id}]"]
    told += ["", f"Seen ({seen.key.shown}):"]
    told += [f"  {_attempt_line(one, redactor)}" for one in seen.attempts] or [
        "  no request was made"
    ]
    return [printable(redactor.clean(line)) for line in told]


def as_json(seen: Observations, findings: Sequence[Finding]) -> JSON:
    """The same for programs: ``ok``, ``findings``, ``attempts``, ``key``."""
    redactor = Redactor([seen.key])
    told = {
        "ok": all(one.is_note for one in findings),
        "fix": next((one.fix for one in findings if not one.is_note), ""),
        "findings": [
            {
                "id": one.id,
                "level": "note" if one.is_note else "fault",
                "place": str(one.place),
                "says": one.says,
                "fix": one.fix,
            }
            for one in findings
        ],
        "attempts": [_attempt_json(one, redactor) for one in seen.attempts],
        "key": seen.key.shown,
    }
    cleaned: JSON = cleaned_values(told, redactor)
    return cleaned


def cleaned_values(value: Any, redactor: Redactor, depth: int = _MAX_DEPTH) -> Any:
    """Every text in a JSON value without keys and control characters; cut where it is too deep."""
    if isinstance(value, str):
        return printable(redactor.clean(value))
    if isinstance(value, dict | list) and depth == 0:
        return "\u2026"
    if isinstance(value, dict):
        return {
            printable(redactor.clean(str(name))): cleaned_values(one, redactor, depth - 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [cleaned_values(one, redactor, depth - 1) for one in value]
    return value


def _what_is_well(seen: Observations) -> str:
    if seen.asked is None or not seen.was_tried:
        return "the pasted answer shows no fault that is known here"
    done = {one.purpose for one in seen.attempts if one.is_ok}
    return "the client's request is answered" + (", whole and streamed" * ("stream" in done))


def _attempt_line(one: Attempt, redactor: Redactor) -> str:
    if one.sent == "as pasted":
        return f"pasted: {one.url.partition('?')[0] or 'no URL in it'}  {_outcome(one, redactor)}"
    asked = f"{one.method} {one.url.partition('?')[0]}"
    why = _FOR.get(one.purpose, one.purpose)
    if one.purpose in {"version", "key"} and one.subject:
        why = f"{why}: {one.subject}"
    return f"{asked}  [{why}; {one.sent}]  {_outcome(one, redactor)}"


def _outcome(one: Attempt, redactor: Redactor) -> str:
    if one.status is None:
        return f"failed: {one.failure_text}"
    reading = one.reading
    message = shortened(redactor.clean(reading.message))
    error_type = shortened(redactor.clean(reading.error_type))
    words = f'{error_type} "{message}"'.strip() if message else ""
    told = [str(one.status), reading.kind.replace("_", " "), words]
    if one.headers.get("server"):
        server = shortened(redactor.clean(one.headers["server"]), _SERVER_CHARS)
        told.append(f"(server: {server})")
    if one.pieces and one.purpose == "stream":
        told.append(f"first byte {one.pieces[0][0]:.2f} s, last {one.pieces[-1][0]:.2f} s")
    if one.failure is not None:
        told.append(f"then {one.failure_text}")
    return " ".join(part for part in told if part)


def _attempt_json(one: Attempt, redactor: Redactor) -> JSON:
    return {
        "for": one.purpose,
        "tried": one.subject,
        "method": one.method,
        "url": one.url.partition("?")[0],
        "key_sent": one.sent,
        "status": one.status,
        "kind": str(one.reading.kind) if one.status is not None else None,
        "error_type": shortened(redactor.clean(one.reading.error_type)),
        "message": shortened(redactor.clean(one.reading.message)),
        "failure": str(one.failure) if one.failure else None,
        "failure_text": one.failure_text,
        "status_after_s": round(one.at_s, 3),
    }
