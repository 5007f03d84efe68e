"""Whose turn it is: few places, shared fairly between tenants.

One job: hand out places, one at most to each tenant, in turns. It must not know what is done there.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """`places` for all. A tenant has one of them at most; those who wait take turns.

    So a tenant who asks for much waits for itself, and for others one turn of each.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._busy: set[str] = set()
        # By tenant, who comes next first. Bounded by the calls that the worker admits.
        self._waiting: OrderedDict[str, deque[anyio.Event]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncGenerator[None, None]:
        """A place for `tenant`, as soon as it is its turn."""
        await self._begin(tenant)
        try:
            yield
        finally:
            self._end(tenant)

    async def _begin(self, tenant: str) -> None:
        is_called = anyio.Event()
        self._waiting.setdefault(tenant, deque()).append(is_called)
        self._call_next()
        try:
            await is_called.wait()
        except BaseException:  # cancelled, perhaps after it was called
            if is_called.is_set():
                self._end(tenant)
            else:
                self._leave(tenant, is_called)
            raise

    def _end(self, tenant: str) -> None:
        self._busy.discard(tenant)
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        for tenant in [one for one in self._waiting if one not in self._busy][: self._free]:
            queue = self._waiting.pop(tenant)
            queue.popleft().set()
            if queue:
                self._waiting[tenant] = queue  # behind all others
            self._busy.add(tenant)
            self._free -= 1

    def _leave(self, tenant: str, is_called: anyio.Event) -> None:
        queue = self._waiting[tenant]
        queue.remove(is_called)
        if not queue:
            del self._waiting[tenant]
