"""Where a worker may listen: addresses and the rules about them; pure.

Must not open sockets, read files or know gRPC. The rule: off loopback only with TLS *and* (a key or
client certificates). ``allow_plaintext`` gives up the first half, never the second.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

_UNIX: Final = "unix:"
_UNIX_PATH_BYTES: Final = 107  # sockaddr_un holds 108, the last one a NUL
_PRINTABLE: Final = re.compile(r"[!-~]+")  # what a gRPC metadata value can carry, without spaces
_FORMS: Final = "`host:port`, `[ipv6]:port` or `unix:/path`"


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """Where a worker listens and what it asks of callers.

    ``listen`` holds addresses (`host:port`, `[ipv6]:port`, `unix:/path`; port 0 lets the system
    choose). ``key`` is asked of every call but health, everywhere, when it is not empty. The TLS
    settings are paths of PEM files, empty for none, and count for TCP addresses; with
    ``tls_client_ca`` a caller must show a certificate that this authority signed.
    """

    listen: tuple[str, ...]
    key: str = field(default="", repr=False)
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    allow_plaintext: bool = False

    @property
    def has_tls(self) -> bool:
        return bool(self.tls_cert and self.tls_key)


@dataclass(frozen=True, slots=True)
class Address:
    """One parsed address: a unix socket's ``path``, or ``host`` and ``port``."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than `localhost` counts as off."""
        if self.is_unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.is_unix:
            return _UNIX + self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address that ``text`` writes. Raises ``ValueError`` with a reason for people."""
    if text.startswith(_UNIX):
        return Address(path=_unix_path(text[len(_UNIX) :]))
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"is not an address; write {_FORMS}")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"has no port from 0 to 65535 after its last colon; write {_FORMS}")
    if host.startswith("[") and host.endswith("]"):
        return Address(_ipv6(host[1:-1]), int(port))
    if ":" in host:
        raise ValueError("is an IPv6 address without brackets; write `[ipv6]:port`")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise ValueError(f"has a host name with characters that none has; write {_FORMS}")
    return Address(host.lower(), int(port))


def listener_problems(config: ListenerConfig) -> tuple[str, ...]:
    """One sentence for each thing to fix, naming setting, value and what is allowed.

    Empty: the worker may start. Never contains the key.
    """
    return (
        *_address_problems(config.listen),
        *_tls_problems(config),
        *_key_problems(config),
        *_exposure_problems(config),
    )


def is_sendable_key(key: str) -> bool:
    """Whether gRPC metadata can carry ``key``."""
    return _PRINTABLE.fullmatch(key) is not None


def _unix_path(text: str) -> str:
    path = "/" + text.lstrip("/") if text.startswith("//") else text  # `unix:///path` is usual too
    if not path.startswith("/"):
        raise ValueError("is not an absolute path; write `unix:/path`")
    if len(path.encode()) > _UNIX_PATH_BYTES:
        raise ValueError(f"is too long; a socket's path has at most {_UNIX_PATH_BYTES} bytes")
    return path


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("is not an IPv6 address between its brackets") from None


def _address_problems(listen: Sequence[str]) -> Iterator[str]:
    if not listen:
        yield f"worker.listen is empty; give at least one address: {_FORMS}"
    seen: set[Address] = set()
    for text in listen:
        try:
            address = parse_address(text)
        except ValueError as error:
            yield f"worker.listen: `{text}` {error}"
            continue
        if address in seen and (address.is_unix or address.port):
            yield f"worker.listen: `{text}` is there twice; name each address once"
        seen.add(address)


def _tls_problems(config: ListenerConfig) -> Iterator[str]:
    if config.tls_cert and not config.tls_key:
        yield (
            f"worker.tls_key is not set, but worker.tls_cert is `{config.tls_cert}`; "
            "set both or neither"
        )
    if config.tls_key and not config.tls_cert:
        yield (
            f"worker.tls_cert is not set, but worker.tls_key is `{config.tls_key}`; "
            "set both or neither"
        )
    if config.tls_client_ca and not config.has_tls:
        yield (
            f"worker.tls_client_ca is `{config.tls_client_ca}`, but client certificates need TLS; "
            "set worker.tls_cert and worker.tls_key too"
        )


def _key_problems(config: ListenerConfig) -> Iterator[str]:
    if config.key and not is_sendable_key(config.key):
        yield (
            "worker.key (AUXOT_WORKER_KEY) has a space or a character that is not printable ASCII; "
            "use letters, digits and punctuation only"
        )


def _exposure_problems(config: ListenerConfig) -> Iterator[str]:
    exposed = [text for text in config.listen if _is_exposed(text)]
    if not exposed:
        return
    where = ", ".join(f"`{text}`" for text in exposed)
    if not config.has_tls and not config.allow_plaintext:
        yield (
            f"worker.listen: {where} can be reached from other machines without TLS; set "
            "worker.tls_cert and worker.tls_key, or listen on loopback or a unix socket "
            "(worker.allow_plaintext = true gives TLS up)"
        )
    if not config.key and not (config.has_tls and config.tls_client_ca):
        yield (
            f"worker.listen: {where} can be reached from other machines and callers are not asked "
            "who they are; set AUXOT_WORKER_KEY, or worker.tls_client_ca together with TLS"
        )


def _is_exposed(text: str) -> bool:
    try:
        return not parse_address(text).is_loopback
    except ValueError:
        return False  # told already
