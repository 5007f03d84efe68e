"""ASGI scopes and headers: what is read of a request, and what the app is called with.

One job: these forms. Must not know what a request is for.
"""

import hashlib
from collections.abc import Collection, Iterable

from starlette.types import Receive, Scope

_AUTHORITY = frozenset({b"authorization", b"x-api-key"})
# The body is another and is sent whole; answers must be readable.
_OF_THE_BODY = frozenset([b"accept-encoding", b"content-length", b"expect", b"transfer-encoding"])
ANONYMOUS = "anonymous"


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name, in lower case; of a repeated one the values, joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def path_of(scope: Scope) -> str:
    """The path within the app, without a slash at its end."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    return path.removesuffix("/") if len(path) > 1 else path


def key_digest(scope: Scope) -> str:
    """A digest of the keys that a request came with (`authorization`, `x-api-key`), or empty.

    64 bits would do to tell clients apart; 128 make it hopeless to look for one like another's.
    """
    keys = sorted(pair for pair in scope["headers"] if pair[0].lower() in _AUTHORITY)
    if not keys:
        return ""
    told = hashlib.sha256()
    for name, value in keys:
        told.update(b"%d:%s=%d:%s;" % (len(name), name.lower(), len(value), value))
    return told.hexdigest()[:32]


def tenant_by_key(scope: Scope) -> str:
    """Whose request it is: a name made of the keys that it came with, `anonymous` without any."""
    return key_digest(scope) or ANONYMOUS


def scope_for(scope: Scope, body: bytes) -> Scope:
    """The scope of one call of the app with `body`; the client's headers stay as they came."""
    kept = [pair for pair in scope["headers"] if pair[0].lower() not in _OF_THE_BODY]
    made = {
        **scope,
        "headers": [
            *kept,
            (b"accept-encoding", b"identity"),
            (b"content-length", str(len(body)).encode()),
        ],
        "extensions": {},  # ways around `http.response.body`, which we could not read
    }
    if "state" in scope:
        made["state"] = dict(scope["state"])  # each call has its own, as each request has
    return made


def replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, and then what comes after it."""
    waiting: list[bytes] = [body]

    async def replay() -> dict[str, object]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return dict(await receive())

    return replay


def is_post_to(scope: Scope, paths: Collection[str]) -> bool:
    """Whether this is an HTTP POST to one of these paths."""
    return scope["type"] == "http" and scope["method"] == "POST" and path_of(scope) in paths
