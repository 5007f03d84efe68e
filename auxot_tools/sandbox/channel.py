"""One box's stream as bytes: send, receive, and an end that cannot hang.

It knows nothing of what the bytes mean. The stream is a unix socket of ours, or a connection taken
over from the engine. An attached stream that nobody reads makes the engine hang on every later call
for that container (moby #41827), so `hang_up` is immediate and comes first.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio

READ_BYTES = 256 * 2**10  # one read; several of PID 1's frames when output flows fast


class Closeable(Protocol):
    """What owns a connection: for an attached stream, the engine's HTTP response."""

    def close(self) -> None: ...


class Channel:
    """One connection to PID 1. One task sends and receives; any may hang up."""

    def __init__(self, connection: socket.socket, owner: Closeable | None = None) -> None:
        self._connection = connection
        self._owner = owner
        self._watching: asyncio.AbstractEventLoop | None = None
        self._closed = False
        connection.setblocking(False)

    async def send(self, data: bytes | memoryview) -> bool:
        """Send all of `data`; False when the other side is gone."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await anyio.wait_writable(self._connection)
            except ssl.SSLWantReadError:
                await anyio.wait_readable(self._connection)
            except OSError:
                return False
        return True

    def send_some(self, data: bytes) -> int:
        """Send what goes without waiting; the number of bytes."""
        try:
            return self._connection.send(data)
        except OSError:  # would block, or is gone, which the next one will find out too
            return 0

    def send_now(self, data: bytes) -> bool:
        """Send a few bytes without waiting; False when that cannot be done whole."""
        return self.send_some(data) == len(data)

    async def receive(self) -> bytes:
        """Some bytes; empty when the stream is over."""
        while True:
            try:
                return self._connection.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                await anyio.wait_readable(self._connection)
            except ssl.SSLWantWriteError:
                await anyio.wait_writable(self._connection)
            except OSError:
                return b""

    def watch(self, on_event: Callable[[], None]) -> None:
        """Call `on_event` once, when something comes or the stream ends; until `unwatch`.

        Nobody may receive meanwhile. Costs no task: for boxes that wait idly.
        """
        loop = asyncio.get_running_loop()

        def once() -> None:
            self.unwatch()
            on_event()

        loop.add_reader(self._connection, once)
        self._watching = loop

    def unwatch(self) -> None:
        """Stop watching; nothing happens when nobody does."""
        if self._watching is not None:
            self._watching.remove_reader(self._connection)
            self._watching = None

    def hang_up(self) -> None:
        """End both directions now. PID 1 sees its end, and kills everything."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and give the descriptor back. No other task may be waiting on the channel."""
        if self._closed:
            return
        self._closed = True
        self.unwatch()
        self.hang_up()
        with contextlib.suppress(OSError):
            self._connection.close()
        if self._owner is not None:
            self._owner.close()


def listen(path: Path) -> socket.socket:
    """A unix socket for one connection. Who may reach it is the folder's affair, not the mode's:
    the user of a box has to write to it, and only that box has the folder.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener


async def accept(listener: socket.socket) -> Channel:
    """The one connection to a listener of `listen`; the caller bounds the wait."""
    while True:
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            await anyio.wait_readable(listener)
        else:
            return Channel(connection)
