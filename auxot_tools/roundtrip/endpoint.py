"""The endpoint under test: its base URL, from whatever form was given, and its key's headers.

One job: these. Pure. It must not send anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.exchanges import Auth
from auxot_tools.roundtrip.redaction import SHORTEST

VERSION_HEADER = "2023-06-01"  # the value that every server of the Messages API knows
_ENDINGS = ("/messages", "/v1")  # what a client adds to a base URL, from the end


class KeyForm(StrEnum):
    """How the endpoint is told the key."""

    X_API_KEY = "x-api-key"
    BEARER = "bearer"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. ``base_url`` is what `/v1/messages` is added to."""

    base_url: str
    key: str = field(repr=False)
    form: KeyForm = KeyForm.X_API_KEY

    def url_of(self, path: str) -> str:
        """The URL of a path. Raises ``ConfigError`` for one that leads to another host, which the
        key must not reach.
        """
        url = self.base_url + path
        if _origin(url) != _origin(self.base_url):
            raise ConfigError([f"The request for {path!r:.60} would leave {self.base_url}."])
        return url

    def headers(self, auth: Auth, run_id: str) -> Mapping[str, str]:
        """The headers of a request with such a key."""
        return {
            "content-type": "application/json",
            "anthropic-version": VERSION_HEADER,
            "user-agent": "auxot-tools-roundtrip",
            **self._key_headers(auth, run_id),
        }

    def _key_headers(self, auth: Auth, run_id: str) -> Mapping[str, str]:
        if auth is Auth.NONE:
            return {}
        if auth is Auth.X_API_KEY:
            return _headers_of(self.key, KeyForm.X_API_KEY)
        if auth is Auth.BEARER:
            return _headers_of(self.key, KeyForm.BEARER)
        key = f"roundtrip-wrong-key-{run_id}" if auth is Auth.WRONG else self.key
        return _headers_of(key, self.form)


def _origin(url: str) -> object:
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc)
    except ValueError:
        return None


def _headers_of(key: str, form: KeyForm) -> Mapping[str, str]:
    named = {"x-api-key": key, "authorization": f"Bearer {key}"}
    if form is KeyForm.BOTH:
        return named
    name = "x-api-key" if form is KeyForm.X_API_KEY else "authorization"
    return {name: named[name]}


def endpoint_of(url: str, key: str, form: KeyForm = KeyForm.X_API_KEY) -> Endpoint:
    """The endpoint at a URL, which may end in `/v1` or `/v1/messages`, or not.

    Raises ``ConfigError`` that says what is wrong with the URL or the key.
    """
    mistakes = [*_wrong_with_url(url), *_wrong_with_key(key)]
    if mistakes:
        raise ConfigError(mistakes)
    base = url.rstrip("/")
    for ending in _ENDINGS:
        base = base.removesuffix(ending).rstrip("/")
    return Endpoint(base, key, form)


def _wrong_with_url(url: str) -> list[str]:
    example = "such as http://127.0.0.1:8080/api/anthropic"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [f"--url has a port or host that cannot be; write a URL {example}."]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"--url is no http or https URL; write one {example}."]
    if port == 0 or not url.isascii() or any(char.isspace() for char in url):
        return [f"--url has a part that no URL has; write one {example}."]
    if parts.username or parts.password:
        return ["--url holds a user or password: give the key with --key-file instead."]
    if parts.query or parts.fragment:
        return ["--url has a query or fragment: leave out what begins with ? or #."]
    return []


def _wrong_with_key(key: str) -> list[str]:
    if not key:
        return ["There is no key: give it with --key-file, or in ANTHROPIC_API_KEY."]
    if len(key) < SHORTEST:
        text = f"The key has fewer than {SHORTEST} characters, which could not be told from words"
        return [f"{text} and kept out of reports; an endpoint that takes any key takes a longer."]
    if not key.isascii() or not key.isprintable() or " " in key:
        return ["The key has characters that no header can hold; is the right file named?"]
    return []
