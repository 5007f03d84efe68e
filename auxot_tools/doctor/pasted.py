"""From what somebody pasted (an answer, curl's output, an SDK's error) to observations.

One job: find status, headers, body, URL and key in text. It makes no request. Facts: curl 8 (`-i`,
`-v`, its numbered errors), `anthropic` 2.12.0 and `@anthropic-ai/sdk` 1.12.0 (texts of errors),
Claude Code 2.1 (its words for a 404, `clients.md` section 2.1).
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.net.exact import FailureKind

MAX_CHARS = 256 * 2**10  # of a paste; an answer with headers is far smaller

_STATUS_LINE = re.compile(r"(?m)^[< \t]*HTTP/[\d.]{1,9} (\d{3})\b.*$")
_SDK_STATUS = re.compile(
    r"(?i)(?:error code: |http/[\d.]+ |api error:? ?\(?|status(?: code)?[:= ]+|http |error: |^)"
    r"(\d{3})\b"
)
_HEADER = re.compile(r"[<>\s]*([A-Za-z][A-Za-z0-9-]{1,60}):(.*)")
_URL = re.compile(r"https?://[^\s\"'`<>\\)\]},]{1,2000}")
_UNREACHED = re.compile(r"Failed to connect to ([\w.-]{1,255}) port (\d{1,5})\b")  # curl's words
_BASE = re.compile(
    r"(?im)ANTHROPIC_BASE_URL\s*[:=]\s*[\"']?([^\s\"',)]{1,2000})"
    r"|base_?url\s*[:=]\s*[\"']?(https?://[^\s\"',)]{1,2000})"
)
_KEY = re.compile(
    r"(?im)(?:x-api-key:|authorization:|ANTHROPIC_(?:API_KEY|AUTH_TOKEN)=|api_key=)"
    r"[ \t]*((?:\"[^\"\n]*\")|(?:'[^'\n]*')|(?:bearer[ \t]+)?[^\s\"'\\,)]{0,8192})"
)
_SENT_HEADER = re.compile(r"(?:-H|--header)[ =]{0,9}(?:'([^'\n]*)'|\"([^\"\n]*)\")")
_REQUEST_LINE = re.compile(r"(?m)^> (?:POST|GET|HEAD) (\S{1,2000}) HTTP")
_HOST = re.compile(r"(?im)^> host:[ \t]*(\S{1,300})")
# What Claude Code says in place of the answer -> the answer.
_SAYINGS = (
    ("issue with the selected model", 404, b""),
    ("Not logged in", 401, b'{"type": "error", "error": {"message": "No API key was found."}}'),
)
_UNTRUSTED = "the server's certificate is not trusted"
_LOCATION = re.compile(r"(?im)^[< \t]*location:.*$")
_MARKED = re.compile(r"[<>*]( |$)|[{}] \[\d+ bytes data\]")  # lines of `curl -v` about the answer
_MAX_OBJECTS = 8  # of a paste without a status line: a request, an answer, some to spare
_OF_ANSWERS = frozenset({"type", "error"})
# A string that has no end reaches to the text's: nothing is looked at twice.
_BRACES_AND_STRINGS = re.compile(r"""[{}]|"(?:[^"\\]|\\.?)*+"?|'(?:[^'\\]|\\.?)*+'?""", re.DOTALL)
_NEEDS_404 = re.compile(r"NotFoundError")

