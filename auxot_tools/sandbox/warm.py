"""Warm boxes: each is bound to one tenant at its first call, and never serves another.

One job: which box a tenant's next call gets, and when a box is recycled. A box comes unbound from
the pool and rests here between calls. Times are of the pool's clock.
"""

from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.pool import Pool

RECOVERY_LIMIT_S = 2.0  # until PID 1 has made the next call's place: 4 ms as a rule

_Key = tuple[str, BoxKind]  # whose, and of what kind


@dataclass(slots=True, eq=False)
class _Resting:
    key: _Key
    box: LiveBox
    since: float


@dataclass(slots=True)
class _Recovering:
    """Boxes of one key that will rest soon; `changed` is set when one does, or does not."""

    count: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)


class WarmBoxes:
    """The boxes of isolation `warm` that have served a call."""

    def __init__(self, pool: Pool, tasks: TaskGroup) -> None:
        self._pool = pool
        self._tasks = tasks
        self._options = pool.options
        self._resting: list[_Resting] = []  # the longest unused first; bounded, see `_evict`
        self._recovering: dict[_Key, _Recovering] = {}  # bounded by the slots of the sandbox
        self._serving = 0
        self._closed = False

    async def take(self, tenant: str, kind: BoxKind) -> LiveBox:
        """A box for one call of this tenant. Raises what `Pool.take` raises.

        Rather than bind another container, it waits for one of the tenant's that is just recovering
        from a call, unless one waits in the pool and there is room for it: else every call would
        push out a box that the next one needs.
        """
        key = (tenant, kind)
        while (box := self._pop(key)) is None:
            recovering = self._recovering.get(key)
            if recovering is None or (self._has_room() and self._pool.has_ready(kind)):
                box = await self._pool.take(kind)
                break
            await recovering.changed.wait()
        self._serving += 1
        self._evict()
        return box

    def has(self, tenant: str, kind: BoxKind) -> bool:
        """Whether a box of this tenant's rests, or will in a moment."""
        key = (tenant, kind)
        return key in self._recovering or any(resting.key == key for resting in self._resting)

    def put_back(self, tenant: str, box: LiveBox) -> None:
        """After a call: the box rests for this tenant, or is recycled. Does not wait."""
        self._serving -= 1
        if self._closed or not self._may_serve(box):
            self._pool.dispose(box)
        elif box.is_ready:
            self._rest((tenant, box.kind), box)
        else:
            key = (tenant, box.kind)
            self._recovering.setdefault(key, _Recovering()).count += 1
            self._tasks.start_soon(self._recover, key, box)

    def sweep(self) -> None:
        """Recycle what has rested or lived too long. To be called every few seconds."""
        now = self._pool.clock()
        for resting in list(self._resting):
            too_idle = now - resting.since > self._options.warm_idle_s
            if too_idle or not self._may_serve(resting.box):
                self._throw_away(resting)

    def close(self) -> None:
        """Throw all away that rests; what serves or recovers will not rest any more."""
        self._closed = True
        for resting in list(self._resting):
            self._throw_away(resting)

    @property
    def resting_boxes(self) -> int:
        return len(self._resting)

    def _may_serve(self, box: LiveBox) -> bool:
        age_s = self._pool.clock() - box.made_at
        is_young = age_s <= self._options.warm_age_s and box.calls < self._options.warm_calls
        return is_young and not box.spoiled

    async def _recover(self, key: _Key, box: LiveBox) -> None:
        recovered = False
        try:
            recovered = await box.recover(RECOVERY_LIMIT_S)
        finally:
            recovering = self._recovering[key]
            recovering.count -= 1
            if recovered and not self._closed:
                self._rest(key, box)
            else:
                self._pool.dispose(box)
            recovering.changed.set()
            recovering.changed = anyio.Event()
            if recovering.count == 0:
                del self._recovering[key]

    def _rest(self, key: _Key, box: LiveBox) -> None:
        resting = _Resting(key, box, self._pool.clock())
        self._resting.append(resting)
        box.watch(lambda _box: self._throw_away(resting))
        self._evict()

    def _pop(self, key: _Key) -> LiveBox | None:
        """The box used last: the others may become idle and go."""
        for resting in reversed(self._resting):
            if resting.key == key:
                self._resting.remove(resting)
                resting.box.unwatch()
                return resting.box
        return None

    def _has_room(self) -> bool:
        return self._count() < self._options.concurrency + self._options.ready

    def _count(self) -> int:
        recovering = sum(some.count for some in self._recovering.values())
        return len(self._resting) + recovering + self._serving

    def _evict(self) -> None:
        """All together are as many as the slots and the ready ones."""
        while self._resting and self._count() > self._options.concurrency + self._options.ready:
            self._throw_away(self._resting[0])

    def _throw_away(self, resting: _Resting) -> None:
        self._resting.remove(resting)
        self._pool.dispose(resting.box)
