"""What attempts at a request did, kept in memory for its repeat: a `Ledger` of one process.

A client whose stream broke sends the same request again. What an attempt did that failed, or whose
client was gone before it was done, is kept for a minute; an attempt that still lives is waited for.
Attempts that ran no tool leave nothing: repeating them is harmless. An answer that reached its
client is never used again. One job: these lives. It must not know what a request is, nor what its
rounds hold.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import anyio

from auxot_tools.messages import exact_json
from auxot_tools.ports import PastRound
from auxot_tools.types import JSON, ToolResult

KEPT_S = 60.0  # a client repeats at once, or after a few pauses of seconds
# After its client has left an attempt that has run tools goes on so long: the repeat of a client
# whose connection broke comes within this time, and finds its call still running.
REJOIN_S = 1.5
MAX_ATTEMPTS = 1024
MAX_ATTEMPTS_OF_ONE = 64  # owner: others' are not displaced
MAX_ATTEMPT_BYTES = 8 * 2**20  # of one: more is not kept, and its client is told not to repeat
MAX_TOTAL_BYTES = 128 * 2**20  # of all

Key = tuple[str, bytes]  # owner and digest


class MemoryAttempt:
    """See `ports.Attempt`."""

    def __init__(
        self, key: Key, past: Sequence[PastRound], enter: Callable[["MemoryAttempt"], None]
    ) -> None:
        self.key = key
        self._enter = enter
        self._past = tuple(past)
        self._rounds = list(past)
        self.size_bytes = sum(map(_round_bytes, past))
        self.provider = ""
        self.answer: JSON | None = None
        self.is_kept = False  # the ledger's own note
        self._client_has_left = False
        self.is_delivered = False
        self.done = anyio.Event()  # it is complete, or has failed
        self.ended_at: float | None = None
        self._waiting = 0
        self._waiting_changed = anyio.Event()

    @property
    def past(self) -> Sequence[PastRound]:
        return self._past

    @property
    def rounds(self) -> Sequence[PastRound]:
        """All rounds, the earlier attempts' included."""
        return tuple(self._rounds)

    @property
    def can_be_repeated(self) -> bool:
        return self.is_kept or not self._rounds

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Somebody waits for this attempt."""
        self._count_waiting(1)
        try:
            yield
        finally:
            self._count_waiting(-1)

    async def until_unwanted(self) -> None:
        """See `ports.Attempt.until_unwanted`."""
        self._client_has_left = True
        is_lonely = not self._rounds
        while not is_lonely:
            while self._waiting:
                await self._waiting_changed.wait()
            with anyio.move_on_after(REJOIN_S) as patience:
                await self._waiting_changed.wait()
            is_lonely = patience.cancelled_caught

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        self._waiting_changed.set()
        self._waiting_changed = anyio.Event()

    def note_turn(self, turn: Sequence[JSON], provider: str = "") -> None:
        self.provider = provider or self.provider
        self._rounds.append(PastRound(tuple(turn), {}))
        self._grow(_round_bytes(self._rounds[-1]))

    def note_result(self, result: ToolResult) -> None:
        last = self._rounds[-1]
        known = replace(result, artifacts=())  # the model sees none of them
        self._rounds[-1] = PastRound(last.turn, {**last.results, result.tool_use_id: known})
        self._grow(_result_bytes(result))

    def complete(self, message: JSON) -> None:
        self.answer = message
        self.done.set()

    def delivered(self) -> None:
        self.is_delivered = not self._client_has_left

    def _grow(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self._enter(self)


class MemoryLedger:
    """See `ports.Ledger`."""

    def __init__(self, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._kept: dict[Key, list[MemoryAttempt]] = {}  # that ran tools; the latest is the last

    def knows(self, owner: str, digest: bytes) -> bool:
        """See `ports.Ledger.knows`."""
        return self._latest((owner, digest)) is not None

    @asynccontextmanager
    async def attempt(self, owner: str, digest: bytes) -> AsyncGenerator[MemoryAttempt, None]:
        """See `ports.Ledger.attempt`."""
        key = (owner, digest)
        earlier = await self._when_done(key)
        past = earlier.rounds if earlier is not None else ()
        attempt = MemoryAttempt(key, past, self._enter)
        if earlier is not None:
            self._remove(earlier)
            attempt.provider, attempt.answer = earlier.provider, earlier.answer
            self._enter(attempt)  # in its place: a third one goes on from here
        try:
            yield attempt
        finally:
            attempt.ended_at = self._clock()
            attempt.done.set()
            if attempt.is_delivered:
                self._remove(attempt)

    async def _when_done(self, key: Key) -> MemoryAttempt | None:
        """The attempt to go on from, if any, once nothing more comes of it."""
        while (found := self._latest(key)) is not None:
            if found.ended_at is not None:
                return found
            with found.awaited():
                await found.done.wait()
            if found.answer is not None:
                return found
        return None

    def _latest(self, key: Key) -> MemoryAttempt | None:
        found = self._kept.get(key, [])
        return next((one for one in reversed(found) if not self._is_old(one)), None)

    def _enter(self, attempt: MemoryAttempt) -> None:
        """Keep an attempt that runs tools, if there is room; what still lives is not displaced."""
        self._remove(attempt)
        for old in [one for one in self._all() if self._is_old(one)]:
            self._remove(old)
        if attempt.size_bytes > MAX_ATTEMPT_BYTES:
            return
        while not self._has_room(attempt):
            same_owner = attempt.key[0] if self._is_full_for(attempt) else None
            victim = self._oldest_ended(same_owner)
            if victim is None:
                return
            self._remove(victim)
        self._kept.setdefault(attempt.key, []).append(attempt)
        attempt.is_kept = True

    def _has_room(self, attempt: MemoryAttempt) -> bool:
        kept = self._all()
        size_bytes = sum(one.size_bytes for one in kept) + attempt.size_bytes
        is_full = len(kept) >= MAX_ATTEMPTS or size_bytes > MAX_TOTAL_BYTES
        return not is_full and not self._is_full_for(attempt)

    def _is_full_for(self, attempt: MemoryAttempt) -> bool:
        of_owner = sum(one.key[0] == attempt.key[0] for one in self._all())
        return of_owner >= MAX_ATTEMPTS_OF_ONE

    def _oldest_ended(self, owner: str | None) -> MemoryAttempt | None:
        ended = [one for one in self._all() if one.ended_at is not None]
        mine = [one for one in ended if owner is None or one.key[0] == owner]
        return min(mine, key=lambda one: one.ended_at or 0.0, default=None)

    def _all(self) -> list[MemoryAttempt]:
        return [one for kept in self._kept.values() for one in kept]

    def _remove(self, attempt: MemoryAttempt) -> None:
        if not attempt.is_kept:
            return
        attempt.is_kept = False
        left = [one for one in self._kept[attempt.key] if one is not attempt]
        if left:
            self._kept[attempt.key] = left
        else:
            del self._kept[attempt.key]

    def _is_old(self, attempt: MemoryAttempt) -> bool:
        ended_at = attempt.ended_at
        return ended_at is not None and self._clock() - ended_at >= self._kept_s


def _round_bytes(past: PastRound) -> int:
    results = sum(map(_result_bytes, past.results.values()))
    return len(exact_json.encode(list(past.turn))) + results


def _result_bytes(result: ToolResult) -> int:
    return len(exact_json.encode(list(result.content)))
