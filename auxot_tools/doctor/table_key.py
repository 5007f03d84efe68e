"""Rules: is the key one that this server takes, and does it come in the right header?

One job: data about keys. Must not make requests. Facts: `auxot.md` sections 1.2 and 1.5 (kinds,
`bearer` in lower case is a 401), `clients.md` section 2.2 (which client sends which header).
"""

from auxot_tools.doctor.environment import UP_DIR
from auxot_tools.doctor.key import CLIENT_KINDS, WORKER_KINDS, KeyFault
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.rules import Place, Rule, When, key_that_worked

_SIGN_INS = ("basic", "digest", "negotiate", "ntlm")
_JUDGED_BY_US = frozenset({Kind.MESSAGES_ERROR, Kind.OPENAI_ERROR})


def refused(seen: Observations) -> Attempt | None:
    """The answer that refuses the key: the client's own, or that of the endpoint found instead."""
    found = [one for one in seen.of("path") if one.subject == seen.good_root]
    tried = found or ([seen.asked] if seen.asked else [])
    return next((one for one in tried if one.refuses_key), None)


def _is_refused(seen: Observations) -> bool:
    return refused(seen) is not None


def _has(fault: KeyFault) -> When:
    return lambda seen: fault in seen.key.faults and (_is_refused(seen) or _is_unseen(seen))


def _cannot_be_sent(fault: KeyFault) -> When:
    """The same; also where it was asked with a repaired key, as that one cannot be sent."""
    has = _has(fault)
    return lambda seen: has(seen) or (fault in seen.key.faults and not seen.key.is_sendable)


def _is_unseen(seen: Observations) -> bool:
    """Nobody could judge the key; what can be seen in its text is said then."""
    return not seen.status or (not seen.was_tried and seen.status in {401, 403})


def _is_another_form(seen: Observations) -> bool:
    worked, asked = key_that_worked(seen), seen.asked
    return worked is not None and asked is not None and worked.sent != asked.sent


def _is_lower_bearer(seen: Observations) -> bool:
    scheme = seen.sent_headers.get("authorization", "")
    is_lower = scheme.lower() == "bearer" and scheme != "Bearer"
    worked = key_that_worked(seen)
    is_it = worked is None or worked.sent == "bearer" or not seen.was_tried
    return _is_refused(seen) and is_lower and is_it


def _is_missing(seen: Observations) -> bool:
    is_none_sent = not {"x-api-key", "authorization"} & seen.sent_headers.keys()
    says_so = (
        "missing" in seen.reading.message.lower() or "no api key" in seen.reading.message.lower()
    )
    has_none = seen.key.given is None and (is_none_sent if seen.was_tried else says_so)
    return _is_refused(seen) and seen.status != 403 and has_none


def _is_of(*kinds: str) -> When:
    return lambda seen: _is_refused(seen) and seen.key.kind in kinds


def _is_wall(seen: Observations) -> bool:
    wall = refused(seen)
    return wall is not None and wall.status == 403 and wall.reading.kind not in _JUDGED_BY_US


def _is_gateway(seen: Observations) -> bool:
    """A 401 of something that knows nothing of our keys: a sign-in of the web, or Kong's words."""
    answer = refused(seen)
    if answer is None or answer.status != 401:
        return False
    wants = answer.headers.get("www-authenticate", "").lower().lstrip()
    value = answer.reading.value
    is_alone = isinstance(value, dict) and "message" in value and not _OURS & value.keys()
    return wants.startswith(_SIGN_INS) or answer.reading.kind in {Kind.HTML, Kind.TEXT} or is_alone


_OURS = frozenset({"error", "detail", "type"})  # in the errors of APIs such as this


def _is_forbidden(seen: Observations) -> bool:
    answer = refused(seen)
    return answer is not None and answer.status == 403


_KEY = "ANTHROPIC_API_KEY"
_OF_UP = f"(with `make up`: the one in {UP_DIR}/key; else see `auxot-tools keys list`)"

