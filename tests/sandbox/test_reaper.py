"""A box is a leftover only when its worker is provably dead, or its deadline long past."""

import os

import pytest

from auxot_tools.sandbox.identity import process_start, this_process
from auxot_tools.sandbox.profile import Identity, labels
from auxot_tools.sandbox.reaper import LONG_PAST_S, is_leftover

ME = Identity("me", "machine-1", "boot-1", "pid:[1]", 10, 1000)
DEADLINE = 1_000_000.0
SOON, LATE = DEADLINE + LONG_PAST_S - 1, DEADLINE + LONG_PAST_S + 1
ALIVE = {10: 1000, 20: 2000}


def is_reaped(owner: Identity, now: float, me: Identity = ME) -> bool:
    return is_leftover(labels(owner, DEADLINE), me, now, ALIVE.get)


def test_a_living_worker_s_box_is_never_touched_however_late() -> None:
    living = Identity("other", "machine-1", "boot-1", "pid:[1]", 20, 2000)
    assert not is_reaped(living, SOON)
    assert not is_reaped(living, LATE)
    assert not is_reaped(ME, LATE)


@pytest.mark.parametrize(
    "dead",
    [
        Identity("gone", "machine-1", "boot-1", "pid:[1]", 30, 3000),
        Identity("pid used again", "machine-1", "boot-1", "pid:[1]", 20, 1999),
        Identity("before the reboot", "machine-1", "boot-0", "pid:[1]", 20, 2000),
    ],
    ids=lambda dead: dead.worker_id,
)
def test_a_dead_worker_s_box_is_removed_at_once(dead: Identity) -> None:
    assert is_reaped(dead, SOON)


@pytest.mark.parametrize(
    "unknown",
    [
        Identity("other machine", "machine-2", "boot-2", "pid:[1]", 30, 3000),
        Identity("other container", "machine-1", "boot-1", "pid:[2]", 30, 3000),
        Identity("says nothing"),
    ],
    ids=lambda unknown: unknown.worker_id,
)
def test_where_nothing_can_be_proved_the_deadline_decides(unknown: Identity) -> None:
    assert not is_reaped(unknown, SOON)
    assert is_reaped(unknown, LATE)


def test_a_worker_that_knows_nothing_of_itself_proves_nothing() -> None:
    blind = Identity("blind")
    assert not is_reaped(ME, SOON, blind)
    assert not is_reaped(blind, SOON, blind)


@pytest.mark.parametrize(
    "foreign", [{}, {"io.auxot.tools": "1"}, {"io.auxot.tools": "2", "io.auxot.tools.pid": "5"}]
)
def test_what_is_not_a_box_of_ours_is_never_touched(foreign: dict[str, str]) -> None:
    assert not is_leftover(foreign, ME, LATE, ALIVE.get)


def test_a_process_knows_itself_and_a_pid_that_is_not_there_has_no_start() -> None:
    me = this_process("w")
    assert me.pid == os.getpid()
    assert me.pid_start == process_start(os.getpid())
    assert me.boot
    assert me.pid_namespace.startswith("pid:[")
    assert process_start(2**22 + 1) is None
