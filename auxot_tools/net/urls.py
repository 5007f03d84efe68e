"""A URL, taken apart strictly: what is ambiguous is refused, not repaired.

One job: from text to scheme, host, port and path. Parsers that repair disagree with one another,
and a check is worth nothing if what connects reads the URL differently; so what is connected to is
built from these parts alone. It must not know who may be reached.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from auxot_tools.errors import OutboundRefused
from auxot_tools.net.hosts import canonical_host, is_address

URL_BYTES = 8 * 2**10  # what servers commonly accept
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{0,5}))?")
# Stays as it is in paths and queries: all printable ASCII that a server may take literally.
_KEPT = "%!$&'()*+,-./:;=?@[]_~|{}^`"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. `host` is in its one spelling, `path` has the query, begins with `/`."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The URL in one spelling, without user name, password and fragment."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return (self.scheme, self.host, self.port)

    @property
    def is_address(self) -> bool:
        return is_address(self.host)


def parse_url(text: str) -> Target:
    """The parts of `text`, without its fragment. Space around it does not count.

    Raises `OutboundRefused` with what is wrong with it.
    """
    text = text.strip(" \t\r\n")
    _refuse_characters(text)
    match = _URL.fullmatch(text)
    if match is None:
        raise OutboundRefused(
            "The URL is not complete: it must start with `http://` or `https://` and a host."
        )
    scheme, authority, path, query = match[1].lower(), match[2], match[3], match[4] or ""
    if scheme not in DEFAULT_PORTS:
        raise OutboundRefused("Only `http` and `https` URLs can be reached.")
    host, port = _host_and_port(authority)
    return Target(scheme, host, port or DEFAULT_PORTS[scheme], _encoded(f"{path or '/'}{query}"))


def redirect_target(base: Target, location: str) -> Target:
    """Where `location`, a header of the answer from `base`, leads.

    Raises `OutboundRefused`, whose text does not repeat the location: the model did not write it.
    """
    location = location.strip(" \t").replace(" ", "%20")
    try:
        _refuse_characters(location)
        return parse_url(urljoin(base.url, location))
    except ValueError:
        raise OutboundRefused("The server redirects to what is not a valid URL.") from None
    except OutboundRefused as refused:
        raise OutboundRefused(f"The server's redirect cannot be followed. {refused}") from None


def _refuse_characters(text: str) -> None:
    if len(text.encode("utf-8", "replace")) > URL_BYTES:
        raise OutboundRefused(f"The URL is longer than {URL_BYTES} bytes.")
    if re.search(r"[\x00-\x20\x7f-\xa0\u2028\u2029]", text):
        raise OutboundRefused(
            "The URL contains a space or a control character: percent-encode it (a space is `%20`)."
        )
    if "\\" in text:
        raise OutboundRefused("The URL contains a backslash: use `/`, or `%5C` for the character.")


def _host_and_port(authority: str) -> tuple[str, int]:
    if "@" in authority:
        raise OutboundRefused(
            "The URL contains a user name or password: leave out what stands before the `@`."
        )
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise OutboundRefused("The URL has no valid host and port.")
    text, port = match[1], int(match[2] or 0)
    if port > 65535 or (match[2] and port == 0):
        raise OutboundRefused("The URL's port must be a number from 1 to 65535.")
    is_bracketed = text.startswith("[")
    try:
        host = canonical_host(text[1:-1] if is_bracketed else text)
    except ValueError as reason:
        raise OutboundRefused(f"The URL's host is not valid: {reason}.") from None
    if is_bracketed and ":" not in host:
        raise OutboundRefused("The URL's host is not valid: only IPv6 stands in brackets.")
    return host, port


def _encoded(path: str) -> str:
    try:
        # A header is text made of any bytes; they go back as they came.
        return quote(path.encode("utf-8", "surrogateescape"), safe=_KEPT)
    except UnicodeEncodeError:
        raise OutboundRefused("The URL contains what is not a character.") from None
