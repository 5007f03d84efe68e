"""Ready boxes of each kind, made ahead by two makers at most, and claims served first-come.

One job: which box is made next, and who gets it. It knows a box only as something that can be
watched and thrown away; how one is made is the launcher's. Times are of an injected clock.

A kind that was asked for lately has a target of boxes that wait; hints raise it for a while. What
a claim needs is made before what refills. While making fails, refilling backs off; a claim that
waits gets the error of an attempt that was made for it, at once.
"""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import AuxotError, EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions

log = logging.getLogger(__name__)

MAKERS = 2  # more only make the engine's other work slower (measured on two cores)
_BACKOFF_FIRST_S = 0.5
_BACKOFF_LIMIT_S = 30.0
_GLOBAL = (EngineUnavailable, ImageMissing)  # what no other attempt of that moment escapes
CLOSED = "The sandbox has been closed."
OUR_BUG = "The sandbox could not be made, because of a bug in the worker; its log says more."


@dataclass(slots=True, eq=False)
class _Waiter:
    """A claim that waits; `done` is set when it has a box or an error."""

    since: float
    done: anyio.Event = field(default_factory=anyio.Event)
    box: LiveBox | None = None
    error: AuxotError | None = None


@dataclass(slots=True, eq=False)
class _Shelf:
    """What there is of one kind."""

    kind: BoxKind
    used_at: float
    is_kept: bool = False
    ready: deque[LiveBox] = field(default_factory=deque)  # bounded by the target
    waiters: deque[_Waiter] = field(default_factory=deque)  # bounded by the slots of the sandbox
    hints: deque[float] = field(default_factory=deque)  # when each ends; bounded, see `hint`
    making: int = 0
    failures: int = 0
    retry_at: float = 0.0


