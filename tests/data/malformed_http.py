"""Requests that are malformed around their body: keys, methods, paths, queries, and HTTP itself."""

from dataclasses import dataclass

from tests.data.malformed_requests import (
    COUNT,
    GOOD,
    INVALID,
    KEYED,
    MESSAGES,
    MODELS,
    Case,
    with_members,
)
from tests.support.running import KEY

_ROOT = "/api/anthropic"
_REFUSED = (("x-should-retry", "false"),)
_NO_KEY = "No API key was sent: set the x-api-key header, or Authorization: Bearer."
_WRONG = "invalid x-api-key"
_BEARER = b"authorization: Bearer "

# At most ten wrong keys that differ: more of one address are not looked at for a minute.
_KEYS: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "no key": (_NO_KEY, ()),
    "an empty key": (_NO_KEY, (b"x-api-key:",)),
    "a key of blanks": (_NO_KEY, (b"x-api-key:  \t ",)),
    "a wrong key": (_WRONG, (b"x-api-key: wrong",)),
    "a key with something behind it": (_WRONG, (KEYED[0] + b"x",)),
    "a key in capitals": (_WRONG, (b"x-api-key: " + KEY.upper().encode(),)),
    "a key of 10 kB": (_WRONG, (b"x-api-key: " + b"k" * 10_000,)),
    "the key, then 100 kB": (_WRONG, (KEYED[0] + b"k" * 100_000,)),
    "a key of bytes beyond ASCII": (_WRONG, (b"x-api-key: \xff\xfe\xf0",)),
    "two wrong keys": (_WRONG, (b"x-api-key: wrong", _BEARER + b"stale")),
    "a wrong key, then the right one": (_WRONG, (b"x-api-key: wrong", *KEYED)),
    "a bearer without a key": (_NO_KEY, (_BEARER.strip(),)),
    "a wrong bearer": (_WRONG, (_BEARER + b"wrong",)),
    "a bearer of two words": (_WRONG, (_BEARER + KEY.encode() + b" " + KEY.encode(),)),
    "a key without a scheme": (_NO_KEY, (b"authorization: " + KEY.encode(),)),
    "the Basic scheme": (_NO_KEY, (b"authorization: Basic " + KEY.encode(),)),
    "the Digest scheme": (_NO_KEY, (b"authorization: Digest " + KEY.encode(),)),
    "an unknown scheme": (_NO_KEY, (b"authorization: Token " + KEY.encode(),)),
    "a key in a cookie": (_NO_KEY, (b"cookie: x-api-key=" + KEY.encode(),)),
    "a key under another name": (_NO_KEY, (b"api-key: " + KEY.encode(),)),
}


def _unauthorized() -> list[Case]:
    kind = "authentication_error"
    cases = [
        Case(title, 401, kind, words, GOOD, headers=headers, answered=_REFUSED)
        for title, (words, headers) in _KEYS.items()
    ]
    for method, path in (("POST", COUNT), ("GET", MODELS), ("GET", f"{MODELS}/m")):
        title = f"no key at {method} {path}"
        cases.append(Case(title, 401, kind, _NO_KEY, method=method, path=path, headers=()))
    query = f"{MESSAGES}?x-api-key={KEY}"
    return [*cases, Case("a key in the query", 401, kind, _NO_KEY, GOOD, path=query, headers=())]


