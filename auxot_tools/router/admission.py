"""What each key may take at once: requests in a minute, requests and tool calls side by side.

One job: yes, or `RateLimited` with a short time to come back. A key's requests in a minute are a
bucket that fills evenly, so a burst may use up the minute's share and the next comes after a
part of it. It must not know how keys are checked nor what a request holds.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import RateLimited
from auxot_tools.rates import Bucket
from auxot_tools.router.key_file import KeyEntry

WATCHED_KEYS = 10_000  # as many as one file holds; a key without requests may be forgotten
COUNTS_PER_MINUTE = 60  # counts of tokens, at least; an opened `/context` of Claude Code sends 26
BUSY_RETRY_S = 1  # running requests end within seconds


@dataclass(slots=True)
class _Use:
    """What one key uses now."""

    running: int = 0
    requests: Bucket = field(default_factory=Bucket)
    counts: Bucket = field(default_factory=Bucket)
    places: anyio.CapacityLimiter | None = None
    limit_of_places: int | None = None


class Admission:
    """The use that all keys make of this router."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    @contextmanager
    def request(
        self, key: KeyEntry, *, is_repeat: bool = False
    ) -> Iterator[anyio.CapacityLimiter | None]:
        """Let one request of this key in; gives what bounds its calls, if anything does.

        A repeat may come beside the request that it repeats, which may still hold its place: one
        more than the limit. Raises `RateLimited`.
        """
        use = self._use_of(key)
        places = _places(use, key)
        _refuse_if_busy(use, key, None if is_repeat else places, spare=int(is_repeat))
        if key.requests_per_minute is not None:
            _take(use.requests, key.requests_per_minute, self._clock())
        use.running += 1
        try:
            yield places
        finally:
            use.running -= 1

    def count(self, key: KeyEntry) -> None:
        """Let one count of tokens in: clients make dozens of them at once, so they have a share of
        their own, larger than that of requests. Raises `RateLimited`.
        """
        limit = key.requests_per_minute
        if limit is not None:
            _take(self._use_of(key).counts, max(limit, COUNTS_PER_MINUTE), self._clock())

    def _use_of(self, key: KeyEntry) -> _Use:
        use = self._uses.setdefault(key.name, _Use())
        self._uses.move_to_end(key.name)
        if len(self._uses) > WATCHED_KEYS:
            idle = next((name for name, one in self._uses.items() if not one.running), None)
            self._uses.pop(idle or "", None)
        return use


def _take(bucket: Bucket, limit: int, now: float) -> None:
    wait_s = bucket.take(limit, now)
    if wait_s:
        raise RateLimited(f"This key may send {limit} requests a minute.", wait_s)


def _refuse_if_busy(
    use: _Use, key: KeyEntry, places: anyio.CapacityLimiter | None, *, spare: int
) -> None:
    most = key.concurrent_requests
    if most is not None and use.running >= most + spare:
        text = f"This key may have {key.concurrent_requests} requests at once, and has."
        raise RateLimited(text, BUSY_RETRY_S)
    if places is not None and places.available_tokens < 1:
        text = f"This key may have {key.concurrent_calls} tool calls at once, and has."
        raise RateLimited(text, BUSY_RETRY_S)


def _places(use: _Use, key: KeyEntry) -> anyio.CapacityLimiter | None:
    """The places of the key's calls; a limit that was changed in the file counts at once."""
    if key.concurrent_calls != use.limit_of_places:
        use.limit_of_places = key.concurrent_calls
        if key.concurrent_calls is None:
            use.places = None
        elif use.places is None:
            use.places = anyio.CapacityLimiter(key.concurrent_calls)
        else:
            use.places.total_tokens = key.concurrent_calls
    return use.places
