"""Unix sockets as byte streams whose waits may be cancelled at any moment.

One job: bytes in and out of a socket. anyio's own stream for them raises inside of the event loop
when a wait is cancelled just as its socket becomes ready, and a hostile peer chooses that moment.
Descriptors that a peer sends along are dropped by the kernel, as none are asked for.
"""

import socket
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream


class UnixStream(ByteStream):
    """One connection. One task may receive while another sends."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Contract: `anyio.abc.ByteReceiveStream.receive`."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._connection.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
            except OSError as error:
                raise self._broken(error) from error
            else:
                break
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Contract: `anyio.abc.ByteSendStream.send`."""
        await anyio.lowlevel.checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise self._broken(error) from error

    async def send_eof(self) -> None:
        """Contract: `anyio.abc.ByteStream.send_eof`. A peer that has left is no error."""
        await anyio.lowlevel.checkpoint()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Contract: `anyio.abc.AsyncResource.aclose`."""
        if self._connection.fileno() >= 0:
            anyio.notify_closing(self._connection)
        self._connection.close()
        await anyio.lowlevel.checkpoint()

    def _broken(self, error: OSError) -> Exception:
        is_ours = self._connection.fileno() < 0
        kind = anyio.ClosedResourceError if is_ours else anyio.BrokenResourceError
        return kind(str(error))


def listen(path: Path, backlog: int) -> socket.socket:
    """A listening socket at ``path``, open to whoever can reach that. Raises `OSError`."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


async def accept(listener: socket.socket) -> UnixStream:
    """The next connection to a listener of `listen`. Raises `OSError`."""
    await anyio.lowlevel.checkpoint()
    while True:
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            await anyio.wait_readable(listener)
        else:
            return UnixStream(connection)