def _wrong_methods() -> list[Case]:
    asked = [
        *[(method, MESSAGES) for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")],
        *[("GET", COUNT), ("DELETE", COUNT), ("PROPFIND", f"{_ROOT}/messages")],
        *[("POST", MODELS), ("DELETE", f"{MODELS}/m"), ("POST", "/health")],
    ]
    served = {MESSAGES: "POST", COUNT: "POST", f"{_ROOT}/messages": "POST"}
    return [
        Case(
            f"{method} {path}",
            405,
            INVALID,
            f"{method} {path} takes only {served.get(path, 'GET')}",
            method=method,
            path=path,
            answered=(("allow", f"{served.get(path, 'GET')}, HEAD"),),
        )
        for method, path in asked
    ]


_NOWHERE = [
    *["/", "/v1/messages", "/messages", "/api", _ROOT, f"{_ROOT}/", f"{_ROOT}/v1"],
    *[f"{_ROOT}/v1/message", f"{MESSAGES}/x", f"{MESSAGES}//", f"/{MESSAGES}", f"{MESSAGES};x"],
    *[f"{_ROOT}/v2/messages", f"{_ROOT}/v1/v1/v1/messages", "/API/anthropic/v1/messages"],
    *[f"{MESSAGES}%00", f"{MESSAGES}%FF", f"{MESSAGES}%0A", f"{_ROOT}/v1/../v1/messages"],
    *["/metrics", "/health/x", f"/{'x' * 2000}", f"{_ROOT}/v1/embeddings"],
]
_ELSEWHERE = [
    *["messages/batches", "messages/batches/b_1", "messages/batches/b_1/results", "complete"],
    *["files", "files/f_1/content", "skills", "agents/a", "organizations/o", "sessions"],
    *["environments", "memory_stores", "user_profiles", "vaults", "tunnels", "dreams"],
]


def _not_there() -> list[Case]:
    kind, words = "not_found_error", f"the endpoint POST {MESSAGES}"
    posted = [
        Case(f"POST {path[:60]}", 404, kind, words, GOOD, path=path, headers=())
        for path in _NOWHERE
    ]
    asked = ("/", f"{_ROOT}/v1/model", "/favicon.ico")
    return [
        *posted,
        *[Case(f"GET {path}", 404, kind, words, method="GET", path=path) for path in asked],
    ]


def _not_implemented() -> list[Case]:
    kind = "not_implemented_error"
    paths = [
        *[f"{_ROOT}/v1/{rest}" for rest in _ELSEWHERE],
        *[f"{prefix}/{rest}" for prefix in (_ROOT, f"{_ROOT}/v1/v1") for rest in _ELSEWHERE[:5]],
    ]
    return [
        Case(
            f"{method} {path}",
            501,
            kind,
            f"{method} {path} is not implemented",
            GOOD,
            method,
            path,
            headers=(),
            answered=_REFUSED,
        )
        for path in paths
        for method in ("POST", "GET")
    ]


def _unknown_models() -> list[Case]:
    kind = "not_found_error"
    names = ("nope", "M", " m", "m\n", "*", "m" * 10_000, "\ud800", "é")
    cases = [
        Case(f"the model {name[:20]!r}", 404, kind, "model: ", with_members(model=name), path=path)
        for path in (MESSAGES, COUNT)
        for name in names
    ]
    for name in ("nope", "m/x", "%ED%A0%80", "x" * 2000, "m%00", "*"):
        title = f"the model {name[:20]} looked up"
        path = f"{MODELS}/{name}"
        cases.append(Case(title, 404, kind, "model: ", method="GET", path=path))
    return cases


_LIMITS = ("0", "x", "-1", "1001", "1.5", "", "%20", "1e2", "+5", "0x5", "%C2%B2", "9" * 12)
_ZEROS = ("0000010001", "000000001" + "0" * 5000)  # too large, which the first nine do not show


def _bad_pages() -> list[Case]:
    words = "limit: Input should be a whole number from 1 to 1000"
    places = [(name, value) for name in ("after_id", "before_id") for value in ("no", "", "%FF")]
    queries = [
        *[(f"limit={limit}", words) for limit in (*_LIMITS, *_ZEROS)],
        *[(f"{name}={value}", f"{name}: there is no model") for name, value in places],
    ]
    return [
        Case(f"?{query[:40]}", 400, INVALID, words, method="GET", path=f"{MODELS}?{query}")
        for query, words in queries
    ]


AROUND = [
    *_unauthorized(),
    *_wrong_methods(),
    *_not_there(),
    *_not_implemented(),
    *_unknown_models(),
    *_bad_pages(),
]


# -- HTTP itself, byte by byte ---------------------------------------------------------------------

UNREADABLE = b"Invalid HTTP request received."  # the server's own word, before any app


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes as they are sent, and how their answer must begin: its status and a part of it.

    `leaves`: the client ends its side behind them. Without `status` there is no answer.
    """

    title: str
    data: bytes
    status: int = 400
    words: bytes = UNREADABLE
    leaves: bool = False

    def __str__(self) -> str:
        return self.title


def wire_request(
    body: bytes = GOOD,
    *headers: bytes,
    method: str = "POST",
    path: str = MESSAGES,
    version: bytes = b"HTTP/1.1",
    host: tuple[bytes, ...] = (b"host: router",),
    end: bytes = b"connection: close",
) -> bytes:
    """One request as bytes; its length is added unless the headers say how the body ends."""
    lines = [b"%s %s %s" % (method.encode(), path.encode("latin-1"), version), *host, *headers]
    if not any(line.lower().startswith((b"content-length", b"transfer-")) for line in headers):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, end, b"", body])


_CHUNKED = (*KEYED, b"transfer-encoding: chunked")
_UPGRADE = (*KEYED, b"connection: upgrade", b"sec-websocket-version: 13", b"sec-websocket-key: eA")
_WHOLE = b"%x\r\n%s\r\n" % (len(GOOD), GOOD)
_KEPT_OPEN = wire_request(GOOD, *KEYED, end=b"connection: keep-alive")
_FINE = b'"type":"message"'
_BLANK = b"The request body is empty"

WIRES = [
    Wire("no request line", b"\r\n\r\nHELLO\r\n\r\n"),
    Wire("a method alone", b"GET\r\n\r\n"),
    Wire("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    Wire("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Wire("HTTP/9.9", wire_request(GOOD, *KEYED, version=b"HTTP/9.9")),
    Wire("an unknown method", wire_request(GOOD, *KEYED, method="BREW")),
    Wire("a method in small letters", wire_request(GOOD, *KEYED, method="post")),
    Wire("CONNECT", wire_request(b"", *KEYED, method="CONNECT", path="router:443")),
    Wire("a path of bytes beyond ASCII", wire_request(GOOD, *KEYED, path=f"{MESSAGES}\xff")),
    Wire("such a query", wire_request(GOOD, *KEYED, path=f"{MESSAGES}?a=\xff")),
    Wire("a header without a name", wire_request(GOOD, *KEYED, b": x")),
    Wire("a header name with a blank", wire_request(GOOD, *KEYED, b"x y: z")),
    Wire("a header without a colon", wire_request(GOOD, *KEYED, b"x-odd")),
    Wire("a NUL in a header", wire_request(GOOD, *KEYED, b"x-odd: a\0b")),
    Wire("a control character in a header", wire_request(GOOD, *KEYED, b"x-odd: a\x01b")),
    Wire("a folded header", wire_request(GOOD, *KEYED, b"x-odd: a\r\n b")),
    Wire("two lengths", wire_request(GOOD, *KEYED, b"content-length: 5", b"content-length: 6")),
    Wire("a length below zero", wire_request(GOOD, *KEYED, b"content-length: -5")),
    Wire("a length that is no number", wire_request(GOOD, *KEYED, b"content-length: many")),
    Wire("a length of 23 digits", wire_request(GOOD, *KEYED, b"content-length: " + b"9" * 23)),
    Wire("a length and chunks", wire_request(_WHOLE, *_CHUNKED, b"content-length: 5")),
    Wire("an unknown transfer encoding", wire_request(GOOD, *KEYED, b"transfer-encoding: gzip")),
    Wire("a chunk size that is no number", wire_request(b"zz\r\nhi\r\n0\r\n\r\n", *_CHUNKED)),
    Wire("a chunk longer than its size", wire_request(b"1\r\nhi\r\n0\r\n\r\n", *_CHUNKED)),
    Wire("a chunk size of 80 bits", wire_request(b"f" * 20 + b"\r\nhi\r\n", *_CHUNKED)),
    Wire("chunks that end early", wire_request(_WHOLE, *_CHUNKED), 0, b"", leaves=True),
    Wire(
        "a body shorter than its length",
        wire_request(b"{", *KEYED, b"content-length: 100"),
        0,
        b"",
        leaves=True,
    ),
    Wire("headers that end early", b"POST / HTTP/1.1\r\nhost: r", 0, b"", leaves=True),
    Wire("nothing at all", b"", 0, b"", leaves=True),
    Wire(
        "a body without a length",
        wire_request(GOOD, *KEYED, b"content-length: 0"),
        400,
        _BLANK,
    ),
    Wire("HTTP/0.9", b"GET /\r\n\r\n", 404, b"not_found_error"),
    Wire("a star for a path", wire_request(b"", method="OPTIONS", path="*"), 404, b"not_found"),
    # What follows an upgrade's head is no longer HTTP to the server's parser.
    Wire("a websocket", wire_request(GOOD, *_UPGRADE, b"upgrade: websocket"), 400, _BLANK),
]

WIRES_THAT_PASS = [
    Wire("chunks", wire_request(_WHOLE + b"0\r\n\r\n", *_CHUNKED), 200, _FINE),
    Wire("no host", wire_request(GOOD, *KEYED, host=()), 200, _FINE),
    Wire("an odd host", wire_request(GOOD, *KEYED, host=(b"host: [::\xff",)), 200, _FINE),
    Wire("HTTP/1.0", wire_request(GOOD, *KEYED, version=b"HTTP/1.0", host=()), 200, _FINE),
    Wire("a whole URL", wire_request(GOOD, *KEYED, path=f"http://x{MESSAGES}"), 200, _FINE),
    Wire("a header of 100 kB", wire_request(GOOD, *KEYED, b"x-odd: " + b"x" * 100_000), 200, _FINE),
    Wire("a header in Latin-1", wire_request(GOOD, *KEYED, b"x-odd: \xe9\xff"), 200, _FINE),
    Wire("an odd query", wire_request(GOOD, *KEYED, path=f"{MESSAGES}?%zz&=[]|\\"), 200, _FINE),
    Wire(
        "an odd content type", wire_request(GOOD, *KEYED, b"content-type: text/plain"), 200, _FINE
    ),
    Wire("an odd expectation", wire_request(GOOD, *KEYED, b"expect: the-worst"), 200, _FINE),
    Wire("a key before another", wire_request(GOOD, *KEYED, b"x-api-key: stale"), 200, _FINE),
    Wire("two requests at once", _KEPT_OPEN + wire_request(GOOD, *KEYED), 200, _FINE),
    Wire("no key at HEAD", wire_request(b"", method="HEAD"), 200, b""),
    *[
        Wire(f"POST {path}", wire_request(GOOD, *KEYED, path=path), 200, _FINE)
        for prefix in (f"{_ROOT}/v1", f"{_ROOT}/v1/v1", _ROOT)
        for path in (f"{prefix}/messages", f"{prefix}/messages/")
    ],
]