# words -> what failed; the first that is there counts. curl's number, Node's and Python's words.
_FAILURES: tuple[tuple[tuple[str, ...], FailureKind, str], ...] = (
    (
        (
            r"curl: \(6\)|could not resolve host|enotfound|eai_again",
            "name or service not known|nodename nor servname|name resolution",
        ),
        FailureKind.NAME,
        "the name is not known",
    ),
    (
        ("certificate (has )?expired|cert_has_expired",),
        FailureKind.CERTIFICATE,
        f"{_UNTRUSTED}: certificate has expired",
    ),
    (
        ("self[- ]signed|self_signed_cert",),
        FailureKind.CERTIFICATE,
        f"{_UNTRUSTED}: self-signed certificate",
    ),
    (
        ("altname|does not match target host|hostname mismatch|not valid for|no alternative cert",),
        FailureKind.CERTIFICATE,
        f"{_UNTRUSTED}: not valid for this name",
    ),
    (
        (
            r"curl: \(60\)|certificate verify failed",
            "unable to (get|verify).{0,200}?(issuer|certificate)",
        ),
        FailureKind.CERTIFICATE,
        f"{_UNTRUSTED}: its issuer is not known",
    ),
    (
        (r"wrong version number|curl: \(35\)|packet length too long|eproto|record layer failure",),
        FailureKind.TLS,
        "the server does not speak TLS there",
    ),
    (
        (r"curl: \(7\)|connection refused|econnrefused|all connection attempts failed",),
        FailureKind.REFUSED,
        "nobody listens at this address",
    ),
    (
        (
            r"curl: \(28\).{0,300}?connect|connection timed? ?out|etimedout|connecttimeout",
            "failed to connect.{0,200}?timed out",
        ),
        FailureKind.TIMED_OUT,
        "no connection in time",
    ),
    (
        ("no route to host|ehostunreach|enetunreach|network is unreachable",),
        FailureKind.UNREACHABLE,
        "the host cannot be reached",
    ),
    (
        (r"curl: \(28\)|request timed out|read ?timeout|apitimeouterror|timed out",),
        FailureKind.TIMED_OUT,
        "connected, but no answer in time",
    ),
    (
        (r"curl: \(1\)|http/0\.9|badstatusline|hpe_invalid",),
        FailureKind.NOT_HTTP,
        "what answers does not speak HTTP",
    ),
    (
        (
            r"curl: \(52\)|empty reply|econnreset|socket hang up",
            "server disconnected|connection reset",
        ),
        FailureKind.CLOSED,
        "closed without an answer",
    ),
)


def observe_pasted(text: str, url: str = "", key: KeyFacts | None = None) -> Observations:
    """What the text shows. ``url`` (a base) and ``key`` are what the person gave beside it.

    Never raises; of a text beyond ``MAX_CHARS`` the beginning counts.
    """
    text = text[:MAX_CHARS].replace("\r\n", "\n")
    sent = _sent_headers(text)
    given = key if key is not None and key.given is not None else _key_in(text)
    answer = _answer(text)
    without_target = _LOCATION.sub("", text)
    asked_url = _asked_url(without_target)
    base = BaseUrl(url) if url else _base_in(without_target, asked_url)
    attempt = replace(answer, url=asked_url or (base.asked_url if base else ""), sent="as pasted")
    is_told = attempt.status is not None or attempt.failure is not None
    return Observations(
        base=base,
        key=given,
        client=base.client if base else Client.ANTHROPIC,
        attempts=(attempt,) if is_told else (),
        sent_headers=sent,
        model=_model_in(text),
        was_tried=False,
    )


def _answer(text: str) -> Attempt:
    """Whatever is known of the answer."""
    status_lines = list(_STATUS_LINE.finditer(text))
    if status_lines:
        last = status_lines[-1]  # after `100 Continue`, or a proxy's CONNECT
        rest = text[last.end() :].removeprefix("\n")
        head, _, body = ("", "", rest) if rest.startswith("\n") else rest.partition("\n\n")
        head = "\n".join(line for line in head.splitlines() if not line.startswith("*"))
        headers = _headers(head)
        if last[0].lstrip().startswith("<"):  # curl -v
            body = _body_of_verbose(text[last.end() :])
        return _answered(int(last[1]), _first_object(body).encode(), headers)
    for words, kind, said in _FAILURES:
        if any(re.search(some, text, re.IGNORECASE) for some in words):
            return replace(_UNKNOWN, failure=kind, failure_text=said)
    found = _SDK_STATUS.search(text)
    if found and 200 <= int(found[1]) < 600:
        return _answered(int(found[1]), _body_in(text[found.end() :]))
    if _NEEDS_404.search(text):
        return _answered(404, _body_in(text))
    for saying, status, told in _SAYINGS:
        if saying in text:
            return _answered(status, told)
    alone = _body_in(text)
    return _answered(_status_of(alone), alone) if alone else _UNKNOWN


_UNKNOWN = Attempt("asked", "")


