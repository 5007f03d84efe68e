"""`auxot-tools memory` as a person types it: see what models keep, and delete it."""

import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from auxot_tools.hosted.memory_store import MemoryStore
from tests.cli.test_main import auxot
from tests.support.typed_commands import TypedCommands

MEMORY = TypedCommands("memory", {"AUXOT_WORKER__STATE_DIR": "kept", "AUXOT_CONFIG": None})
memory, done, refused = MEMORY.run, MEMORY.done, MEMORY.refused


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """Every command here runs in a folder of its own."""
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def store(folder: Path) -> MemoryStore:
    """What three keys keep."""
    made = MemoryStore(folder / "kept" / "memory.db")
    for tenant, path, text in (
        ("ann", "/memories/notes.md", "one\ntwo\n"),
        ("ann", "/memories/old/a.md", "x" * 4096),
        ("ann", "/memories/old/b.md", "no end"),
        ("bob", "/memories/notes.md", "of bob"),
        ("", "/memories/notes.md", "of nobody"),
    ):
        with made.changing(tenant) as files:
            files.write(path, text)
    return made


def paths(store: MemoryStore, key: str) -> list[str]:
    with store.reading(key) as files:
        return [file.path for file in files.listed()]


def test_the_keys_are_listed_with_what_they_keep(store: MemoryStore) -> None:
    assert done("keys") == (
        '""                   1 file, 9B\n'
        "ann                  3 files, 4.0K\n"
        "bob                  1 file, 6B\n"
    )


def test_the_files_of_a_key_are_listed_with_size_and_time(store: MemoryStore) -> None:
    lines = done("list", "ann").splitlines()
    assert [line.split()[0] for line in lines] == ["8B", "4.0K", "6B"]
    assert [line.split()[-1] for line in lines] == paths(store, "ann")
    assert all(re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d /memories/", line) for line in lines)
    assert done("list", "").splitlines()[0].endswith("/memories/notes.md")


def test_a_file_is_shown_as_it_is(store: MemoryStore) -> None:
    assert done("show", "ann", "/memories/notes.md") == "one\ntwo\n"
    assert done("show", "ann", "/memories/old/b.md") == "no end\n"
    assert done("show", "", "/memories/notes.md") == "of nobody\n"


def test_a_file_or_a_directory_or_everything_of_one_key_is_deleted(store: MemoryStore) -> None:
    assert done("delete", "ann", "/memories/notes.md") == "Deleted /memories/notes.md\n"
    assert done("delete", "ann", "/memories/old/").count("\n") == 2
    assert paths(store, "ann") == []
    assert done("delete", "", "--all") == "Deleted /memories/notes.md\n"
    assert paths(store, "bob") == ["/memories/notes.md"]
    assert done("keys") == "bob                  1 file, 6B\n"
    done("delete", "bob", "--all")
    result = memory("keys")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No key keeps anything" in result.stderr


def test_what_was_deleted_is_in_no_file_any_more(store: MemoryStore, folder: Path) -> None:
    done("delete", "bob", "--all")
    assert not any(b"of bob" in one.read_bytes() for one in (folder / "kept").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "zoe"], 'the key zoe keeps nothing; those that do: "", ann, bob'),
        (["list", "\udcff"], "keeps nothing"),
        (["list"], "KEY"),
        (["show", "zoe", "/memories/notes.md"], "the key zoe keeps nothing"),
        (["show", "ann", "/memories/none"], "the key ann keeps nothing under /memories/none"),
        (["show", "ann", "/memories/old"], "keeps nothing under /memories/old"),
        (["show", "ann", "/memories/\udcff"], "keeps nothing under"),
        (["delete", "ann"], "either PATH or --all"),
        (["delete", "ann", "/memories/notes.md", "--all"], "either PATH or --all"),
        (["delete", "ann", "/memories/no"], "keeps nothing under /memories/no"),
        (["delete", "ann", "/etc"], "keeps nothing under /etc"),
        (["delete", "ann", ""], "keeps nothing under"),
        (["delete", "zoe", "--all"], "the key zoe keeps nothing"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    store: MemoryStore, arguments: list[str], words: str
) -> None:
    before = store.spaces()
    assert words in refused(*arguments)
    assert store.spaces() == before


def test_without_a_memory_nothing_is_made(folder: Path) -> None:
    for arguments in (["keys"], ["list", "ann"], ["delete", "ann", "--all"]):
        assert "kept/memory.db (worker.state_dir) does not exist" in refused(*arguments)
    assert list(folder.iterdir()) == []


def test_names_of_keys_cannot_write_to_the_terminal(store: MemoryStore) -> None:
    with store.changing("\x1b[2J\n") as files:
        files.write("/memories/a", "x")
    assert "\ufffd[2J\ufffd" in done("keys")


def test_mistakes_end_the_process_with_one_line_and_no_traceback(
    store: MemoryStore, folder: Path
) -> None:
    place = {"AUXOT_WORKER__STATE_DIR": "kept"}
    ended = auxot("memory", "list", "zoe", cwd=folder, **place)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    (folder / "kept" / "memory.db").write_bytes(b"garbage" * 1000)
    ended = auxot("memory", "keys", cwd=folder, **place)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("auxot-tools: worker.state_dir: ")
    assert auxot("memory", "--help", cwd=folder).returncode == 0
