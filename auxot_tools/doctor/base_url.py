"""A base URL as somebody gave it: its parts, what is odd about it, and what was perhaps meant.

One job: look at the text alone. Must not know what answers. Facts: what clients append,
`anthropic` 2.12.0 and Claude Code (`/v1/messages`), Vercel AI SDK (`/messages`); where Auxot and
our router serve, `router/paths.py`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from auxot_tools.errors import OutboundRefused
from auxot_tools.net.urls import DEFAULT_PORTS, parse_url

ROOT = "/api/anthropic"
_MAX_CHARS = 2048  # servers take no longer line; what is searched here stays small
CANDIDATES = 9  # that are tried at most: each costs a request
# What people copy along behind the base: paths of whole endpoints.
_ENDPOINTS = re.compile(
    r"(?i)/(messages(/count_tokens|/batches)?|chat/completions|completions|responses|models)/?$"
)
_SCHEME = re.compile(r"(?i)^[a-z][a-z0-9+.-]*://")
_WEBSOCKET = {"ws": "http", "wss": "https"}


class Client(StrEnum):
    """Which client uses the URL: it decides what is appended."""

    ANTHROPIC = "anthropic"  # the official SDKs, Claude Code
    VERCEL = "vercel"  # the Vercel AI SDK

    @property
    def suffix(self) -> str:
        return "/v1/messages" if self is Client.ANTHROPIC else "/messages"

    @property
    def variable(self) -> str:
        """Where its base URL is set."""
        return "ANTHROPIC_BASE_URL" if self is Client.ANTHROPIC else "baseURL"

    def base_of(self, root: str) -> str:
        """Its base for an endpoint `{root}/v1/messages`."""
        return root if self is Client.ANTHROPIC else f"{root}/v1"


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """``given`` is the text as it came. The parts are those of what was meant."""

    given: str
    client: Client = Client.ANTHROPIC

    @property
    def text(self) -> str:
        """Without space and quotes, and with a scheme."""
        text = self.given.strip().strip("\"'`").strip()
        text = re.sub(r"^(export\s+)?[A-Za-z_]+(_URL|URL)\s*[:=]\s*", "", text).strip("\"'`")
        scheme, colon, rest = text.partition("://")
        if colon and scheme.lower() in _WEBSOCKET:
            return f"{_WEBSOCKET[scheme.lower()]}://{rest}"
        if _SCHEME.match(text):
            return text
        host = text.partition("/")[0].rpartition(":")[0] or text.partition("/")[0]
        is_near = host in {"localhost", ""} or re.fullmatch(r"[\d.]+|\[.*\]", host)
        return f"{'http' if is_near or ':' in text.partition('/')[0] else 'https'}://{text}"

    @property
    def problem(self) -> str:
        """Why it is no URL at all, in a sentence; empty when it is one."""
        if not self.given.strip():
            return "There is no URL."
        if re.search(r"\$\{?\w+\}?|%\w+%|<[^>]*>", self.given):
            return "The URL holds a variable that nobody filled in."
        if len(self.given) > _MAX_CHARS:
            return "The URL is longer than any server takes."
        if "@" in self.text.partition("://")[2][len(self._parts.netloc) :]:
            return "There is an @ behind the host: in a password write # ? / as %23 %3F %2F."
        bare = self._parts._replace(netloc=self._parts.netloc.rpartition("@")[2])
        try:
            parse_url(bare.geturl())
        except OutboundRefused as refused:
            return str(refused)
        return ""

    @property
    def _parts(self) -> SplitResult:
        try:
            return urlsplit(self.text)
        except ValueError:  # brackets
            return urlsplit("http://")

    @property
    def scheme(self) -> str:
        return self._parts.scheme.lower()

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        try:
            return self._parts.port or DEFAULT_PORTS.get(self.scheme, 80)
        except ValueError:
            return 0

    @property
    def path(self) -> str:
        return self._parts.path

    @property
    def has_query(self) -> bool:
        return bool(self._parts.query) or "?" in self.text or "#" in self.text

    @property
    def has_scheme(self) -> bool:
        return bool(_SCHEME.match(self.given.strip().strip("\"'`")))

    @property
    def is_websocket(self) -> bool:
        return self.given.strip().lower().startswith(("ws://", "wss://"))

    @property
    def has_user(self) -> bool:
        return "@" in self._parts.netloc

    @property
    def is_dirty(self) -> bool:
        """Whether there is space, a quote or the variable's name around it."""
        return self.given != self.given.strip() or bool(re.search(r"[\"'`]|_URL\s*=", self.given))

    def origin(self, scheme: str = "", port: int = 0) -> str:
        """Scheme, host and port, the port only when it is not the scheme's own."""
        scheme, port = scheme or self.scheme, port or self.port
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if port == DEFAULT_PORTS.get(scheme) else f":{port}")

    @property
    def shown(self) -> str:
        """For people: no user, no password, nothing of the query."""
        path = "" if "@" in self.path else self.path  # a piece of a password
        return self.origin() + path + ("?\u2026" if self.has_query else "")

    @property
    def clean(self) -> str:
        """Scheme, host, port and path, without a slash at the end."""
        return self.origin() + self.path.rstrip("/")

    @property
    def asked_url(self) -> str:
        """What the client asks for. A query or fragment in a base swallows what is appended."""
        if self.has_query:
            return f"{self.origin()}{self.path or '/'}"
        return f"{self.origin()}{self.path.rstrip('/')}{self.client.suffix}"

    @property
    def literal_url(self) -> str:
        """What a client asks for that does not care about a slash at the end."""
        return f"{self.origin()}{self.path}{self.client.suffix}"

    def roots(self) -> tuple[str, ...]:
        """Paths where the API may begin (`/v1/messages` follows), the likeliest first."""
        path = self.path.rstrip("/")
        bare = path
        while _ENDPOINTS.search(bare):
            bare = _ENDPOINTS.sub("", bare)
        bare = re.sub(r"//+", "/", bare)
        without = re.sub(r"(?i)(/v1)+$", "", bare[-_MAX_CHARS:])
        swapped = re.sub(r"(?i)/openai\b", "/anthropic", without)
        before = re.match(r"(?i)(.*?)/(api/)?(openai|anthropic)\b", without)
        guesses = [
            without,
            swapped,
            without.lower(),
            swapped.lower(),
            f"{before[1]}{ROOT}" if before else "",
            ROOT,
            f"{without}{ROOT}",
            "",
            "/anthropic",
        ]
        return tuple(dict.fromkeys(guesses))[:CANDIDATES]


def likely_root(base: BaseUrl) -> str:
    """The root to advise where nothing can be tried."""
    roots = base.roots()
    return next((root for root in roots if root.endswith("/anthropic")), ROOT)
