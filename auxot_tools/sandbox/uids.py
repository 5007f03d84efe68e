"""Which user each living box of this worker is; no two of them the same.

Pure but for the chance where it begins: so several workers on one machine seldom meet.
"""

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.kind import UID_COUNT, UID_FIRST


class UidBoard:
    """Hands out the users of boxes, the longest unused one first. Given back from any thread."""

    def __init__(self, begin: int = 0) -> None:
        self._next = begin % UID_COUNT
        self._taken: set[int] = set()

    def take(self) -> int:
        """A user nobody has. Raises `Unavailable` when all `UID_COUNT` are in use."""
        for _ in range(UID_COUNT):
            uid = UID_FIRST + self._next
            self._next = (self._next + 1) % UID_COUNT
            if uid not in self._taken:
                self._taken.add(uid)
                return uid
        raise Unavailable("This worker has as many sandboxes as there are users for them.")

    def give_back(self, uid: int) -> None:
        """The box of this user is gone."""
        self._taken.discard(uid)
