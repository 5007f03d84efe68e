"""Bodies of requests while they come: together they hold so much memory and no more.

One job: that bound; the time and size of each are `router.bodies`'. Nobody knows yet whose they
are, so an idle or greedy client must not keep others out: whoever holds most is refused. Must not
know what a body says.
"""

from dataclasses import dataclass, field

import anyio
from starlette.types import Message, Receive

from auxot_tools.errors import Overloaded
from auxot_tools.router.bodies import read_body

# Eight of the largest that are allowed by default; usual ones have some 100 KB.
MAX_READ_BYTES = 256 * 2**20


@dataclass(eq=False, slots=True)
class _Coming:
    scope: anyio.CancelScope
    size_bytes: int = 0


@dataclass(eq=False, slots=True)
class Reading:
    """All bodies of one middleware that are being read."""

    max_bytes: int = MAX_READ_BYTES
    _size_bytes: int = 0
    _coming: set[_Coming] = field(default_factory=set)

    async def body(self, receive: Receive, max_bytes: int) -> bytes:
        """The whole body. Raises `RequestError`, `RequestTooLarge`, and `Overloaded` when it was
        the largest of too much.
        """
        mine = _Coming(anyio.CancelScope())

        async def counted() -> Message:
            message = await receive()
            self._add(mine, len(message.get("body", b"")))
            return message

        self._coming.add(mine)
        try:
            with mine.scope:
                return await read_body(counted, max_bytes)
        finally:
            self._drop(mine)
        raise Overloaded("The server is reading as much as it may; try again soon")

    def _add(self, coming: _Coming, size_bytes: int) -> None:
        coming.size_bytes += size_bytes
        self._size_bytes += size_bytes
        if self._size_bytes > self.max_bytes:
            largest = max(self._coming, key=lambda one: one.size_bytes)
            self._drop(largest)
            largest.scope.cancel()

    def _drop(self, coming: _Coming) -> None:
        if coming in self._coming:
            self._coming.discard(coming)
            self._size_bytes -= coming.size_bytes
