"""Serves the scripted upstream of `auxot-tools roundtrip` while a run lasts.

One job: the socket and the server.
"""

import logging
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import anyio
import uvicorn

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.upstream import PlayedUpstream
from auxot_tools.router.serve import Listener, open_socket

_MAX_PORT = 65_535
_STOP_S = 1  # what is still being answered when the run is over matters to nobody


def listener_at(text: str) -> Listener:
    """The address in `HOST:PORT` or `PORT`. Raises ``ConfigError``."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        example = "such as 127.0.0.1:9009"
        raise ConfigError([f"--upstream-listen is {text!r:.60}; write HOST:PORT, {example}."])
    return Listener(host.strip("[]") or "127.0.0.1", int(port), setting="--upstream-listen")


@asynccontextmanager
async def serving_upstream(
    upstream: PlayedUpstream, listener: Listener
) -> AsyncGenerator[str, None]:
    """Serve it; yields its origin. Raises ``ConfigError`` when the address cannot be used."""
    config = uvicorn.Config(
        upstream,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_STOP_S,
        proxy_headers=False,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # scripted faults are no news
    server = _Server(config)
    with open_socket(listener) as listening:
        host, port = listening.getsockname()[:2]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(server.serve, sockets=[listening]))
            await server.is_ready.wait()
            try:
                yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
