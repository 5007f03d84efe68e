"""A key as somebody gave it: what kind it is, what is wrong with its text, and how it is hidden.

One job: look at the text alone. Must not know servers or requests. Facts: Auxot, `pkg/auth/keys.go`
(prefix and 43 characters of base64url); the official consoles for `sk-ant-` and `sk-`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

AUXOT_KEY_CHARS = 47  # `rtr_`, and 32 random bytes as base64url
MAX_KEY_BYTES = 8 * 2**10  # no header that is a key is longer; more is the wrong file
_LEAST_HIDDEN_CHARS = 4  # fewer letters are in every second word: hidden as a word alone

# prefix -> whose key it is; the first that fits counts
KINDS = {
    "rtr_": "an API key of an Auxot router",
    "user.": "a user's key of the Auxot Server",
    "team.": "a team's key of the Auxot Server",
    "adm_": "a key for GPU workers",
    "tls_": "a key for tools workers",
    "tools.": "a key for tools workers",
    "agent_": "a key for agent workers",
    "sk-ant-": "a key of Anthropic's own API",
    "sk-": "a key of OpenAI's API, or of a proxy such as LiteLLM",
}
WORKER_KINDS = frozenset({"adm_", "tls_", "tools.", "agent_"})
CLIENT_KINDS = frozenset({"rtr_", "user.", "team."})

_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_BEARER = re.compile(r"bearer[ \t]+", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w+%|\$\(.*\)|<[^>]*>|\{\{.*\}\}")
_PLACEHOLDER = re.compile(r"(?i)(rtr_|sk-(ant-)?)?(\.{3}|\u2026|x{4,}|your[-_ ]?(api[-_ ]?)?key)")
# What looks like a key in anything that is shown, whoever's it is.
_LOOKS_LIKE_A_KEY = re.compile(
    r"\b(rtr_|adm_|tls_|agent_|sk-ant-|sk-|tools\.|user\.|team\.)[A-Za-z0-9_.\-]{12,}"
)
_NAME_BEFORE = re.compile(
    r"(?i)^(export\s+)?(x-api-key\s*:|authorization\s*:|[A-Z0-9_]*_(KEY|TOKEN)\s*=)\s*"
)
_USER_IN_URL = re.compile(r"://[^\s\"'<>]{1,256}@")
_SENT_KEY = re.compile(
    r"(?i)((?:x-api-key|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)((?!bearer\b)[^\s\"',}]{4,})"
)


class KeyFault(StrEnum):
    """What is wrong with the text of a key."""

    EMPTY = "empty"
    NOT_EXPANDED = "not_expanded"
    PLACEHOLDER = "placeholder"
    HAS_BEARER = "has_bearer"
    HAS_NAME = "has_name"
    QUOTED = "quoted"
    SPACE = "space"
    NOT_ASCII = "not_ascii"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """``given`` is the text exactly as it came; ``clean`` what was meant. ``None``: none given."""

    given: str | None = None

    @property
    def clean(self) -> str:
        """Without space, quotes, the name of a variable or header, and `Bearer `."""
        text = (self.given or "").strip()
        for _ in range(3):  # a quoted `Bearer "key"`, at worst
            text = text.strip(_QUOTES).strip()
            text = _without_name(text)
            text = _BEARER.sub("", text, count=1) if _BEARER.match(text) else text
        return text

    @property
    def kind(self) -> str:
        """Its prefix, one of `KINDS`; empty for any other."""
        return next((prefix for prefix in KINDS if self.clean.startswith(prefix)), "")

    @property
    def is_there(self) -> bool:
        """Whether there is something that may be a key."""
        never = {KeyFault.EMPTY, KeyFault.NOT_EXPANDED, KeyFault.PLACEHOLDER}
        return self.given is not None and not never & set(self.faults)

    @property
    def is_sendable(self) -> bool:
        """Whether ``given``, as it is, can be the value of a header."""
        return self.is_there and not re.search(r"[^\x20-\x7e]", self.given or "")

    @property
    def faults(self) -> tuple[KeyFault, ...]:
        """What can be seen without asking anybody; the likeliest cause first."""
        given = self.given
        if given is None:
            return ()
        text = given.strip().strip(_QUOTES)
        found = {
            KeyFault.EMPTY: not self.clean,
            KeyFault.NOT_EXPANDED: bool(_VARIABLE.fullmatch(self.clean)),
            KeyFault.PLACEHOLDER: bool(_PLACEHOLDER.fullmatch(self.clean)),
            KeyFault.HAS_NAME: _without_name(text) != text,
            KeyFault.HAS_BEARER: bool(_BEARER.match(_without_name(text))),
            KeyFault.QUOTED: bool(re.search(f"[{_QUOTES}]", given)),
            KeyFault.SPACE: given != given.strip() or bool(re.search(r"\s", self.clean)),
            KeyFault.NOT_ASCII: not self.clean.isascii(),
            KeyFault.CUT: self.kind in {"rtr_", "adm_", "tls_"}
            and len(self.clean) < AUXOT_KEY_CHARS,
        }
        return tuple(fault for fault, is_found in found.items() if is_found)

    @property
    def shown(self) -> str:
        """All that is ever shown of it: prefix and length."""
        if self.given is None:
            return "no key"
        if not self.clean:
            return "an empty key"
        return f"{self.kind}\u2026 ({len(self.clean)} characters)"


def _without_name(text: str) -> str:
    """Without `ANTHROPIC_API_KEY=` or `x-api-key:` before it."""
    return _NAME_BEFORE.sub("", text)


class Redactor:
    """Hides keys in whatever is shown: those it is told of, and what looks like one."""

    def __init__(self, keys: Iterable[KeyFacts] = ()) -> None:
        self._keys: dict[str, str] = {}
        for key in keys:
            self._learn(key)

    def _learn(self, key: KeyFacts) -> None:
        spellings = {key.given or "", (key.given or "").strip(), key.clean}
        spellings |= {quote(text, safe="") for text in spellings}
        for text in spellings:
            if len(text) > 1:
                self._keys[text] = key.shown

    def clean(self, text: str) -> str:
        """The text without any key."""
        for secret, shown in sorted(self._keys.items(), key=lambda pair: -len(pair[0])):
            if len(secret) >= _LEAST_HIDDEN_CHARS:
                text = text.replace(secret, f"[{shown}]")
            else:
                alone = rf"(?<!\w){re.escape(secret)}(?!\w)"
                text = re.sub(alone, f"[{KeyFacts(secret).shown}]", text)
        text = _USER_IN_URL.sub("://\u2026@", text)
        text = _SENT_KEY.sub(_hidden_header, text)
        return _LOOKS_LIKE_A_KEY.sub(lambda match: f"{match[1]}\u2026", text)


def _hidden_header(match: re.Match[str]) -> str:
    if match[2].startswith(("$", "[", "<", "\u2026")):  # a variable, or hidden already
        return match[0]
    return f"{match[1]}{KeyFacts(match[2]).shown}"
