"""The ways out of boxes that may reach hosts: a socket in the box's folder, our proxy behind it.

One job: which box has a way out, and for how long. Each box has a socket of its own, so that the
socket says which list of hosts is meant. What goes over it is `net/egress.py`'s.
"""

import logging
import socket
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from auxot_tools.net.egress import BACKLOG, Connect, EgressLimits, EgressProxy, HostList
from auxot_tools.net.unix_socket import listen
from auxot_tools.sandbox.kind import BoxKind, Transport

log = logging.getLogger(__name__)

NO_WAY_OUT = (
    "This tool may reach hosts on the network, and this worker has no way out to the network that "
    "it could lend a sandbox."
)
NO_SHARED_FOLDER = (
    "This tool may reach hosts on the network, which needs a folder that the worker shares with "
    "the sandbox, and the Docker engine cannot share one with this worker (it is remote, or "
    "`sandbox.channel` is `attach`). Run the worker on the engine's machine."
)
NO_SESSION = (
    "This tool may reach hosts on the network, so it cannot keep a session: set its isolation to "
    "`call`."
)
NO_HOST = (
    "This tool's setting `network` names {host}, which is no host, *.HOST, or either with :PORT."
)


class Outlet:
    """One box's way out."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()

    def close(self) -> None:
        """End its connections and its socket. At once, never waits, once or again."""
        self.scope.cancel()


class Outlets:
    """Of one sandbox. Nothing can be opened before `begin`, whose tasks end them all."""

    def __init__(self, connect: Connect | None = None, limits: EgressLimits | None = None) -> None:
        self._proxy = None if connect is None else EgressProxy(connect, limits)
        self._tasks: TaskGroup | None = None

    def begin(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    def problem(self, kind: BoxKind, transport: Transport | None) -> str:
        """Why a box of this kind cannot be had here, in a sentence; empty when it can, or needs no
        way out. ``transport`` `None`: not known yet.
        """
        if not kind.hosts:
            return ""
        if self._proxy is None or self._tasks is None:
            return NO_WAY_OUT
        if transport == "stdio":
            return NO_SHARED_FOLDER
        if kind.isolation == "session":
            return NO_SESSION
        try:
            HostList.of(kind.hosts)
        except ValueError as error:
            return NO_HOST.format(host=repr(error.args[0])[:100])
        return ""

    def open(self, path: Path, hosts: tuple[str, ...]) -> Outlet:
        """A way out at a unix socket that is listened on when this returns. Raises `OSError`."""
        if self._proxy is None or self._tasks is None:
            raise OSError("this sandbox has no way out")
        outlet = Outlet()
        listener = listen(path, BACKLOG)
        self._tasks.start_soon(self._serve, self._proxy, listener, HostList.of(hosts), outlet)
        return outlet

    async def _serve(
        self, proxy: EgressProxy, listener: socket.socket, hosts: HostList, outlet: Outlet
    ) -> None:
        try:
            with outlet.scope:
                await proxy.serve(listener, hosts)
        except Exception:  # a bug of ours costs one box its way out, and not the worker its boxes
            log.exception("the way out of a sandbox broke")
