"""Serves the router's app over HTTP until it is told to stop.

One job: the listening socket and the ASGI server. On SIGTERM or SIGINT the server takes no new
request and gives open ones a grace; on a second signal it ends at once. Must not know the app.
"""

import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send

from auxot_tools.errors import ConfigError

# Open requests get this long after the first signal; a tool call in the middle may take longer, and
# is then cancelled and its container killed.
GRACE_S = 20
CLEAN_UP_S = 10  # for what was cancelled then to end properly
BACKLOG = 1024  # connections the kernel holds for us while we are busy


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen. With a certificate and key (PEM) it speaks TLS.

    ``setting`` is what its user knows the address by, for errors.
    """

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None
    setting: str = "router.listen"

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read: it speaks TLS, or only to this machine."""
        try:
            return bool(self.tls_cert) or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"


def open_socket(listener: Listener) -> socket.socket:
    """A listening socket. Raises `ConfigError` that says why there is none."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        address = (listener.host, listener.port)
        listening = socket.create_server(address, family=family, backlog=BACKLOG)
        # Connections inherit it; without it the end of an answer waits for the client's ACK.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        where = f"{listener.host}:{listener.port}"
        said = error.strerror or "the address is not usable"
        reason = said.partition(" (while ")[0].lower()  # Python names the address once more
        do = ""
        if listener.setting == "router.listen":
            do = "; choose another port, AUXOT_ROUTER__LISTEN=HOST:PORT, or end what listens there"
        raise ConfigError([f"{listener.setting}: cannot listen on {where}: {reason}{do}"]) from None


class App(Protocol):
    """An ASGI app that can end what it is still answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def give_up(self) -> None: ...


async def serve(
    app: App,
    listener: Listener,
    on_ready: Callable[[str], None],
    grace_s: float = GRACE_S,
    beside: Callable[[], Coroutine[Any, Any, None]] = anyio.sleep_forever,
) -> None:
    """Serve until a signal; `on_ready` is told the origin, such as `http://127.0.0.1:8080`.

    `beside` runs for as long as the server does.

    After the signal open requests have `grace_s`; then the app is told to give them up.
    Raises `ConfigError` when the address or the certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(grace_s) + CLEAN_UP_S,
        # A header that anybody can write must not say who the peer is.
        proxy_headers=False,
        ssl_certfile=listener.tls_cert,
        ssl_keyfile=listener.tls_key,
    )
    try:
        config.load()
    except OSError as error:
        reason = error.strerror or "not a PEM certificate with its key"
        raise ConfigError([f"router.tls_cert, router.tls_key: {reason}"]) from None
    server = _Server(config)
    with (
        open_socket(listener) as listening,
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):
        host, port = listening.getsockname()[:2]
        on_ready(f"{listener.scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signals, server, signals, app, grace_s)
            tasks.start_soon(beside)
            await server.serve(sockets=[listening])
            tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """A server whose signals are ours: its own handling ends the process before our clean-up."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _stop_on_signals(
    server: uvicorn.Server, signals: AsyncIterator[signal.Signals], app: App, grace_s: float
) -> None:
    await anext(signals)
    server.should_exit = True
    with anyio.move_on_after(grace_s):
        await anext(signals)
        server.force_exit = True
    app.give_up()
