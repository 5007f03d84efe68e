"""So many at once of each kind: places that calls take, wait for, and give back.

One job: counting by key, first come first served. It must not know what the keys are of.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import anyio

from auxot_tools.errors import DeadlineExceeded
from auxot_tools.types import Deadline


@dataclass(slots=True)
class _Kind:
    """Kept only while somebody holds a place of it, or waits for one."""

    limiter: anyio.CapacityLimiter
    users: int = 0


class Places:
    """Bounded by whoever accepts the calls: there is an entry only for live ones."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Those that wait for a place."""
        return self._waiting

    def held(self, key: Hashable) -> int:
        """How many places of this ``key`` are taken."""
        kind = self._kinds.get(key)
        return 0 if kind is None else int(kind.limiter.borrowed_tokens)

    async def take(self, key: Hashable, limit: int, holder: object, deadline: Deadline) -> None:
        """Take one of ``limit`` places of this ``key``. Raises ``DeadlineExceeded``."""
        kind = self._kinds.setdefault(key, _Kind(anyio.CapacityLimiter(limit)))
        kind.limiter.total_tokens = limit
        kind.users += 1
        try:
            await self._acquire(kind.limiter, holder, deadline)
        except BaseException:
            self._leave(key, kind)
            raise

    def give_back(self, key: Hashable, holder: object) -> None:
        """Give the place back that ``holder`` took."""
        kind = self._kinds[key]
        kind.limiter.release_on_behalf_of(holder)
        self._leave(key, kind)

    def _leave(self, key: Hashable, kind: _Kind) -> None:
        kind.users -= 1
        if kind.users == 0:
            del self._kinds[key]

    async def _acquire(
        self, limiter: anyio.CapacityLimiter, holder: object, deadline: Deadline
    ) -> None:
        try:
            limiter.acquire_on_behalf_of_nowait(holder)
            return
        except anyio.WouldBlock:
            pass
        self._waiting += 1
        try:
            with anyio.fail_after(deadline.remaining_s()):
                await limiter.acquire_on_behalf_of(holder)
        except TimeoutError:
            raise DeadlineExceeded("no place came free in the time given") from None
        finally:
            self._waiting -= 1
