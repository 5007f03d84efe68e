"""Rules about keys: who is let in, who is not, and how that is said. Pure."""

from auxot_tools.roundtrip.recording import KEY_MARK
from auxot_tools.roundtrip.rule import Rule, of, of_all
from auxot_tools.roundtrip.seen import Everything, Seen
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, over, quoted

_REFUSED = ("no-key", "wrong-key")
_ERRORS = "Messages API: errors"


def _is_401(seen: Seen) -> Says:
    return None if seen.status == 401 else f"status {seen.status}, not 401"


def _is_let_in(seen: Seen) -> Says:
    if seen.status in (401, 403):
        return f"status {seen.status}, not 200"
    return None if seen.has_message else NotTestable(f"no message came (status {seen.status})")


def _type_is_right(seen: Seen) -> Says:
    if seen.status != 401 or seen.error is None:
        return NotTestable("no error body with status 401")
    kind = seen.error.get("type")
    return None if kind == "authentication_error" else f"error.type is {quoted(kind)}"


def _is_final(seen: Seen) -> Says:
    if seen.status != 401:
        return NotTestable(f"status {seen.status}")
    told = seen.answer.headers.get("x-should-retry")
    return None if told == "false" else f"x-should-retry is {quoted(told)}"


def _keeps_the_key(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        if KEY_MARK.encode() in seen.body:
            return "the key is in the answer's body"
        named = [name for name, value in seen.answer.headers.items() if KEY_MARK in value]
        return f"the key is in the header {named[0]}" if named else None

    return over(everything.all.values(), check, "nothing was answered")


RULES = (
    Rule("auth.missing-key", "A request without a key gets 401.", _ERRORS, of("no-key", _is_401)),
    Rule("auth.wrong-key", "A wrong key gets 401.", _ERRORS, of("wrong-key", _is_401)),
    Rule(
        "auth.error-type",
        "A refused key is told as authentication_error.",
        _ERRORS,
        of_all(_type_is_right, *_REFUSED),
    ),
    Rule(
        "auth.final",
        "A refused key is told with x-should-retry: false.",
        "Claude Code 2.1.330, measured: tries for minutes else",
        of_all(_is_final, *_REFUSED),
    ),
    Rule(
        "auth.x-api-key",
        "The key is taken as x-api-key.",
        "Claude Code, Vercel AI SDK, anthropic < 2",
        of("x-api-key", _is_let_in),
    ),
    Rule(
        "auth.bearer",
        "The key is taken as a bearer token.",
        "SDKs anthropic 2.12 and @anthropic-ai/sdk 1.12",
        of("bearer", _is_let_in),
    ),
    Rule("auth.key-secret", "No answer repeats the key.", "prudence", _keeps_the_key),
)
