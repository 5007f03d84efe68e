"""A unix socket in front of the Docker engine that can go silent or be cut: its failures."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import SocketStream

ENGINE_SOCKET = "/var/run/docker.sock"


@dataclass
class EngineProxy:
    """`silent` engines take connections and never answer; `cut` ends every connection for good."""

    path: Path
    silent: bool = False
    was_cut: bool = False
    connections: list[SocketStream] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"unix://{self.path}"

    async def cut(self) -> None:
        self.was_cut = True
        for connection in self.connections:
            await anyio.aclose_forcefully(connection)

    async def serve(self, client: SocketStream) -> None:
        if self.was_cut:
            await anyio.aclose_forcefully(client)
            return
        self.connections.append(client)
        if self.silent:
            await _swallow(client)
            return
        engine = await anyio.connect_unix(ENGINE_SOCKET)
        self.connections.append(engine)
        async with client, engine, anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, client, engine)
            tasks.start_soon(_pump, engine, client)


@asynccontextmanager
async def engine_proxy(folder: Path, silent: bool = False) -> AsyncGenerator[EngineProxy, None]:
    proxy = EngineProxy(folder / "engine.sock", silent)
    listener = await anyio.create_unix_listener(proxy.path)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        tasks.cancel_scope.cancel()


async def _pump(source: SocketStream, target: SocketStream) -> None:
    try:
        async for data in source:
            await target.send(data)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await anyio.aclose_forcefully(target)


async def _swallow(source: SocketStream) -> None:
    try:
        async for _data in source:
            pass
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
