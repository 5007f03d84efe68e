"""Whether a provider is worth asking: what its last answers and probes said. A circuit breaker.

One job: the verdict. After three failures in a row a provider is left alone for a while, then tried
again with one request at a time. A probe that fails takes it offline until one succeeds. Must not
know HTTP or how it is asked.
"""

import time
from collections.abc import Callable

FAILURES_TO_OPEN = 3
OPEN_S = 10.0  # how long an open breaker keeps requests away
TRIAL_S = 30.0  # a trial that does not come back within this time is not waited for


class Health:
    """The health of one provider. A provider that nothing is known of is worth asking."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_again_at = 0.0
        self._trial_until = 0.0
        self._is_down = False
        self._was_reached = True
        self.reason = ""  # of its last failure, in a few words

    @property
    def is_online(self) -> bool:
        """Whether a request may go there now. It changes nothing."""
        if self._is_down:
            return False
        now = self._clock()
        if self._failures < FAILURES_TO_OPEN:
            return True
        return now >= self._closed_again_at and now >= self._trial_until

    def asked(self) -> None:
        """A request goes there. With a breaker half open it is the one trial."""
        if self._failures >= FAILURES_TO_OPEN:
            self._trial_until = self._clock() + TRIAL_S

    def trial_is_over(self) -> None:
        """What became of the request just asked is known, or nobody waits for it any more."""
        self._trial_until = 0.0

    def succeeded(self) -> None:
        """It answered a request, from beginning to end."""
        self._failures, self._trial_until, self._is_down, self.reason = 0, 0.0, False, ""

    def failed(self, reason: str, *, was_reached: bool = True) -> None:
        """It did not answer a request, or (when it was reached) answered that it cannot."""
        self._was_reached = was_reached
        self._failures += 1
        self._trial_until = 0.0
        self.reason = reason
        if self._failures >= FAILURES_TO_OPEN:
            self._closed_again_at = self._clock() + OPEN_S

    def probed(self, problem: str) -> None:
        """A probe came back; `problem` is empty when all is well."""
        if not problem:
            if self._is_down:
                self._is_down, self.reason = False, ""
            if not self._was_reached:  # a probe says nothing of one that answers and fails
                self.succeeded()
            return
        self._is_down, self.reason = True, problem
