"""A box is a leftover only when its worker is provably dead, or its deadline long past."""

import os
from pathlib import Path
from typing import Any, cast

import docker
import pytest

from auxot_tools.sandbox.identity import UNSEEN, process_start, this_process
from auxot_tools.sandbox.profile import Identity, labels
from auxot_tools.sandbox.reaper import (
    LONG_PAST_S,
    ListedBox,
    is_leftover,
    list_boxes,
    owner_lives,
    remove_strangers,
)

ME = Identity("me", "machine-1", "boot-1", "pid:[1]", 10, 1000)
DEADLINE = 1_000_000.0
SOON, LATE = DEADLINE + LONG_PAST_S - 1, DEADLINE + LONG_PAST_S + 1
ALIVE = {10: 1000, 20: 2000}


REBOOTED = Identity("before the reboot", "machine-1", "boot-0", "pid:[1]", 20, 2000)


def is_reaped(
    owner: Identity, now: float, me: Identity = ME, *, has_ended: bool = False, hidden: bool = False
) -> bool:
    seen = {pid: UNSEEN if hidden else start for pid, start in ALIVE.items()}
    return is_leftover(labels(owner, DEADLINE), me, now, seen.get, has_ended=has_ended)


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
    ],
    ids=lambda dead: dead.worker_id,
)
def test_a_dead_worker_s_box_is_removed_at_once(dead: Identity) -> None:
    assert is_reaped(dead, SOON)


def test_another_boot_proves_nothing_of_a_box_that_runs_as_machines_may_be_clones() -> None:
    assert is_reaped(REBOOTED, SOON, has_ended=True)
    assert not is_reaped(REBOOTED, SOON)
    assert is_reaped(REBOOTED, LATE)


def test_a_worker_that_proc_hides_is_not_known_to_be_dead() -> None:
    hidden = Identity("of another user", "machine-1", "boot-1", "pid:[1]", 20, 2000)
    assert not is_reaped(hidden, SOON, hidden=True)
    assert not is_reaped(hidden, SOON, hidden=True, has_ended=True)
    silent = Identity("knows no start of its own", "machine-1", "boot-1", "pid:[1]", 20, 0)
    assert not is_reaped(silent, SOON)


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
    for nobody in (2**22 + 1, 2**70, 0, -1):
        assert process_start(nobody) is None


def test_a_process_that_proc_does_not_show_is_there_and_unseen(tmp_path: Path) -> None:
    assert process_start(os.getpid(), tmp_path) == UNSEEN
    assert process_start(2**22 + 1, tmp_path) is None


@pytest.mark.parametrize(
    ("owner", "lives"),
    [
        (ME, True),
        (Identity("gone", "machine-1", "boot-1", "pid:[1]", 30, 3000), False),
        (REBOOTED, False),
        (Identity("in a container", "machine-1", "boot-1", "pid:[2]", 20, 2000), None),
        (Identity("on another machine", "machine-2", "boot-2", "pid:[1]", 20, 2000), None),
    ],
    ids=lambda value: value.worker_id if isinstance(value, Identity) else "",
)
def test_whether_an_owner_lives_is_proved_or_not_known(owner: Identity, lives: bool | None) -> None:
    assert owner_lives(labels(owner, DEADLINE), ME, ALIVE.get, has_ended=True) is lives


class FakeEngine:
    """Lists containers, and takes note of those that are removed."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self.listed = list(containers)
        self.removed: list[str] = []

    def containers(self, **_options: object) -> list[dict[str, Any]]:
        return self.listed

    def remove_container(self, container: str, **_options: object) -> None:
        self.removed.append(container)


def container(name: str, owner: Identity = ME) -> dict[str, Any]:
    return {
        "Id": name,
        "Names": [f"/{name}"],
        "Labels": labels(owner, DEADLINE, "warm", "ns"),
        "State": "running",
        "Created": 7,
    }


def test_own_containers_that_no_table_knows_are_removed_and_no_others() -> None:
    twin = Identity("twin", "machine-1", "boot-1", "pid:[1]", 10, 1000)
    engine = FakeEngine(container("known"), container("stranger"), container("twin's", twin))
    client = cast("docker.APIClient", engine)
    assert remove_strangers(client, ME, {"known"}.__contains__) == 1
    assert engine.removed == ["stranger"]


def test_who_cannot_tell_itself_apart_removes_nothing_of_its_own() -> None:
    nobody = Identity("w")
    client = cast("docker.APIClient", FakeEngine(container("stranger", nobody)))
    assert remove_strangers(client, nobody, lambda _name: False) == 0


def test_boxes_are_listed_with_what_they_are() -> None:
    client = cast("docker.APIClient", FakeEngine(container("a" * 64), {"Id": "b", "Labels": None}))
    assert list_boxes(client, ME, ALIVE.get) == [
        ListedBox("a" * 12, "a" * 64, "me", "warm", "ns", "running", 7, True)
    ]
