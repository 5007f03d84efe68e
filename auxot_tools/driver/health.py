"""Whether a provider is worth asking: what its last answers and probes said. A circuit breaker.

One job: the verdict. One that cannot be reached, three times in a row or by a probe, is offline:
it is not asked for a while, then by one request at a time, and at once when a probe reaches it. One
that is reached and fails is doubtful: others are asked first. Must not know HTTP or how it is
asked.
"""

import time
from collections.abc import Callable

FAILURES_TO_OPEN = 3
OPEN_S = 10.0  # how long an open breaker counts
TRIAL_S = 30.0  # a trial that does not come back within this time is not waited for


class Health:
    """The health of one provider. A provider that nothing is known of is worth asking."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._was_reached = True
        self._closed_again_at = 0.0
        self._trial_until = 0.0
        self._is_down = False  # a probe did not reach it
        self._is_unwell = False  # a probe reached it, and it said that it is not well
        self.reason = ""  # of its last failure, in a few words

    @property
    def is_online(self) -> bool:
        """Whether a request may go there now. It changes nothing."""
        if self._is_down:
            return False
        if not self._is_open or self._was_reached:
            return True
        now = self._clock()
        return now >= self._closed_again_at and now >= self._trial_until

    @property
    def is_doubtful(self) -> bool:
        """Whether others should be asked first."""
        return self._is_unwell or (self._is_open and self._clock() < self._closed_again_at)

    @property
    def _is_open(self) -> bool:
        return self._failures >= FAILURES_TO_OPEN

    def asked(self) -> None:
        """A request goes there. With a breaker half open it is the one trial."""
        if self._is_open:
            self._trial_until = self._clock() + TRIAL_S

    def trial_is_over(self) -> None:
        """What became of the request just asked is known, or nobody waits for it any more."""
        self._trial_until = 0.0

    def succeeded(self) -> None:
        """It answered a request, from beginning to end."""
        self._failures, self._trial_until, self._was_reached = 0, 0.0, True
        self._is_down, self._is_unwell, self.reason = False, False, ""

    def failed(self, reason: str, *, was_reached: bool = True) -> None:
        """It did not answer a request, or (when it was reached) answered that it cannot."""
        self._was_reached = was_reached
        self._failures += 1
        self._trial_until = 0.0
        self.reason = reason
        if self._is_open:
            self._closed_again_at = self._clock() + OPEN_S

    def probed(self, problem: str, *, was_reached: bool = False) -> None:
        """A probe came back; `problem` is empty when all is well."""
        if not problem:
            if self._is_down or self._is_unwell or not self._was_reached:
                self.succeeded()
            return
        self._is_down, self._is_unwell = not was_reached, was_reached
        self.reason = problem
