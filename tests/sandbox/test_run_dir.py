"""The worker's folder: a part for each box, nothing for others, an end for dead workers' ones."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auxot_tools.sandbox.channel import listen
from auxot_tools.sandbox.identity import UNSEEN, process_start, this_process
from auxot_tools.sandbox.profile import Identity
from auxot_tools.sandbox.run_dir import RunDir
from tests.support.fake_init import kind

ME = Identity("worker/../of mine", "machine", "boot", "pid:[4026531836]", 10, 1000)
ALIVE = {10: 1000, 20: 2000}


@pytest.fixture
def run_dir() -> Generator[RunDir, None, None]:
    """In a place with a short name: the path of a unix socket has a limit."""
    with tempfile.TemporaryDirectory() as folder:
        yield RunDir(ME, Path(folder) / "place")


def test_a_box_gets_a_socket_folder_and_its_own_view_of_the_machine(run_dir: RunDir) -> None:
    box = run_dir.make_box("auxot-1", kind())
    listener = listen(box.socket)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(box.socket))
    listener.close()
    shown = Path(box.files.socket_folder)
    assert [path.name for path in shown.iterdir()] == ["s"]
    assert Path(box.files.meminfo).read_text().startswith("MemTotal:")
    assert Path(box.files.cpuinfo).read_text().count("processor") == 1
    box.remove()
    box.remove()
    assert not box.path.exists()


def test_others_cannot_enter_and_the_user_of_the_box_can_pass(run_dir: RunDir) -> None:
    before = os.umask(0o077)
    try:
        box = run_dir.make_box("auxot-1", kind())
        listen(box.socket).close()
    finally:
        os.umask(before)
    shown = Path(box.files.socket_folder)
    modes = [path.stat().st_mode & 0o777 for path in (run_dir.path, shown, box.socket)]
    assert modes == [0o700, 0o711, 0o666]
    assert Path(box.files.meminfo).stat().st_mode & 0o777 == 0o444


def test_the_path_of_a_socket_fits_and_stays_in_its_place() -> None:
    worker = RunDir(Identity("x/../" * 40, "", "", "pid:[4026531836]", 4194304, 10**11))
    assert worker.path.parent == RunDir(ME).path.parent
    assert len(str(worker.path / "auxot-0123456789ab" / "run" / "s")) < 107


def test_the_end_removes_everything(run_dir: RunDir) -> None:
    run_dir.make_box("auxot-1", kind())
    run_dir.remove()
    assert list(run_dir.path.parent.iterdir()) == []
    run_dir.remove()


def test_a_place_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        RunDir(ME, tmp_path / "link").make_box("auxot-1", kind())


def test_only_folders_of_provably_dead_workers_are_removed(run_dir: RunDir) -> None:
    run_dir.make_box("auxot-1", kind())
    place = run_dir.path.parent
    stay = ["living-4026531836-20-2000", "stranger", "a-b-c-d"]
    go = ["gone-4026531836-30-3000", "pid_used_again-4026531836-20-1999"]
    for name in (*stay, *go):
        (place / name / "auxot-2").mkdir(parents=True)
    assert run_dir.remove_leftovers(ALIVE.get) == 2
    assert {path.name for path in place.iterdir()} == {run_dir.path.name, *stay}


def test_who_knows_nothing_of_processes_removes_nothing(tmp_path: Path) -> None:
    run_dir = RunDir(Identity("w"), tmp_path)
    (tmp_path / "gone-0-30-3000").mkdir()
    assert run_dir.remove_leftovers(ALIVE.get) == 0


def test_this_very_process_is_alive(tmp_path: Path) -> None:
    mine = RunDir(this_process("w"), tmp_path)
    mine.make_box("auxot-1", kind())
    assert RunDir(this_process("other"), tmp_path).remove_leftovers(process_start) == 0
    assert mine.path.exists()


def test_a_folder_of_another_container_stays_while_its_owner_lives_and_no_longer(
    run_dir: RunDir,
) -> None:
    place = run_dir.path.parent
    other = RunDir(Identity("other", "", "boot", "pid:[7]", 1, 5), place)
    other.make_box("auxot-1", kind())
    assert run_dir.remove_leftovers(ALIVE.get) == 0
    assert other.path.exists()
    left = place / "killed-7-1-4"
    (left / "auxot-2").mkdir(parents=True)  # what a killed owner leaves, and nobody holds a lock
    assert run_dir.remove_leftovers(ALIVE.get) == 1
    assert not left.exists()
    other.remove()


def locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_locked(folder: Path) -> bool:
    try:
        os.close(locked(folder))
    except BlockingIOError:
        return True
    return False


def test_a_worker_waits_until_the_cleaner_that_holds_its_folder_has_removed_it(
    run_dir: RunDir,
) -> None:
    run_dir.path.mkdir(parents=True)
    run_dir.path.parent.chmod(0o700)
    cleaner = locked(run_dir.path)

    def clean() -> None:
        shutil.rmtree(run_dir.path)
        os.close(cleaner)

    with ThreadPoolExecutor(1) as threads:
        making = threads.submit(run_dir.make_box, "auxot-1", kind())
        clean()
        box = making.result(timeout=10)
    assert box.path.exists()
    assert is_locked(run_dir.path)


def test_a_folder_that_somebody_keeps_locked_is_not_used(run_dir: RunDir) -> None:
    run_dir.path.mkdir(parents=True)
    cleaner = locked(run_dir.path)
    with pytest.raises(OSError, match="is being removed"):
        run_dir.make_box("auxot-1", kind())
    os.close(cleaner)


def test_a_folder_that_was_lost_is_made_and_locked_again(run_dir: RunDir) -> None:
    run_dir.make_box("auxot-1", kind())
    shutil.rmtree(run_dir.path)
    run_dir.make_box("auxot-2", kind())
    assert is_locked(run_dir.path)
    run_dir.make_box("auxot-3", kind())
    assert is_locked(run_dir.path)


LOOK = """
import fcntl, os, sys
from pathlib import Path
from auxot_tools.sandbox.profile import Identity
from auxot_tools.sandbox.run_dir import RunDir

def look(event, arguments):
    if event == "shutil.rmtree":
        descriptor = os.open(arguments[0], os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("locked")

sys.addaudithook(look)
cleaner = RunDir(Identity("w", "", "boot", "pid:[8]", 10, 1000), Path(sys.argv[1]))
print(cleaner.remove_leftovers({}.get))
"""


def test_who_removes_a_folder_holds_its_lock_meanwhile(tmp_path: Path) -> None:
    """Asked at the moment of the removal, which Python tells those that listen to audit events."""
    for name in ("unseen-7-1-4", "dead-8-1-4"):
        (tmp_path / name / "auxot-1").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == ["locked", "locked", "2"]
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_proc_hides_is_dead_when_nobody_holds_its_lock(run_dir: RunDir) -> None:
    place = run_dir.path.parent
    hidden = RunDir(Identity("hidden", "", "boot", "pid:[4026531836]", 20, 5), place)
    hidden.make_box("auxot-1", kind())

    def hides(pid: int) -> int | None:
        return UNSEEN

    assert run_dir.remove_leftovers(hides) == 0
    assert hidden.path.exists()
    hidden.remove()
    hidden.path.mkdir()
    assert run_dir.remove_leftovers(hides) == 1
