"""Gives out permission to run: so many calls at once, the others in line, first come first served.

One job: counting. It must not know tools, boxes or results. How many may stand in line is bounded
by whoever accepts the calls.
"""

from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import DeadlineExceeded
from auxot_tools.types import Deadline

Turn = tuple[str, str, str]  # what is taken in turns, of whom


@dataclass(slots=True)
class _Turn:
    """One call at a time; kept only while somebody runs or waits."""

    limiter: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    users: int = 0


class Slots:
    """``total`` calls run at once; the others wait until their deadline."""

    def __init__(self, total: int) -> None:
        self._limiter = anyio.CapacityLimiter(total)
        self._waiting = 0
        self._turns: dict[Turn, _Turn] = {}  # bounded: entries only for live calls

    @property
    def total(self) -> int:
        return int(self._limiter.total_tokens)

    @property
    def free(self) -> int:
        return int(self._limiter.available_tokens)

    @property
    def waiting(self) -> int:
        return self._waiting

    async def take(self, holder: object, deadline: Deadline) -> None:
        """Take a slot for ``holder``; give it back with ``give_back``.

        Raises ``DeadlineExceeded`` when none came free.
        """
        await self._acquire(self._limiter, holder, deadline)

    def give_back(self, holder: object) -> None:
        self._limiter.release_on_behalf_of(holder)

    async def take_turn(self, key: Turn, holder: object, deadline: Deadline) -> None:
        """As ``take``, for calls that may not run beside another one of the same ``key``."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            await self._acquire(turn.limiter, holder, deadline)
        except BaseException:
            self._leave(key, turn)
            raise

    def end_turn(self, key: Turn, holder: object) -> None:
        turn = self._turns[key]
        turn.limiter.release_on_behalf_of(holder)
        self._leave(key, turn)

    def _leave(self, key: Turn, turn: _Turn) -> None:
        turn.users -= 1
        if turn.users == 0:
            del self._turns[key]

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
            raise DeadlineExceeded("no slot came free in the time given") from None
        finally:
            self._waiting -= 1
