"""The engine of this machine as if it were another's: TCP with TLS and client certificates.

One job: pass bytes between such a client and the engine's socket. Only for tests.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

ENGINE_SOCKET = "/var/run/docker.sock"
_PIECE_BYTES = 64 * 2**10
_END_S = 10.0


@contextmanager
def engine_over_tls(host: str, certificates: Path) -> Iterator[int]:
    """Serve at ``host``; gives the port. ``certificates`` gets what a client needs."""
    authority = trustme.CA()
    server, client = authority.issue_cert(host), authority.issue_cert("worker@example.org")
    authority.cert_pem.write_to_path(certificates / "ca.pem")
    client.cert_chain_pems[0].write_to_path(certificates / "cert.pem")
    client.private_key_pem.write_to_path(certificates / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    server.configure_cert(context)
    authority.configure_trust(context)
    with socket.create_server((host, 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_END_S)


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _address = listener.accept()
            threading.Thread(target=_serve, args=(connection, context), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
        engine.connect(ENGINE_SOCKET)
        with context.wrap_socket(connection, server_side=True) as client:
            back = threading.Thread(target=_pass, args=(engine, client), daemon=True)
            back.start()
            _pass(client, engine)
            back.join(_END_S)


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR if isinstance(target, ssl.SSLSocket) else socket.SHUT_WR)
