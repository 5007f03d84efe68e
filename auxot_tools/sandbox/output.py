"""Keeps the head and the tail of a stream of any length, and counts what lies between exactly.

Memory is O(kept), whatever comes. It knows nothing of where the bytes come from.
"""

from collections import deque

from auxot_tools.ports import KeptOutput


class OutputKeeper:
    """The first half of ``limit_bytes`` (rounded up) of a stream, and its last half."""

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 0:
            raise ValueError("limit_bytes is negative")
        self._tail_limit = limit_bytes // 2
        self._head_room = limit_bytes - self._tail_limit
        self._head = bytearray()
        # Whole chunks, trimmed from the left: bounded by the tail's limit and one chunk more.
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._omitted = 0

    def add(self, data: bytes) -> None:
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._add_to_tail(data)

    def _add_to_tail(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes > self._tail_limit:
            first = self._tail.popleft()
            surplus = min(len(first), self._tail_bytes - self._tail_limit)
            if surplus < len(first):
                self._tail.appendleft(first[surplus:])
            self._tail_bytes -= surplus
            self._omitted += surplus

    def kept(self) -> KeptOutput:
        """What was kept so far. Nothing left out: everything is in ``head``, ``tail`` is empty."""
        head, tail = bytes(self._head), b"".join(self._tail)
        if self._omitted == 0:
            return KeptOutput(head + tail)
        return KeptOutput(head, tail, self._omitted)
