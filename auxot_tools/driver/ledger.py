"""What attempts at a request did, kept in memory for its repeat: a `Ledger` of one process.

A client whose stream broke sends the same request again. What an attempt did that failed is kept
for a minute, and an attempt that still lives is waited for, once either has run tools; a completed
answer is never used again. Attempts that ran no tool leave nothing: repeating them is harmless.
One job: these lives. It must not know what a request is, nor what its rounds hold.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio

from auxot_tools.messages import exact_json
from auxot_tools.ports import PastRound
from auxot_tools.types import JSON, ToolResult

KEPT_S = 60.0  # a client repeats at once, or after a few pauses of seconds
# After its client has left an attempt that has run tools goes on so long: the repeat of a client
# whose connection broke comes within this time, and finds its call still running.
REJOIN_S = 1.5
MAX_ATTEMPTS = 1024
MAX_ATTEMPT_BYTES = 8 * 2**20  # of one: more is not kept, and its client is told not to repeat
MAX_TOTAL_BYTES = 128 * 2**20  # of all, the oldest going first


class MemoryAttempt:
    """See `ports.Attempt`."""

    def __init__(self, enter: Callable[["MemoryAttempt"], None], past: Sequence[PastRound]) -> None:
        self._enter = enter
        self._rounds = list(past)
        self._past = tuple(past)
        self.size_bytes = sum(map(_round_bytes, past))
        self.answer: JSON | None = None
        self._waiting = 0
        self._waiting_changed = anyio.Event()
        self.ended = anyio.Event()
        self.ended_at = 0.0

    @property
    def past(self) -> Sequence[PastRound]:
        return self._past

    @property
    def rounds(self) -> Sequence[PastRound]:
        """All rounds, the earlier attempts' included."""
        return tuple(self._rounds)

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

    @property
    def can_be_repeated(self) -> bool:
        return self.size_bytes <= MAX_ATTEMPT_BYTES

    def note_turn(self, turn: Sequence[JSON]) -> None:
        self._rounds.append(PastRound(tuple(turn), {}))
        self._grow(_round_bytes(self._rounds[-1]))

    def note_result(self, result: ToolResult) -> None:
        last = self._rounds[-1]
        self._rounds[-1] = PastRound(last.turn, {**last.results, result.tool_use_id: result})
        self._grow(_result_bytes(result))

    def complete(self, message: JSON) -> None:
        self.answer = message

    def _grow(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self._enter(self)


class MemoryLedger:
    """See `ports.Ledger`."""

    def __init__(self, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._found: OrderedDict[bytes, MemoryAttempt] = OrderedDict()  # oldest first
        self._total_bytes = 0

    def knows(self, digest: bytes) -> bool:
        """See `ports.Ledger.knows`."""
        found = self._found.get(digest)
        return found is not None and not self._is_old(found)

    @asynccontextmanager
    async def attempt(self, digest: bytes) -> AsyncGenerator[MemoryAttempt, None]:
        """See `ports.Ledger.attempt`."""
        earlier = await self._when_ended(digest)
        if earlier is not None and earlier.answer is not None:
            joined = MemoryAttempt(_keep_nowhere, ())
            joined.answer = earlier.answer
            yield joined
            return
        past = earlier.rounds if earlier is not None else ()
        attempt = MemoryAttempt(lambda entered: self._enter(digest, entered), past)
        if past:
            self._enter(digest, attempt)  # in place of the earlier one: a third goes on from here
        try:
            yield attempt
        finally:
            attempt.ended_at = self._clock()
            attempt.ended.set()
            if attempt.answer is not None and self._found.get(digest) is attempt:
                self._remove(digest)

    async def _when_ended(self, digest: bytes) -> MemoryAttempt | None:
        """The attempt to go on from, if any, once it has ended."""
        while True:
            found = self._found.get(digest)
            if found is None or found.ended.is_set():
                return None if found is None or self._is_old(found) else found
            with found.awaited():
                await found.ended.wait()
            if found.answer is not None:
                return found

    def _enter(self, digest: bytes, attempt: MemoryAttempt) -> None:
        self._remove(digest)
        for old in [d for d, kept in self._found.items() if self._is_old(kept)]:
            self._remove(old)
        if not attempt.can_be_repeated:
            return
        self._found[digest] = attempt
        self._total_bytes = sum(kept.size_bytes for kept in self._found.values())
        while len(self._found) > MAX_ATTEMPTS or self._total_bytes > MAX_TOTAL_BYTES:
            self._remove(next(iter(self._found)))

    def _remove(self, digest: bytes) -> None:
        removed = self._found.pop(digest, None)
        if removed is not None:
            self._total_bytes = sum(kept.size_bytes for kept in self._found.values())

    def _is_old(self, attempt: MemoryAttempt) -> bool:
        return attempt.ended.is_set() and self._clock() - attempt.ended_at >= self._kept_s


def _keep_nowhere(_attempt: MemoryAttempt) -> None:
    """A joined attempt does nothing that is to be kept."""


def _round_bytes(past: PastRound) -> int:
    results = sum(map(_result_bytes, past.results.values()))
    return len(exact_json.encode(list(past.turn))) + results


def _result_bytes(result: ToolResult) -> int:
    return len(exact_json.encode(list(result.content)))
