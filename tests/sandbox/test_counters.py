"""The kernel's counters, read from files recorded on machines with cgroup version 1 and 2."""

from pathlib import Path

import pytest

from tests.support.init_modules import init_module

counters = init_module("counters")

OOM_V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
OOM_V2 = "low 0\nhigh 0\nmax 1204\noom 2\noom_kill 2\noom_group_kill 0\n"
PIDS_V1 = "max 17\n"
PIDS_V2 = "max 5\n"


@pytest.mark.parametrize(
    ("text", "read", "count"),
    [
        (OOM_V1, "count_oom_kills", 3),
        (OOM_V2, "count_oom_kills", 2),
        (PIDS_V1, "count_refused_forks", 17),
        (PIDS_V2, "count_refused_forks", 5),
    ],
    ids=["memory v1", "memory v2", "pids v1", "pids v2"],
)
def test_a_recorded_file_gives_its_count(tmp_path: Path, text: str, read: str, count: int) -> None:
    file = tmp_path / "recorded"
    file.write_text(text)
    assert getattr(counters, read)((str(tmp_path / "missing"), str(file))) == count


def test_without_a_file_nothing_was_counted(tmp_path: Path) -> None:
    assert counters.count_oom_kills((str(tmp_path / "missing"),)) == 0


def test_groups_killed_as_a_whole_are_not_counted_twice(tmp_path: Path) -> None:
    file = tmp_path / "memory.events"
    file.write_text("oom_kill 1\noom_group_kill 1\n")
    assert counters.count_oom_kills((str(file),)) == 1


def test_folders_are_empty_only_when_that_can_be_seen(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert counters.are_empty([str(tmp_path / "empty")])
    assert not counters.are_empty([str(tmp_path / "empty"), str(tmp_path / "full")])
    assert not counters.are_empty([str(tmp_path / "missing")])
