"""What an attack tries to reach on the host: listeners, a file, a secret. Made for one test run."""

import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

BACKLOG = 64


@contextmanager
def canaries() -> Iterator[Mapping[str, str]]:
    """Listeners on every address of the host, and a file; yields the facts that programs get."""
    word = secrets.token_hex(6)
    with ExitStack() as held:
        tcp = held.enter_context(
            socket.create_server(
                ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        )
        port = tcp.getsockname()[1]
        udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("0.0.0.0", port))
        abstract = held.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0auxot-attack-{word}")
        abstract.listen(BACKLOG)
        for listener in (tcp, abstract):
            _answer(listener, _accept)
            held.callback(listener.shutdown, socket.SHUT_RDWR)
        _answer(udp, _echo)
        held.callback(_wake, udp, port)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="auxot-canary-")))
        folder.chmod(0o755)
        (folder / "canary").write_text("the canary of the host\n")
        yield {
            "PORT": str(port),
            "ABSTRACT": f"auxot-attack-{word}",
            "CANARY_DIR": str(folder),
            "DOCKER_SOCKET": "/var/run/docker.sock",
            "SYS_FOLDER": "/sys/kernel/mm",
            "SECRET": f"secret-{word}",
        }


def _answer(listener: socket.socket, serve: object) -> None:
    threading.Thread(target=serve, args=(listener,), daemon=True).start()  # type: ignore[arg-type]


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:  # shut down: the run is over
            return
        with accepted:
            accepted.settimeout(2)
            try:
                accepted.recv(100)
                accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            except OSError:
                continue


def _echo(listener: socket.socket) -> None:
    while True:
        data, sender = listener.recvfrom(100)
        if data == b"end":
            return
        listener.sendto(b"hello", sender)


def _wake(listener: socket.socket, port: int) -> None:
    listener.sendto(b"end", ("127.0.0.1", port))
