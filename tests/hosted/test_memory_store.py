"""Where `memory` keeps things: bounds, files on the disk, damage, several at once."""

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.hosted.memory_store import KeySpace, MemoryLimits, MemoryStore
from auxot_tools.hosted.memory_text import MemoryRefusal

SMALL = MemoryLimits(files=3, file_bytes=100, total_bytes=200, keys=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "memory.db"


def write(store: MemoryStore, path: str, size: int, tenant: str = "ann") -> None:
    with store.changing(tenant) as files:
        files.write(path, "x" * size)


def sizes(store: MemoryStore, tenant: str = "ann") -> dict[str, int]:
    with store.reading(tenant) as files:
        return files.sizes()


# -- bounds ----------------------------------------------------------------------------------------


def test_a_file_has_a_largest_size_in_bytes(path: Path) -> None:
    store = MemoryStore(path, SMALL)
    write(store, "/memories/a", 100)
    with pytest.raises(MemoryRefusal, match="101B, and a file holds at most 100B"):
        write(store, "/memories/b", 101)
    with pytest.raises(MemoryRefusal, match="at most 100B"), store.changing("ann") as files:
        files.write("/memories/b", "ü" * 51)
    assert sizes(store) == {"/memories/a": 100}


def test_a_memory_that_is_full_names_the_largest_files(path: Path) -> None:
    store = MemoryStore(path, SMALL)
    write(store, "/memories/a", 90)
    write(store, "/memories/b", 100)
    with pytest.raises(MemoryRefusal) as caught:
        write(store, "/memories/c", 11)
    told = str(caught.value)
    assert "holds 190B of at most 200B, and 1B must go first" in told
    assert told.endswith("Largest files:\n100B\t/memories/b\n90B\t/memories/a")
    write(store, "/memories/c", 10)
    with pytest.raises(MemoryRefusal, match="full"):
        write(store, "/memories/a", 91)
    write(store, "/memories/b", 99)
    write(store, "/memories/a", 91)


def test_a_memory_with_too_many_files_names_those_longest_unchanged(path: Path) -> None:
    store = MemoryStore(path, SMALL)
    for name in ("b", "a", "c"):
        write(store, f"/memories/{name}", 1)
    write(store, "/memories/b", 2)
    with pytest.raises(MemoryRefusal) as caught:
        write(store, "/memories/d", 1)
    told = str(caught.value)
    assert "3 files of at most 3" in told
    assert told.endswith("1B\t/memories/a\n1B\t/memories/c\n2B\t/memories/b")
    write(store, "/memories/c", 50)  # a file that is there may still be changed


def test_one_key_that_is_full_leaves_room_for_another(path: Path) -> None:
    store = MemoryStore(path, SMALL)
    write(store, "/memories/a", 100)
    write(store, "/memories/b", 100)
    write(store, "/memories/a", 100, "bob")
    assert sizes(store, "bob") == {"/memories/a": 100}


def test_keys_are_bounded_and_those_that_are_there_go_on(path: Path) -> None:
    store = MemoryStore(path, SMALL)
    for tenant in ("ann", "bob"):
        write(store, "/memories/a", 1, tenant)
    with pytest.raises(Unavailable, match="full"):
        write(store, "/memories/a", 1, "zoe")
    write(store, "/memories/b", 1, "bob")
    with store.changing("ann") as files:
        files.delete(["/memories/a"])
    write(store, "/memories/a", 1, "zoe")


def test_limits_that_were_lowered_let_files_shrink_but_not_grow(path: Path) -> None:
    write(MemoryStore(path), "/memories/a", 1000)
    store = MemoryStore(path, SMALL)
    write(store, "/memories/a", 900)
    with pytest.raises(MemoryRefusal):
        write(store, "/memories/a", 901)
    assert sizes(store) == {"/memories/a": 900}


def test_the_database_is_bounded_as_a_whole_and_deleting_makes_room(path: Path) -> None:
    store = MemoryStore(path, MemoryLimits(database_bytes=64 * 1024))

    def fill() -> None:
        for number in range(100):
            write(store, f"/memories/{number}", 4000)

    with pytest.raises(Unavailable, match="full"):
        fill()
    kept = sizes(store)
    assert 5 < len(kept) < 20
    assert path.stat().st_size <= 64 * 1024
    with store.changing("ann") as files:
        files.delete(kept)
    write(store, "/memories/new", 4000)


# -- transactions ----------------------------------------------------------------------------------


def test_a_block_that_raises_changes_nothing(path: Path) -> None:
    store = MemoryStore(path)
    write(store, "/memories/a", 1)

    def change() -> None:
        with store.changing("ann") as files:
            files.write("/memories/b", "x")
            files.delete(["/memories/a"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert sizes(store) == {"/memories/a": 1}


def test_spaces_are_listed_by_name_with_what_they_hold(path: Path) -> None:
    store = MemoryStore(path)
    assert store.spaces() == ()
    for tenant, name, size in (("bob", "a", 1), ("", "a", 3), ("bob", "b", 1)):
        write(store, f"/memories/{name}", size, tenant)
    assert store.spaces() == (KeySpace("", 1, 3), KeySpace("bob", 2, 2))


def test_threads_and_stores_of_one_file_do_not_lose_writes(path: Path) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(8, timeout=30)

    def work(number: int) -> None:
        try:
            start.wait()
            store = MemoryStore(path)  # all of them make it at once
            for turn in range(5):
                with store.changing("ann", wait_s=30) as files:
                    files.write("/memories/log", (files.text("/memories/log") or "") + "x")
                write(store, f"/memories/{number}-{turn}", 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    store = MemoryStore(path)
    assert sizes(store)["/memories/log"] == 40
    assert len(sizes(store)) == 41


def test_processes_that_write_at_once_do_not_lose_writes(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from auxot_tools.hosted.memory_store import MemoryStore\n"
        "store = MemoryStore(Path(sys.argv[1]))\n"
        "for _ in range(20):\n"
        "    with store.changing('ann', wait_s=30) as files:\n"
        "        files.write('/memories/a', (files.text('/memories/a') or '') + 'x')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert sizes(MemoryStore(path)) == {"/memories/a": 60}


def test_an_error_of_the_block_itself_is_not_taken_for_the_memorys(path: Path) -> None:
    store = MemoryStore(path)
    with pytest.raises(BrokenPipeError), store.reading("ann"):
        raise BrokenPipeError


# -- on the disk -----------------------------------------------------------------------------------


def test_only_the_owner_may_read_it(path: Path) -> None:
    store = MemoryStore(path)
    with store.changing("ann") as files:
        files.write("/memories/a", "x")
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == dict.fromkeys(("memory.db", "memory.db-wal", "memory.db-shm"), 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_deleted_is_not_left_in_any_file(path: Path) -> None:
    store = MemoryStore(path)
    anchor = sqlite3.connect(path, isolation_level=None)  # as a worker that goes on
    with closing(anchor):
        with store.changing("ann") as files:
            files.write("/memories/a", "very-private " * 500)
        assert any(b"very-private" in one.read_bytes() for one in path.parent.iterdir())
        with store.changing("ann") as files:
            files.delete(["/memories/a"])
        store.clean()
        assert not any(b"very-private" in one.read_bytes() for one in path.parent.iterdir())


def test_a_database_that_was_removed_is_made_anew(path: Path) -> None:
    store = MemoryStore(path)
    write(store, "/memories/a", 1)
    path.unlink()
    assert sizes(store) == {}
    write(store, "/memories/b", 1)
    assert sizes(store) == {"/memories/b": 1}
    assert [one.name for one in path.parent.iterdir()] == ["memory.db"]


# -- damage ----------------------------------------------------------------------------------------


def unusable(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        MemoryStore(path)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"worker.state_dir: {path} ")
    return mistake


def test_a_state_folder_that_cannot_be_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    assert "plain is not a folder" in unusable(tmp_path / "plain" / "memory.db")
    assert "cannot be used" in unusable(Path("/proc/none/memory.db"))
    (tmp_path / "memory.db").mkdir()
    assert "cannot be opened" in unusable(tmp_path / "memory.db")


@pytest.mark.parametrize(
    "content", [b"garbage" * 1000, b"", b"SQLite format 3\x00" + b"\xff" * 4080]
)
def test_a_file_that_is_no_memory_is_left_alone_and_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(content)
    assert " is " in unusable(path)
    assert path.read_bytes() == content


def test_a_database_of_something_else_or_of_a_later_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE files (x)")
    assert "not a memory of this version" in unusable(path)
    later = tmp_path / "later.db"
    MemoryStore(later)
    with closing(sqlite3.connect(later)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert "not a memory of this version" in unusable(later)


def test_a_database_in_use_at_the_start_is_no_mistake(path: Path) -> None:
    MemoryStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        store = MemoryStore(path)
        with pytest.raises(Unavailable, match="in use"), store.changing("ann", wait_s=0.05):
            pass


def test_a_folder_that_can_no_longer_be_made_makes_it_unavailable(path: Path) -> None:
    store = MemoryStore(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("")
    with pytest.raises(Unavailable, match="cannot be used now"):
        sizes(store)


def test_a_table_that_is_gone_makes_it_unavailable_and_the_log_says_why(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE files")
    with pytest.raises(Unavailable, match="cannot be used now"):
        sizes(store)
    assert f"the memory {path} does not hold what a memory holds" in caplog.text
