"""Reads what a client asks of our proxy: a tunnel, or one request to pass on.

Pure: bytes in; out come host and port, and the bytes that go on to them. The head is read by a
parser and written anew from what it understood, so that both sides agree where a message ends. It
must not know sockets, nor who may be reached.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

import httptools
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

HEAD_LIMIT_BYTES = 16 * 2**10  # of a request line and all headers; what common servers take
_HOST_CHARS = 253
# Underscores are no part of a host's name, and in use all the same.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_WEB_PORT = 80
# They speak of one connection, so they end with it (RFC 9110, 7.6.1); `host` is written anew.
_NOT_PASSED_ON = {
    b"connection", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"upgrade",
}  # fmt: skip

NOT_HTTP = "The proxy could not read the request: it is not HTTP."
NO_URL = (
    "This is the proxy of the sandbox. Ask it for a whole URL (http://HOST/PATH), or for a tunnel "
    "with CONNECT HOST:PORT."
)
NO_PORT = "CONNECT needs a host and a port, such as example.org:443."
NO_HOST = "The proxy was asked for something that is not the name of a host."
NO_USER = "A URL with a user name cannot be asked for. Send an Authorization header instead."
ONLY_HTTP = "Only http:// URLs can be asked for like this; for https:// use CONNECT HOST:443."
ONE_REQUEST = "The proxy takes one request for each connection."
OLD_VERSION = "The proxy speaks HTTP/1.0 and HTTP/1.1 only."
HEAD_TOO_LARGE = f"The request's head is larger than {HEAD_LIMIT_BYTES // 2**10} KiB."


class NotServed(Exception):
    """The proxy says no: its HTTP status and a text for whoever runs in the box.

    ``reason`` stands in the status line, which is all that some clients show.
    """

    def __init__(self, status: int, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a request goes. ``host`` is lower case, an address of IPv6 without brackets."""

    host: str
    port: int
    is_tunnel: bool
    head: bytes = b""  # what is sent there first; nothing for a tunnel

    @property
    def place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class RequestReader:
    """One request. ``asked`` is set when its head is whole, ``is_complete`` at its end.

    `feed` raises `NotServed`; then nothing more is to be read.
    """

    def __init__(self) -> None:
        self.asked: Asked | None = None
        self.is_complete = False
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []  # bounded with the head
        self._head_is_whole = False
        self._is_chunked = False
        self._messages = 0
        self._fed = 0
        self._passed_on: list[bytes] = []  # bounded by one piece that was fed

    @property
    def room(self) -> int:
        """How many bytes the head may still have; feed no more before it is whole."""
        return HEAD_LIMIT_BYTES - self._fed

    def feed(self, data: bytes) -> None:
        """Take some bytes from the client. After the end only line ends may come."""
        if self.is_complete:
            if data.strip(b"\r\n"):
                raise NotServed(400, ONE_REQUEST)
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.is_complete = True
            if self._parser.get_method() == b"CONNECT":
                self._passed_on.append(data[upgrade.args[0] :])
        except HttpParserError as error:
            raise NotServed(400, ONE_REQUEST if self._messages > 1 else NOT_HTTP) from error
        if self._messages > 1:
            raise NotServed(400, ONE_REQUEST)
        if self._head_is_whole and self.asked is None:
            self.asked = self._read_head()
        if self.asked is None and self.room <= 0:
            raise NotServed(431, HEAD_TOO_LARGE)

    def take(self) -> bytes:
        """What is to be sent on after the head and has not been taken yet."""
        taken = b"".join(self._passed_on)
        self._passed_on.clear()
        return taken

    # -- the parser's words; it swallows what is raised here, so nothing is judged

    def on_message_begin(self) -> None:
        self._messages += 1

    def on_url(self, url: bytes) -> None:
        if not self._head_is_whole:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_is_whole:  # later ones are trailers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_is_whole = True
        self._is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in self._headers)

    def on_body(self, body: bytes) -> None:
        if self.is_complete or not body:
            return
        self._passed_on.append(b"%x\r\n%b\r\n" % (len(body), body) if self._is_chunked else body)

    def on_message_complete(self) -> None:
        if self._is_chunked and not self.is_complete:
            self._passed_on.append(b"0\r\n\r\n")
        self.is_complete = True

    # -- the head

    def _read_head(self) -> Asked:
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise NotServed(505, OLD_VERSION)
        if self._parser.get_method() == b"CONNECT":
            return _tunnel(self._url)
        return self._request(version)

    def _request(self, version: str) -> Asked:
        if self._url.startswith(b"/") or b"://" not in self._url:
            raise NotServed(400, NO_URL)
        try:
            url = httptools.parse_url(self._url)
        except HttpParserError as error:
            raise NotServed(400, NO_URL) from error
        if url.schema.lower() != b"http":
            raise NotServed(400, ONLY_HTTP)
        if url.userinfo is not None:
            raise NotServed(400, NO_USER)
        host = _host(url.host or b"")
        asked = Asked(host, _WEB_PORT if url.port is None else _port(str(url.port)), False)
        target = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        place = asked.place if asked.port != _WEB_PORT else asked.place.rpartition(":")[0]
        lines = [
            b"%b %b HTTP/%b" % (self._parser.get_method(), target, version.encode()),
            b"Host: " + place.encode(),
            *(b"%b: %b" % header for header in self._passed_on_headers()),
            b"Connection: close",
        ]
        return Asked(host, asked.port, False, b"\r\n".join(lines) + b"\r\n\r\n")

    def _passed_on_headers(self) -> list[tuple[bytes, bytes]]:
        named = {
            word.strip().lower()
            for name, value in self._headers
            if name.lower() == b"connection"
            for word in value.split(b",")
        } - {b"content-length", b"transfer-encoding"}  # these say where the message ends
        left_out = named | _NOT_PASSED_ON
        return [header for header in self._headers if header[0].lower() not in left_out]


def _tunnel(target: bytes) -> Asked:
    host, colon, port = target.rpartition(b":")
    if not colon or host.startswith(b"[") != host.endswith(b"]"):
        raise NotServed(400, NO_PORT)
    bare = host[1:-1] if host.startswith(b"[") else host
    return Asked(_host(bare), _port(port.decode("ascii", "replace")), True)


def _port(text: str) -> int:
    if not is_port(text):
        raise NotServed(400, NO_PORT)
    return int(text)


def is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and int(text) <= 65535


def _host(text: bytes) -> str:
    host = text.decode("ascii", "replace").lower()
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError as error:
            raise NotServed(400, NO_HOST) from error
    host = host.removesuffix(".")
    if not is_host_name(host):
        raise NotServed(400, NO_HOST)
    return host


def is_host_name(text: str) -> bool:
    """Whether this can name a host, in lower case and without a dot at the end."""
    return len(text) <= _HOST_CHARS and all(map(_LABEL.fullmatch, text.split(".")))