def _answered(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Attempt:
    return replace(_UNKNOWN, status=status, body=body, headers=headers or {})


def _headers(head: str) -> dict[str, str]:
    found = [match for line in head.splitlines() if (match := _HEADER.match(line))]
    return {match[1].lower(): match[2].strip() for match in reversed(found)}


def _body_of_verbose(text: str) -> str:
    """The lines that curl -v does not mark."""
    kept = [line for line in text.splitlines() if not _MARKED.match(line)]
    return "\n".join(kept).strip() if kept else ""


def _body_in(text: str) -> bytes:
    """The JSON or page in an SDK's error text, or what there is between braces.

    Of several objects the first that looks like an answer counts: a request may stand before it.
    """
    begin = min((at for at in (text.find("{"), text.find("<")) if at >= 0), default=-1)
    if begin < 0:
        return b""
    if text[begin] == "<":
        return text[begin:].encode()
    found = _objects_in(text, begin)
    answers = (one for one in found if one.keys() & _OF_ANSWERS)
    chosen = next(answers, next(iter(found), None))
    if chosen is None:
        return text[begin : text.rfind("}") + 1].encode()
    return json.dumps(chosen).encode()


def _objects_in(text: str, begin: int) -> list[dict[Any, Any]]:
    """The objects side by side from ``begin`` on, where a brace is, whatever stands between."""
    found: list[dict[Any, Any]] = []
    while begin >= 0 and len(found) < _MAX_OBJECTS:
        end = _end_of_braces(text, begin)
        if end < 0:
            break
        value = _object(text[begin:end])
        if value is not None:
            found.append(value)
        begin = text.find("{", end)
    return found


def _object(text: str) -> dict[Any, Any] | None:
    """JSON, or a dictionary as Python's SDK prints one."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
            json.dumps(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        return value if isinstance(value, dict) else None
    return None


def _end_of_braces(text: str, begin: int) -> int:
    """Where the object that begins there ends; -1 where it does not. One pass over the text."""
    depth = 0
    for token in _BRACES_AND_STRINGS.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return -1


def _first_object(body: str) -> str:
    """The body without what was pasted behind its object; any other body as it is."""
    begin = len(body) - len(body.lstrip())
    if not body.startswith("{", begin):
        return body
    end = _end_of_braces(body, begin)
    return body[begin:end] if end > 0 and _object(body[begin:end]) is not None else body


# error.type -> status; for a body that was pasted alone
_STATUS_OF = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "not_found": 404,
    "invalid_request_error": 400,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "not_implemented_error": 501,
    "overloaded_error": 529,
}


def _status_of(body: bytes) -> int:
    known = (status for kind, status in _STATUS_OF.items() if f'"{kind}"'.encode() in body)
    return next(known, 404 if body.startswith(b"<") else 200)


def _sent_headers(text: str) -> dict[str, str]:
    """The client's headers of `curl -v` or a curl command, without keys."""
    pairs = [match for line in text.splitlines() if line.startswith(">")
             and (match := _HEADER.match(line))]  # fmt: skip
    sent = {match[1].lower(): match[2].strip() for match in pairs}
    for match in _SENT_HEADER.finditer(text):
        name, _, value = (match[1] or match[2] or "").partition(":")
        sent[name.lower()] = value.strip()
    for name in ("x-api-key", "authorization"):
        if name in sent:
            sent[name] = sent[name].partition(" ")[0] if name == "authorization" else "key"
    return sent


def _key_in(text: str) -> KeyFacts:
    found = _KEY.search(text)
    if not found:
        return KeyFacts()
    given = found[1]
    if "=" in found[0].removesuffix(given):  # of a shell or a program, where quotes are no part
        given = given.strip("\"'")
    is_header = found[0].lower().startswith("authorization")
    if is_header and given.lower().startswith("bearer "):
        given = given[len("bearer ") :]
    return KeyFacts(given)


def _asked_url(text: str) -> str:
    line, host = _REQUEST_LINE.search(text), _HOST.search(text)
    if line and host:
        scheme = "https" if re.search(r"(?i)tls|ssl", text) else "http"
        return f"{scheme}://{host[1]}{line[1]}"
    urls = [one.rstrip(".;:") for one in _URL.findall(text) if not one.startswith("https://docs.")]
    asked = [one for one in urls if BaseUrl(one).path.rstrip("/").endswith("messages")]
    return next(iter(asked), "")


def _base_in(text: str, asked_url: str) -> BaseUrl | None:
    found = _BASE.search(text)
    if found:
        return BaseUrl(found[1] or found[2])
    if asked_url:
        return BaseUrl(asked_url.partition("?")[0].removesuffix(Client.ANTHROPIC.suffix))
    urls = [one.rstrip(".;:") for one in _URL.findall(text)]
    if urls:
        return BaseUrl(urls[0])
    unreached = _UNREACHED.search(text)
    return BaseUrl(f"http://{unreached[1]}:{unreached[2]}") if unreached else None


def _model_in(text: str) -> str:
    found = re.search(r"[\"']model[\"']\s*:\s*[\"']([^\"'\n]{1,100})[\"']", text)
    return found[1] if found else ""
