"""Rules: is a Messages endpoint at the path that the client asks for?

One job: data about paths, redirects and servers of another kind. Must not make requests. Facts:
`auxot.md` section 2.9 (which base URLs the Auxot router repairs), `clients.md` section 2.1.
"""

import re
from urllib.parse import SplitResult, urlsplit

from auxot_tools.doctor.base_url import Client
from auxot_tools.doctor.observations import NO_ENDPOINT, Observations
from auxot_tools.doctor.probes import is_model_refused
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.rules import Place, Rule, When, good_base, moved_base, moved_to

_NOT_OPENAI = frozenset({None, 401, 403, 429, *NO_ENDPOINT})  # statuses that show no endpoint
_ENDPOINT = re.compile(r"(?i)/(messages(/count_tokens)?|chat/completions|responses|completions)/?$")
_LOGIN = re.compile(
    r"(?i)(log-?in|sign-?in|sso|oauth|saml|auth/realms|//(accounts|auth|idp?|authelia|authentik)\."
    r"|[?&](rd|rurl|return_to|redirect_uri|continue)=)"
)


def is_path_wrong(seen: Observations) -> bool:
    """Something answers that is no Messages endpoint; elsewhere here one is, or may be."""
    if seen.asked is None or not seen.status or is_model_unknown(seen):
        return False
    if seen.is_upstreams_refusal:
        return False
    if seen.good_root is not None:
        return not seen.is_endpoint(seen.asked)
    is_unlikely = seen.base is not None and seen.base.clean != good_base(seen)
    return not seen.was_tried and seen.status in NO_ENDPOINT and is_unlikely


def is_model_unknown(seen: Observations) -> bool:
    """The endpoint is right, and the model is not."""
    reading = seen.reading
    if seen.status not in {400, 404}:
        return False
    if reading.kind is not Kind.MESSAGES_ERROR:
        return is_model_refused(reading, seen.model)
    words = reading.message.lower()
    names = bool(seen.model) and seen.model.lower() in words
    return (
        "not served here" not in words
        and "endpoint" not in words
        and (names or words.startswith("model") or "the model" in words)
    )


def _is_upstreams_refusal(seen: Observations) -> bool:
    return seen.is_upstreams_refusal and not is_model_unknown(seen)


def _and_path(predicate: When) -> When:
    return lambda seen: is_path_wrong(seen) and seen.base is not None and predicate(seen)


def _path(seen: Observations) -> str:
    return seen.base.path.rstrip("/") if seen.base else ""


def _is_case_wrong(seen: Observations) -> bool:
    path, root = _path(seen), seen.good_root
    if root is None:
        return path != path.lower()
    return path != path.lower() and path.lower().removesuffix("/v1") == root


def _is_api_missing(seen: Observations) -> bool:
    root = seen.good_root
    return "anthropic" not in _path(seen).lower() and (root is None or "anthropic" in root)


def _is_api_too_much(seen: Observations) -> bool:
    return seen.good_root == "" and bool(_path(seen).lower().removesuffix("/v1"))


def _is_v1_doubled(seen: Observations) -> bool:
    is_sdk = seen.client is Client.ANTHROPIC
    path = _path(seen)
    is_it = seen.good_root in {None, path.removesuffix("/v1")}
    return is_sdk and path.lower().endswith("/v1") and is_it


def _is_v1_dropped(seen: Observations) -> bool:
    return seen.client is Client.VERCEL and not _path(seen).endswith("/v1")


def _redirects(seen: Observations) -> bool:
    return bool(moved_to(seen))


def _parts(seen: Observations) -> SplitResult:
    return urlsplit(moved_to(seen))


def _is_same_host(seen: Observations) -> bool:
    return seen.base is None or (_parts(seen).hostname or "") == seen.base.host


def _is_page(seen: Observations) -> bool:
    return seen.reading.kind is Kind.HTML


def _speaks_openai(seen: Observations) -> bool:
    """It answers there, and the key was not refused elsewhere: a refusal shows no dialect."""
    spoken = (Kind.OPENAI, Kind.OPENAI_ERROR)
    is_spoken = any(
        one.status not in _NOT_OPENAI and not one.refuses_key and one.reading.kind in spoken
        for one in seen.of("openai")
    ) and not any(one.refuses_key for one in (*seen.of("asked"), *seen.of("path")))
    return is_spoken or (seen.status == 200 and seen.reading.kind is Kind.OPENAI)


def _is_not_found(seen: Observations) -> bool:
    is_no_endpoint = seen.status in NO_ENDPOINT and not is_model_unknown(seen)
    return is_no_endpoint and seen.good_root is None


def _is_other_answer(seen: Observations) -> bool:
    kinds = {Kind.HTML, Kind.JSON, Kind.TEXT, Kind.EMPTY}
    return seen.status == 200 and seen.reading.kind in kinds and seen.failure is None


_SET = "Set {variable}={good_base}"

