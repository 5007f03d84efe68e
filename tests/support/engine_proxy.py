"""A unix socket in front of the Docker engine that can go silent or be cut: its failures."""

import contextlib
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute, SocketStream

ENGINE_SOCKET = "/var/run/docker.sock"
_END_S = 5.0  # for the connections that were cut to be through


@dataclass
class EngineProxy:
    """`silent` engines take connections and never answer; `cut` ends every connection, and those
    that come, until `mend`.
    """

    path: Path
    silent: bool = False
    was_cut: bool = False
    connections: list[SocketStream] = field(default_factory=list)
    serving: int = 0

    @property
    def base_url(self) -> str:
        return f"unix://{self.path}"

    async def cut(self) -> None:
        self.was_cut = True
        for connection in self.connections:
            _hang_up(connection)
        self.connections.clear()

    def mend(self) -> None:
        self.was_cut = False

    async def serve(self, client: SocketStream) -> None:
        if self.was_cut:
            await anyio.aclose_forcefully(client)
            return
        self.serving += 1
        try:
            await self._serve(client)
        finally:
            self.serving -= 1

    async def _serve(self, client: SocketStream) -> None:
        self.connections.append(client)
        if self.silent:
            await _swallow(client)
            return
        engine = await anyio.connect_unix(ENGINE_SOCKET)
        self.connections.append(engine)
        async with client, engine, anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, client, engine)
            tasks.start_soon(_pump, engine, client)

    async def end(self) -> None:
        """Cut, and wait until nobody reads: to cancel a reader at that moment would upset anyio."""
        await self.cut()
        with anyio.move_on_after(_END_S):
            while self.serving:  # noqa: ASYNC110
                await anyio.sleep(0.01)


@asynccontextmanager
async def engine_proxy(folder: Path, silent: bool = False) -> AsyncGenerator[EngineProxy, None]:
    proxy = EngineProxy(folder / "engine.sock", silent)
    listener = await anyio.create_unix_listener(proxy.path)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        await proxy.end()
        tasks.cancel_scope.cancel()


async def _pump(source: SocketStream, target: SocketStream) -> None:
    try:
        async for data in source:
            await target.send(data)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        _hang_up(target)


def _hang_up(stream: SocketStream) -> None:
    """End both directions; who reads sees the end. (To close it under a reader is an error.)"""
    with contextlib.suppress(OSError, anyio.ClosedResourceError):
        stream.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)


async def _swallow(source: SocketStream) -> None:
    async with source:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for _data in source:
                pass
