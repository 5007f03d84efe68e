"""What each key may take at once: requests in a minute, requests and tool calls side by side.

One job: yes, or `RateLimited` with a short time to come back. A key's requests in a minute are a
bucket that fills evenly, so a burst may use up the minute's share and the next comes after a
part of it. It must not know how keys are checked nor what a request holds.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import RateLimited
from auxot_tools.router.key_file import KeyEntry

WATCHED_KEYS = 10_000  # as many as one file holds; a key without requests may be forgotten
MINUTE_S = 60.0
BUSY_RETRY_S = 1  # running requests end within seconds


@dataclass(slots=True)
class _Use:
    """What one key uses now."""

    requests: int = 0
    tokens: float = math.inf  # requests left in the bucket; full at first
    filled_at: float = 0.0
    places: anyio.CapacityLimiter | None = None
    limit_of_places: int | None = field(default=None)


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

        A repeat takes the place of the request that it repeats, which may still hold it. Raises
        `RateLimited`.
        """
        use = self._use_of(key)
        places = _places(use, key)
        if not is_repeat:
            _refuse_if_busy(use, key, places)
        self._take_token(use, key)
        use.requests += 1
        try:
            yield places
        finally:
            use.requests -= 1

    def _use_of(self, key: KeyEntry) -> _Use:
        use = self._uses.setdefault(key.name, _Use())
        self._uses.move_to_end(key.name)
        if len(self._uses) > WATCHED_KEYS:
            idle = next((name for name, one in self._uses.items() if not one.requests), None)
            self._uses.pop(idle or "", None)
        return use

    def _take_token(self, use: _Use, key: KeyEntry) -> None:
        limit = key.requests_per_minute
        if limit is None:
            return
        now = self._clock()
        per_s = limit / MINUTE_S
        use.tokens = min(float(limit), use.tokens + (now - use.filled_at) * per_s)
        use.filled_at = now
        if use.tokens < 1:
            wait_s = math.ceil((1 - use.tokens) / per_s)
            raise RateLimited(f"This key may send {limit} requests a minute.", wait_s)
        use.tokens -= 1


def _refuse_if_busy(use: _Use, key: KeyEntry, places: anyio.CapacityLimiter | None) -> None:
    if key.concurrent_requests is not None and use.requests >= key.concurrent_requests:
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