KEY_RULES = (
    Rule(
        "blocked_before_the_server",
        Place.KEY,
        _is_wall,
        "403 from {server}, not in the words of an API ({message}): a firewall or gateway before "
        "the router refuses the request.",
        "Ask the operator of {server} at {host} to let POST {good_base}{suffix} through (its rules "
        "for bots, bodies or countries).",
    ),
    Rule(
        "gateway_wants_sign_in",
        Place.KEY,
        _is_gateway,
        "401 from {server}, not in the words of this API ({message}): a gateway before the router "
        "wants a user, password or key of its own.",
        "Ask the operator of {server} at {host} to let POST {good_base}{suffix} through to the "
        "router, or how clients sign in to that gateway.",
    ),
    Rule(
        "key_not_expanded",
        Place.KEY,
        _has(KeyFault.NOT_EXPANDED),
        "The key is the name of a variable, not its value: nobody filled it in.",
        f'Use double quotes, not single ones, around "$VARIABLE", and export {_KEY} first.',
    ),
    Rule(
        "key_is_placeholder",
        Place.KEY,
        _has(KeyFault.PLACEHOLDER),
        "The key is the placeholder of an example.",
        f"Set {_KEY} to a real key: `auxot-tools keys create --name NAME` makes one.",
    ),
    Rule(
        "key_empty",
        Place.KEY,
        _has(KeyFault.EMPTY),
        "The key is empty.",
        f"Set {_KEY} to a key: `auxot-tools keys create --name NAME` makes one.",
    ),
    Rule(
        "key_missing",
        Place.KEY,
        _is_missing,
        "No key was sent.",
        f"Set {_KEY} (header `x-api-key`) to a key of this router {_OF_UP}.",
    ),
    Rule(
        "key_with_name",
        Place.KEY,
        _has(KeyFault.HAS_NAME),
        "The name of the header or variable was copied along with the key.",
        f"Set {_KEY} to the key alone, without the name before it.",
    ),
    Rule(
        "key_with_bearer",
        Place.KEY,
        _has(KeyFault.HAS_BEARER),
        "The key begins with the word Bearer, which the client adds itself.",
        f"Set {_KEY} to the key alone, without `Bearer `.",
    ),
    Rule(
        "key_with_quotes",
        Place.KEY,
        _has(KeyFault.QUOTED),
        "There are quotes around the key, as part of it.",
        f"Set {_KEY} to the key without quotes (an .env file and Docker's --env-file keep them).",
    ),
    Rule(
        "key_with_space",
        Place.KEY,
        _cannot_be_sent(KeyFault.SPACE),
        "There is a space or a line end in the key or around it.",
        f"Set {_KEY} without it, for example {_KEY}=\"$(tr -d '[:space:]' < KEYFILE)\".",
    ),
    Rule(
        "key_with_odd_characters",
        Place.KEY,
        _cannot_be_sent(KeyFault.NOT_ASCII),
        "There are characters in the key that no key has (a dash or quote that a text editor "
        "changed).",
        f"Copy the key once more from where it was made, and set {_KEY} to it.",
    ),
    Rule(
        "bearer_in_lower_case",
        Place.KEY,
        _is_lower_bearer,
        "The client sends `bearer` in lower case; the Auxot router takes only `Bearer`.",
        "Send `Authorization: Bearer KEY` with a capital B, or `x-api-key: KEY`.",
    ),
    Rule(
        "key_in_the_wrong_header",
        Place.KEY,
        _is_another_form,
        "The key is right and comes in the wrong header.",
        "Send it as {good_form} (ANTHROPIC_API_KEY is x-api-key in Claude Code, "
        "ANTHROPIC_AUTH_TOKEN is Bearer).",
    ),
    Rule(
        "key_for_workers",
        Place.KEY,
        _is_of(*WORKER_KINDS),
        "The key is {kind}; clients of the API need another one.",
        f"Set {_KEY} to the router's API key, which begins with rtr_.",
    ),
    Rule(
        "key_of_anthropic",
        Place.KEY,
        _is_of("sk-ant-"),
        "The key is {kind}, and {host} is not that API.",
        f"Set {_KEY} to a key of this router (rtr_\u2026), or unset {{variable}}.",
    ),
    Rule(
        "key_of_openai",
        Place.KEY,
        _is_of("sk-"),
        "The key is {kind}; this server does not know it.",
        f"Set {_KEY} to a key of this router (rtr_\u2026), or of this LiteLLM if it is one (sk-).",
    ),
    Rule(
        "key_cut",
        Place.KEY,
        lambda seen: _is_refused(seen) and KeyFault.CUT in seen.key.faults,
        "The key has {key_chars} characters and should have 47: a piece of it is missing.",
        f"Copy the whole key once more into {_KEY}.",
    ),
    Rule(
        "key_may_not",
        Place.KEY,
        _is_forbidden,
        "The key is known and may not do this ({message}).",
        "Ask the router's operator to allow it for this key (`auxot-tools keys list`).",
    ),
    Rule(
        "key_unknown",
        Place.KEY,
        lambda seen: _is_refused(seen) and seen.key.kind in {*CLIENT_KINDS, ""},
        "The server does not know {which_key}; it says: {message}",
        f"Set {_KEY} to a key of this very router {_OF_UP}.",
    ),
)
