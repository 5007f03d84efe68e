"""A share of a minute that fills evenly: how often something may be done.

One job: counting. Pure: the clock is the caller's, and what is counted is the caller's affair.
"""

import math
from dataclasses import dataclass

MINUTE_S = 60.0


@dataclass(slots=True)
class Bucket:
    """Full at first, so that a burst may use up the minute's share."""

    tokens: float = math.inf
    filled_at: float = 0.0

    def take(self, limit: int, now: float) -> int:
        """Take one of `limit` a minute: 0 when there was one, else whole seconds until there is."""
        per_s = limit / MINUTE_S
        self.tokens = min(float(limit), self.tokens + (now - self.filled_at) * per_s)
        self.filled_at = now
        if self.tokens < 1:
            return max(1, math.ceil((1 - self.tokens) / per_s))
        self.tokens -= 1
        return 0
