"""Which CPU a program is started on: the one with the fewest of our running calls.

Pure. The number is a hint for PID 1 (an offset into the CPUs it may use), no reservation.
"""


class CpuBoard:
    """Counts the running calls of each CPU of the engine's machine."""

    def __init__(self) -> None:
        self._running: list[int] = [0]

    def resize(self, count: int) -> None:
        """The engine has told how many there are. Counts of the others are kept."""
        missing = max(1, count) - len(self._running)
        self._running += [0] * missing

    def take(self) -> int:
        """The least loaded CPU, the first of several; it counts one call more."""
        cpu = self._running.index(min(self._running))
        self._running[cpu] += 1
        return cpu

    def give_back(self, cpu: int) -> None:
        """A call on ``cpu`` has ended."""
        self._running[cpu] -= 1
