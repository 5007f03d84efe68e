"""ASGI scopes and headers: what is read of a request, and what the app is called with.

One job: these forms. Must not know what a request is for.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterable

from starlette.types import Receive, Scope

# What clients are told apart by: keys as gateways and model APIs take them, and logins.
IDENTIFYING = frozenset(
    [
        b"api-key",
        b"authorization",
        b"cookie",
        b"ocp-apim-subscription-key",
        b"x-api-key",
        b"x-goog-api-key",
        b"x-litellm-api-key",
    ]
)
# The body is another and is sent whole; answers must be readable.
_OF_THE_BODY = frozenset([b"accept-encoding", b"content-length", b"expect", b"transfer-encoding"])


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


def tenant_by_key(scope: Scope) -> str:
    """Whose request it is: a digest of the `IDENTIFYING` headers that it came with; without any it
    is nobody's, and this is empty.

    64 bits would do to tell clients apart; 128 make it hopeless to look for one like another's.
    """
    headers = ((name.lower(), value) for name, value in scope["headers"])
    keys = sorted(pair for pair in headers if pair[0] in IDENTIFYING)
    if not keys:
        return ""
    told = hashlib.sha256()
    for name, value in keys:
        told.update(b"%d:%s=%d:%s;" % (len(name), name, len(value), value))
    return told.hexdigest()[:32]


def nobody() -> str:
    """A tenant of one request alone: who it is of is not known, so nothing is shared."""
    return secrets.token_hex(16)


def place_of(scope: Scope) -> str:
    """What was asked, beside the body: two requests with one place mean the same to an app."""
    hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
    told = [str(scope["path"]).encode("utf-8", "surrogatepass"), scope.get("query_string", b"")]
    return b"\n".join(part.hex().encode() for part in [*told, *hosts]).decode()


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