class Pool:
    """Boxes that wait for their first call. `run` must run in a task while it is used.

    ``dispose``, ``options`` and ``clock`` are also those of what keeps its boxes between calls.
    """

    def __init__(
        self,
        make: Callable[[BoxKind], Awaitable[LiveBox]],
        dispose: Callable[[LiveBox], None],
        options: SandboxOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self.dispose = dispose
        self.options = options
        self.clock = clock
        self._shelves: dict[BoxKind, _Shelf] = {}  # bounded, see `_shelf`
        self._work = anyio.Event()
        self._closed = False

    async def run(self) -> None:
        """The makers; until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(MAKERS):
                tasks.start_soon(self._make_for_ever)

    async def take(self, kind: BoxKind) -> LiveBox:
        """A box of this kind, now the caller's; the caller bounds the wait.

        Raises `Unavailable` and its kin. Cancelled, it leaves nothing behind.
        """
        if self._closed:
            raise Unavailable(CLOSED)
        shelf = self._shelf(kind)
        shelf.used_at = self.clock()
        if shelf.hints:
            shelf.hints.popleft()
        if shelf.ready:
            box = shelf.ready.popleft()
            box.unwatch()
            self._wake()
            return box
        waiter = _Waiter(shelf.used_at)
        shelf.waiters.append(waiter)
        self._wake()
        try:
            await waiter.done.wait()
        except BaseException:
            self._leave(shelf, waiter)
            raise
        if waiter.box is None:
            raise waiter.error or Unavailable(CLOSED)
        return waiter.box

    def has_ready(self, kind: BoxKind) -> bool:
        """Whether `take` would not wait."""
        shelf = self._shelves.get(kind)
        return shelf is not None and bool(shelf.ready)

    def hint(self, kind: BoxKind) -> bool:
        """A `take` of this kind is about to come. False when there are hints enough already."""
        self._expire_hints()
        live = sum(len(shelf.hints) for shelf in self._shelves.values())
        if self._closed or live >= self.options.concurrency:
            return False
        shelf = self._shelf(kind)
        shelf.used_at = self.clock()
        shelf.hints.append(shelf.used_at + self.options.hint_s)
        self._wake()
        return True

    def keep(self, kinds: Iterable[BoxKind]) -> None:
        """Boxes of these kinds, and of no others, wait also when nobody has asked for long."""
        kept = set(kinds)
        for kind in kept:
            self._shelf(kind)
        for shelf in self._shelves.values():
            shelf.is_kept = shelf.kind in kept
        self._wake()

    def kept(self) -> list[BoxKind]:
        return [shelf.kind for shelf in self._shelves.values() if shelf.is_kept]

    def sweep(self) -> None:
        """Drop what has waited too long: kinds, hints, boxes. To be called every few seconds."""
        now = self.clock()
        self._expire_hints()
        for shelf in list(self._shelves.values()):
            idle_s = now - shelf.used_at
            if not shelf.is_kept and not shelf.hints and idle_s > self.options.kind_idle_s:
                self._drop(shelf)
                continue
            for box in list(shelf.ready):
                too_old = now - box.made_at > self.options.ready_age_s
                if too_old or len(shelf.ready) > self._target(shelf):
                    self._throw_away(shelf, box)
        self._wake()

    def close(self) -> None:
        """No box is given or made any more; those that wait are thrown away."""
        self._closed = True
        for shelf in list(self._shelves.values()):
            for waiter in shelf.waiters:
                waiter.done.set()
            shelf.waiters.clear()
            self._empty(shelf)
        self._shelves.clear()
        self._wake()

    @property
    def waiting_boxes(self) -> int:
        return sum(len(shelf.ready) for shelf in self._shelves.values())

    # -- shelves

    def _shelf(self, kind: BoxKind) -> _Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            self._make_place()
            shelf = self._shelves[kind] = _Shelf(kind, self.clock())
        return shelf

    def _make_place(self) -> None:
        """At most `kinds` shelves, and those that claims wait at: these are bounded by the slots.

        A shelf that is kept gives way last.
        """
        if len(self._shelves) < self.options.kinds:
            return
        idle = [shelf for shelf in self._shelves.values() if not shelf.waiters]
        if idle:
            self._drop(min(idle, key=lambda shelf: (shelf.is_kept, shelf.used_at)))

    def _drop(self, shelf: _Shelf) -> None:
        if shelf.waiters:
            return
        del self._shelves[shelf.kind]
        self._empty(shelf)

    def _empty(self, shelf: _Shelf) -> None:
        while shelf.ready:
            self.dispose(shelf.ready.popleft())

    def _target(self, shelf: _Shelf) -> int:
        """How many boxes should wait. Of warm ones and sessions one: they are used many times."""
        most = self.options.ready if shelf.kind.isolation == "call" else 1
        return min(most, self.options.ready) + len(shelf.hints)

    def _expire_hints(self) -> None:
        now = self.clock()
        for shelf in self._shelves.values():
            while shelf.hints and shelf.hints[0] <= now:
                shelf.hints.popleft()

    # -- making

    async def _make_for_ever(self) -> None:
        while True:
            work = self._work
            shelf = self._next_job()
            if shelf is not None:
                await self._make_one(shelf)
                continue
            with anyio.move_on_after(self._pause_s()):
                await work.wait()

    def _wake(self) -> None:
        self._work.set()
        self._work = anyio.Event()

    def _pause_s(self) -> float:
        """Until a shelf that backs off may be tried again; else as long as a hint may last."""
        now = self.clock()
        pauses = [shelf.retry_at - now for shelf in self._shelves.values() if shelf.failures]
        return max(0.01, min((pause for pause in pauses if pause > 0), default=_BACKOFF_LIMIT_S))

    def _next_job(self) -> _Shelf | None:
        if self._closed:
            return None
        now = self.clock()
        shelves = self._shelves.values()
        asked = [shelf for shelf in shelves if len(shelf.waiters) > shelf.making]
        if asked:
            return min(asked, key=lambda shelf: shelf.waiters[shelf.making].since)
        short = [shelf for shelf in shelves if self._is_short(shelf) and now >= shelf.retry_at]
        return min(short, key=lambda shelf: len(shelf.ready) + shelf.making, default=None)

    def _is_short(self, shelf: _Shelf) -> bool:
        coming = len(shelf.ready) + shelf.making - len(shelf.waiters)
        return coming < self._target(shelf)

    async def _make_one(self, shelf: _Shelf) -> None:
        asked = tuple(shelf.waiters)
        shelf.making += 1
        try:
            box = await self._make(shelf.kind)
        except AuxotError as error:
            self._failed(shelf, error, asked)
        except Exception:
            log.exception("a box could not be made")
            self._failed(shelf, Unavailable(OUR_BUG), asked)
        else:
            shelf.failures = 0
            self._stock(shelf, box)
        finally:
            shelf.making -= 1

    def _stock(self, shelf: _Shelf, box: LiveBox) -> None:
        if shelf.waiters:
            waiter = shelf.waiters.popleft()
            waiter.box = box
            waiter.done.set()
        elif self._shelves.get(shelf.kind) is shelf and len(shelf.ready) < self._target(shelf):
            shelf.ready.append(box)
            box.watch(lambda ended: self._died(shelf, ended))
        else:
            self.dispose(box)

    def _failed(self, shelf: _Shelf, error: AuxotError, asked: tuple[_Waiter, ...]) -> None:
        self._back_off(shelf)
        waiting = [waiter for waiter in asked if waiter in shelf.waiters]
        for waiter in waiting if isinstance(error, _GLOBAL) else waiting[:1]:
            shelf.waiters.remove(waiter)
            waiter.error = type(error)(str(error))  # an exception has one traceback
            waiter.error.__cause__ = error
            waiter.done.set()

    def _back_off(self, shelf: _Shelf) -> None:
        wait_s = min(_BACKOFF_LIMIT_S, _BACKOFF_FIRST_S * 2.0 ** min(shelf.failures, 10))
        shelf.failures += 1
        shelf.retry_at = self.clock() + wait_s

    def _died(self, shelf: _Shelf, box: LiveBox) -> None:
        """A box that waited has ended: another is made, not in a hurry lest that ends as well."""
        log.warning("box %s ended while it waited for a call", box.id)
        self._back_off(shelf)
        self._throw_away(shelf, box)
        self._wake()

    def _throw_away(self, shelf: _Shelf, box: LiveBox) -> None:
        shelf.ready.remove(box)
        self.dispose(box)

    def _leave(self, shelf: _Shelf, waiter: _Waiter) -> None:
        if waiter in shelf.waiters:
            shelf.waiters.remove(waiter)
        if waiter.box is not None:
            self._stock(shelf, waiter.box)