PATH_RULES = (
    Rule(
        "redirect_to_login",
        Place.PATH,
        lambda seen: _redirects(seen) and bool(_LOGIN.search(moved_to(seen))),
        "{host} sends requests to a login page at {moved_origin}: a sign-in stands before the API.",
        "Ask the operator of {host} for an address of the API that takes keys (no sign-in page).",
    ),
    Rule(
        "redirect_to_https",
        Place.PATH,
        lambda seen: (
            _redirects(seen)
            and _is_same_host(seen)
            and bool(seen.base and seen.base.scheme == "http")
            and _parts(seen).scheme == "https"
        ),
        "{host} redirects http to https, and a redirect turns the POST into a GET.",
        "Set {variable}={moved_base}",
    ),
    Rule(
        "redirect_to_another_host",
        Place.PATH,
        lambda seen: _redirects(seen) and not _is_same_host(seen),
        "{host} redirects to {moved_host}; the key was not sent there.",
        "If you trust {moved_host}, set {variable}={moved_base}",
    ),
    Rule(
        "redirect_to_itself",
        Place.PATH,
        lambda seen: (
            _redirects(seen) and seen.base is not None and moved_base(seen) == seen.base.clean
        ),
        "{host} redirects the request to itself (a rule about slashes or sign-in), and loses the "
        "POST.",
        "In {server} at {host}: pass POST {suffix} on to the router without a redirect.",
    ),
    Rule(
        "redirect",
        Place.PATH,
        _redirects,
        "{host} redirects the request (status {status}) to another path, and loses the POST.",
        "Set {variable}={moved_base}",
    ),
    Rule(
        "query_in_base",
        Place.PATH,
        lambda seen: (
            seen.base is not None
            and seen.base.has_query
            and (is_path_wrong(seen) or not seen.status)
        ),
        "The base URL has a `?` or `#`, which swallows what the client appends.",
        _SET,
    ),
    Rule(
        "endpoint_in_base",
        Place.PATH,
        _and_path(lambda seen: bool(_ENDPOINT.search(_path(seen)))),
        "The base URL holds the endpoint itself; the client appends {suffix} once more.",
        _SET,
    ),
    Rule(
        "openai_path",
        Place.PATH,
        _and_path(lambda seen: "openai" in _path(seen).lower()),
        "The base URL is that of the OpenAI dialect; a Messages client needs the other one.",
        _SET,
    ),
    Rule(
        "v1_repeated",
        Place.PATH,
        _and_path(lambda seen: _path(seen).lower().count("/v1") > 1),
        "There is more than one /v1 in the base URL, and the client appends its own.",
        _SET,
    ),
    Rule(
        "wrong_case",
        Place.PATH,
        _and_path(_is_case_wrong),
        "The path in the base URL has capital letters; paths are compared letter by letter.",
        _SET,
    ),
    Rule(
        "api_path_missing",
        Place.PATH,
        _and_path(_is_api_missing),
        "The base URL lacks the path /api/anthropic.",
        _SET,
    ),
    Rule(
        "api_path_too_much",
        Place.PATH,
        _and_path(_is_api_too_much),
        "This server has its Messages endpoint at the root: the path in the base URL is too much.",
        _SET,
    ),
    Rule(
        "v1_doubled",
        Place.PATH,
        _and_path(_is_v1_doubled),
        "The base URL ends in /v1, and the client appends /v1/messages: this server does not "
        "repair that.",
        _SET,
    ),
    Rule(
        "v1_dropped",
        Place.PATH,
        _and_path(_is_v1_dropped),
        "The client appends only /messages, and this server wants /v1 before it.",
        _SET,
    ),
    Rule(
        "path_wrong",
        Place.PATH,
        is_path_wrong,
        "There is no Messages endpoint at {given}{suffix} (status {status}).",
        _SET,
    ),
    Rule(
        "upstream_speaks_no_messages",
        Place.PATH,
        _is_upstreams_refusal,
        "The router is right; its upstream has no Messages endpoint ({status}: {message}).",
        "On the router: set the url of its upstream to a server that answers POST /v1/messages; "
        "`auxot-tools check` there says what that one speaks.",
    ),
    Rule(
        "openai_only",
        Place.PATH,
        _speaks_openai,
        "{host} speaks the OpenAI dialect only: no Messages endpoint was found.",
        "Use an OpenAI client with base_url={origin}/v1 for this server, or put the auxot-tools "
        "router before a server that speaks Messages.",
    ),
    Rule(
        "login_page",
        Place.PATH,
        lambda seen: seen.reading.is_login and seen.status not in {401, 403},
        "A login page came back: a sign-in stands before the API.",
        "Ask the operator of {host} for an address of the API that takes keys (no sign-in page).",
    ),
    Rule(
        "web_page",
        Place.PATH,
        lambda seen: _is_page(seen) and (_is_not_found(seen) or _is_other_answer(seen)),
        "A web page of {server} came back ({message}): this is a web server, not the router.",
        "Point {variable} at the router itself (its host and port), or let {server} pass "
        "/api/anthropic/ on to it.",
    ),
    Rule(
        "no_endpoint",
        Place.PATH,
        _is_not_found,
        "No Messages endpoint was found at {origin} (status {status}: {message}).",
        "Point {variable} at a router: http://HOST:8080/api/anthropic, with its host and port.",
    ),
    Rule(
        "not_messages",
        Place.PATH,
        _is_other_answer,
        "The answer is no message (status 200, content type {content_type}: {message}).",
        "Point {variable} at a router: http://HOST:8080/api/anthropic, with its host and port.",
    ),
    Rule(
        "trailing_slash",
        Place.NOTE,
        lambda seen: any(one.status in NO_ENDPOINT for one in seen.of("slash")),
        "The base URL ends in a slash, and this server does not take //: some clients send it so.",
        "Set {variable}={clean}",
    ),
)
