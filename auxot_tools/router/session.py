"""Says which session a request belongs to: whose files and processes its tool calls find again.

One job: that name. Pure. It must not know tools or workers. A session counts within one key only:
whoever joins it with the key's name makes sure that two keys never share one.

The first that is there: the body's `container` (a text, or an object with an `id`), the header
`x-claude-code-session-id`, the header `auxot-session`, the session that an earlier answer of the
conversation had (ids of our calls hold it); else a new session.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from auxot_tools.messages.ids import session_in_id
from auxot_tools.types import JSON

SESSION_HEADERS = ("x-claude-code-session-id", "auxot-session")
MAX_SESSION_CHARS = 200  # it is kept for each session and sent with each call


TOKEN_BYTES = 8  # random: two conversations of one key never have the same
MAX_TOKENS = (
    4096  # requests of the last minute or so, within which a repeat may come; 100 bytes each
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session's `name`, and the `token` by which it is found again; empty when the client names
    it itself.
    """

    name: str
    token: str = ""


class NewSessions:
    """The tokens of sessions that requests began: a repeat goes on in the session of its first
    attempt. `digest` is the request's own, its key included.
    """

    def __init__(self) -> None:
        self._tokens: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def token(self, digest: bytes, *, is_repeat: bool) -> str:
        """A new one, or that of the attempt which this request repeats."""
        token = self._tokens.pop(digest, "") if is_repeat else ""
        token = token or secrets.token_hex(TOKEN_BYTES)
        if digest:
            self._note(digest, token)
        return token

    def adopt(self, others: "NewSessions") -> None:
        """Have the sessions of `others` too."""
        for digest, token in others._tokens.items():
            self._note(digest, token)

    def _note(self, digest: bytes, token: str) -> None:
        self._tokens[digest] = token
        if len(self._tokens) > MAX_TOKENS:
            self._tokens.popitem(last=False)


def conversation_session(
    body: JSON, headers: Mapping[str, str], messages: Sequence[JSON], new_token: Callable[[], str]
) -> Session:
    """The session of a request for a message; `messages` is its history, hidden calls included."""
    container = _container_id(body.get("container"))
    if container or session_in(headers):
        return Session(session_of(body, headers))
    token = _token_in(messages) or new_token()
    return Session(f"auxot:{token}", token)


def _token_in(messages: Sequence[JSON]) -> str:
    """The token in the last call of ours that has one."""
    for message in reversed(messages):
        content = message.get("content")
        if message.get("role") != "assistant" or not isinstance(content, list):
            continue
        blocks = (block for block in reversed(content) if isinstance(block, dict))
        tokens = (session_in_id(block.get("id")) for block in blocks)
        token = next(filter(None, tokens), "")
        if token:
            return token
    return ""


def session_of(body: JSON, headers: Mapping[str, str]) -> str:
    """The session's name: 1 to 200 characters, never a lone surrogate."""
    container = _container_id(body.get("container"))
    if container:
        return _bounded(f"container:{container}")
    return _bounded(session_in(headers) or secrets.token_hex(8))


def session_in(headers: Mapping[str, str]) -> str:
    """The session that the headers name; empty for none."""
    named = (headers.get(name, "").strip() for name in SESSION_HEADERS)
    return next(filter(None, named), "")


def _container_id(value: object) -> str:
    """What is no text names no session; whether it is right is the upstream's to say."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def _bounded(name: str) -> str:
    """A name that cannot be sent as it is becomes its digest: two names are never taken for one."""
    data = name.encode("utf-8", "surrogatepass")
    is_sendable = len(name) <= MAX_SESSION_CHARS and data.decode("utf-8", "replace") == name
    return name if is_sendable else f"sha256:{hashlib.sha256(data).hexdigest()}"
