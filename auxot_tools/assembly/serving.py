"""An ASGI app on a socket of its own, beside other work in the same event loop.

One job: start, say where, stop. For upstreams and endpoints that live as long as one run or one
test; no signals, no TLS. It must not know the app.
"""

import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import uvicorn

from auxot_tools.router.serve import Listener, open_socket

START_S = 10.0  # a second on a busy machine
STOP_S = 1  # for answers that are still on their way; by then they matter to nobody
ANY_PORT = Listener("127.0.0.1", 0)


@asynccontextmanager
async def serving(app: Any, listener: Listener = ANY_PORT) -> AsyncGenerator[str, None]:
    """Serve an ASGI app; yields its origin, such as `http://127.0.0.1:34567`.

    Raises ``ConfigError`` when the address cannot be used.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = _Server(config)
    with open_socket(listener) as listening:
        host, port = listening.getsockname()[:2]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(server.serve, sockets=[listening]))
            with anyio.fail_after(START_S):
                await server.is_ready.wait()
            try:
                yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """A server that says when it listens, and leaves signals to whoever runs the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
