"""No two living boxes of a worker are the same user."""

import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.kind import UID_COUNT, UID_FIRST
from auxot_tools.sandbox.uids import UidBoard


def test_every_user_is_given_once_and_then_none() -> None:
    board = UidBoard(begin=500)
    taken = [board.take() for _ in range(UID_COUNT)]
    assert taken[0] == UID_FIRST + 500
    assert sorted(taken) == list(range(UID_FIRST, UID_FIRST + UID_COUNT))
    with pytest.raises(Unavailable):
        board.take()
    board.give_back(63123)
    assert board.take() == 63123


def test_a_user_is_not_used_again_at_once() -> None:
    board = UidBoard()
    first = board.take()
    board.give_back(first)
    assert board.take() == first + 1
