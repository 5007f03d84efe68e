"""One attached container's stream as bytes: send, receive, and an end that cannot hang.

It knows nothing of what the bytes mean. An attached stream that nobody reads makes the engine hang
on every later call for that container (moby #41827), so `hang_up` is immediate and comes first.
"""

import contextlib
import socket
import ssl
from typing import Protocol

import anyio

READ_BYTES = 256 * 2**10  # one read; several of PID 1's frames when output flows fast


class Closeable(Protocol):
    """The HTTP response that owns the connection."""

    def close(self) -> None: ...


class Channel:
    """A connection taken over from the engine. One task sends and receives; any may hang up."""

    def __init__(self, connection: socket.socket, owner: Closeable) -> None:
        self._connection = connection
        self._owner = owner
        connection.setblocking(False)

    async def send(self, data: bytes) -> bool:
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

    def send_now(self, data: bytes) -> bool:
        """Send a few bytes without waiting; False when that cannot be done whole."""
        try:
            return self._connection.send(data) == len(data)
        except OSError:  # also: would block
            return False

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

    def hang_up(self) -> None:
        """End both directions now. PID 1 sees its stdin end, and kills everything."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and give the descriptor back. No other task may be waiting on the channel."""
        self.hang_up()
        with contextlib.suppress(OSError):
            self._connection.close()
        self._owner.close()
