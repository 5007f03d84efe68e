"""The machine side of listening: credentials, unix socket files, ports.

Must not know what is served. Whatever cannot be used raises ``ConfigError`` with a sentence that
names the setting. Blocking and short; used at start and stop only.
"""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc

from auxot_tools.errors import ConfigError
from auxot_tools.rpc.listeners import Address, ListenerConfig, parse_address
from auxot_tools.rpc.pem import read_authority, read_pair

_PROBE_S: Final = 1.0  # a living worker on this machine accepts at once
_OWNER_ONLY_UMASK: Final = 0o177  # sockets are made with mode 0600


def server_credentials(config: ListenerConfig) -> grpc.ServerCredentials | None:
    """What TCP addresses are served with; ``None`` without TLS. Raises ``ConfigError``."""
    if not config.has_tls:
        return None
    cert, key = read_pair("worker.tls_cert", config.tls_cert, "worker.tls_key", config.tls_key)
    client_ca = None
    if config.tls_client_ca:
        client_ca = read_authority("worker.tls_client_ca", config.tls_client_ca)
    return grpc.ssl_server_credentials([(key, cert)], client_ca, client_ca is not None)


def make_way(text: str) -> None:
    """See to it that ``text``, when it is a unix socket, can be made; other addresses pass.

    A socket file that nobody listens on is removed; one that somebody does is left alone. Raises
    ``ConfigError``.
    """
    address = parse_address(text)
    if not address.is_unix:
        return
    path = Path(address.path)
    try:
        mode = path.lstat().st_mode if path.parent.is_dir() else None
    except FileNotFoundError:
        return
    except OSError as error:
        raise _mistake(f"worker.listen: this user may not look at `{text}`") from error
    if mode is None:
        raise _mistake(f"worker.listen: the folder of `{text}` is missing; make it first")
    if not stat.S_ISSOCK(mode):
        raise _mistake(f"worker.listen: `{text}` is a file, not a socket; choose another path")
    if _is_alive(address.path):
        raise _mistake(
            f"worker.listen: a running process listens on `{text}`; stop it or choose another path"
        )
    try:
        path.unlink()
    except OSError as error:
        raise _mistake(f"worker.listen: this user may not remove the old `{text}`") from error


def bind(server: grpc.aio.Server, text: str, credentials: grpc.ServerCredentials | None) -> Address:
    """Make ``server`` listen at ``text``, after ``make_way``; returns the address that was bound.

    Raises ``ConfigError``.
    """
    address = parse_address(text)
    if address.is_unix:
        _bind_unix(server, address)
        return address
    mistake = _mistake(
        f"worker.listen: cannot listen on `{text}`; is the port taken, or the address not "
        "one of this machine's? Choose another port with AUXOT_WORKER__LISTEN=HOST:PORT (and the "
        "same as AUXOT_ROUTER__WORKER, where a router is told it)"
    )
    if _is_taken(address):
        raise mistake
    try:
        if credentials is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), credentials)
    except RuntimeError as error:
        raise mistake from error
    return Address(address.host, port)


def unlink_socket(path: str) -> None:
    """Remove the socket file at ``path`` when nobody listens on it any more."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode) and not _is_alive(path):
            Path(path).unlink()


def _bind_unix(server: grpc.aio.Server, address: Address) -> None:
    before = os.umask(_OWNER_ONLY_UMASK)  # so that at no moment others can connect
    try:
        server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise _mistake(
            f"worker.listen: cannot make the socket `{address}`; may this user write there?"
        ) from error
    finally:
        os.umask(before)
    Path(address.path).chmod(0o600)


def _is_taken(address: Address) -> bool:
    """Whether somebody has this port. gRPC finds out too, but writes raw lines of its own first."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError:
        return False  # gRPC's to say
    return bool(found) and all(_is_in_use(family, place) for family, _, _, _, place in found)


def _is_in_use(family: int, place: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
            probe.bind(place)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # no right to connect, or too slow to accept: somebody is there
            return True
    return True


def _mistake(sentence: str) -> ConfigError:
    return ConfigError([sentence])
