"""The editor's program on real files: each edge of a text file, and words for all that fails."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from auxot_tools.share import share_dir
from tests.support.conversation import Conversation, our_tools

pytestmark = pytest.mark.anyio

PROGRAM = share_dir("tools") / "str_replace_based_edit_tool" / "main.py"
LIMIT_S = 20


def edit(command: str, path: Path, **given: object) -> str:
    """What the program says. It runs here, as the paths are absolute and it needs no box."""
    text = json.dumps({"command": command, "path": str(path), **given}).encode()
    ran = subprocess.run(
        [sys.executable, str(PROGRAM)], input=text, capture_output=True, timeout=LIMIT_S, check=True
    )
    assert ran.stderr == b""
    return ran.stdout.decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of three lines."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nthree\n")
    return path


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb", "x\ny", b"x\r\ny\r\nc\r\n"),
        (b"a\r\nb", "b", "c\nd", b"a\r\nc\nd"),
        (b"a\nb\r\nc", "b\r\n", "", b"a\nc"),
        (b"a\nb", "b", "c", b"a\nc"),
        (b"\xef\xbb\xbfa\n", "a", "b", b"\xef\xbb\xbfb\n"),
        ("grüße 🙂\n".encode(), "ü", "ue", "grueße 🙂\n".encode()),
        (b"aaa", "aaa", "", b""),
        (b"\\1 $x\n", "$x", "\\2", b"\\1 \\2\n"),
    ],
)
def test_an_edit_changes_nothing_but_its_place(
    file: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    file.write_bytes(before)
    file.chmod(0o750)
    assert edit("str_replace", file, old_str=old, new_str=new).startswith("Edited: ")
    assert file.read_bytes() == after
    assert file.stat().st_mode & 0o777 == 0o750
    assert [one.name for one in file.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("before", "at", "text", "after"),
    [
        (b"a\nb\n", 0, "x", b"x\na\nb\n"),
        (b"a\nb\n", 1, "x\ny\n", b"a\nx\ny\nb\n"),
        (b"a\nb\n", 2, "x", b"a\nb\nx\n"),
        (b"a\nb", 2, "x", b"a\nb\nx"),
        (b"a\nb", 1, "x", b"a\nx\nb"),
        (b"a\r\nb\r\n", 1, "x\ny", b"a\r\nx\r\ny\r\nb\r\n"),
        (b"", 0, "x", b"x\n"),
        (b"a\n", 1, "", b"a\n\n"),
        (b"a\x0cb\n", 1, "x", b"a\x0cb\nx\n"),
    ],
)
def test_inserted_lines_are_lines_of_their_own(
    file: Path, before: bytes, at: int, text: str, after: bytes
) -> None:
    for name in ("insert_text", "new_str"):
        file.write_bytes(before)
        assert edit("insert", file, insert_line=at, **{name: text}).startswith("Edited: ")
        assert file.read_bytes() == after


def test_an_edit_without_new_str_deletes(file: Path) -> None:
    told = edit("str_replace", file, old_str="two\n")
    assert told == f"Edited: {file}. Lines 1 to 2 are now:\n     1\tone\n     2\tthree"


def test_a_long_file_is_cut_in_the_middle_and_says_how_to_see_the_rest(file: Path) -> None:
    file.write_text("".join(f"line {n} {'x' * 50}\n" for n in range(1, 5001)))
    told = edit("view", file)
    assert len(told) < 41_000
    lines = told.splitlines()
    assert lines[0] == f"{file}, 5000 lines:"
    assert lines[1].startswith("     1\tline 1 ")
    assert lines[-1].startswith("  5000\tline 5000 ")
    (note,) = [line for line in lines if line.startswith("[")]
    first, last = int(note.split()[1]), int(note.split()[3])
    assert note == f"[lines {first} to {last} left out: view them with view_range]"
    shown = {int(line.split("\t")[0]) for line in lines[1:] if "\t" in line}
    assert shown == set(range(1, first)) | set(range(last + 1, 5001))
    part = edit("view", file, view_range=[first, first + 1])
    assert part.startswith(f"{file}, 5000 lines, of which {first} to {first + 1}:")


def test_a_long_line_is_cut_with_the_number_of_what_is_left_out(file: Path) -> None:
    file.write_text("x" * 3_000)
    assert edit("view", file).endswith("x[1000 more characters of this line]")


def test_a_folder_without_hidden_entries_two_levels_deep_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "b" / "c" / "d").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "a").write_text("")
    (tmp_path / "b" / "link").symlink_to("/")
    told = edit("view", tmp_path).splitlines()
    names = ("a", "b/", "b/c/", "b/link")
    assert told[1:] == [f"{tmp_path}/{name}" for name in names]
    for number in range(400):
        (tmp_path / f"n{number}").write_text("")
    assert edit("view", tmp_path).splitlines()[-1] == "[104 more left out: view a folder below it]"
    assert edit("view", tmp_path / ".git").endswith(
        "is an empty folder (hidden entries are not listed)."
    )


def test_a_created_file_has_its_folders_and_exactly_its_text(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "b.txt"
    assert edit("create", path, file_text="a\r\nb") == f"Created: {path}, 2 lines."
    assert path.read_bytes() == b"a\r\nb"
    assert edit("create", path, file_text="") == f"Overwritten: {path}, 0 lines."
    assert edit("view", path) == f"{path} is an empty file."


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a.txt")
    edit("str_replace", link, old_str="one", new_str="1")
    assert link.is_symlink()
    assert file.read_text() == "1\ntwo\nthree\n"


FAILS: dict[str, tuple[str, dict[str, object], str]] = {
    "not_there": ("str_replace", {"old_str": "four"}, "old_str does not occur in"),
    "empty_old": ("str_replace", {"old_str": ""}, "old_str is empty"),
    "no_old": ("str_replace", {}, "str_replace needs old_str"),
    "the_same": ("str_replace", {"old_str": "one", "new_str": "one"}, "are the same"),
    "twice": ("str_replace", {"old_str": "o"}, "occurs 2 times"),
    "no_text": ("create", {}, "create needs file_text"),
    "no_line": ("insert", {"insert_text": "x"}, "insert needs insert_line"),
    "no_insert_text": ("insert", {"insert_line": 1}, "insert needs insert_text"),
    "beyond": ("insert", {"insert_line": 4, "insert_text": "x"}, "has 3 lines: give 0"),
    "range_beyond": ("view", {"view_range": [4, 5]}, "has lines 1 to 3"),
    "range_zero": ("view", {"view_range": [0, 2]}, "has lines 1 to 3"),
    "range_turned": ("view", {"view_range": [3, 2]}, "ends at 2, before it begins"),
    "surrogate": ("create", {"file_text": "\ud800"}, "half of a surrogate pair"),
    "undo": ("undo_edit", {}, "there is no undo_edit. Use str_replace to put"),
    "unknown": ("delete", {}, "there is no such command"),
}


@pytest.mark.parametrize("case", FAILS)
def test_a_command_that_cannot_be_done_says_why_and_changes_nothing(file: Path, case: str) -> None:
    command, given, said = FAILS[case]
    told = edit(command, file, **given)
    assert told.startswith("Error: ")
    assert told.endswith(".")
    assert said in told
    assert file.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a\0b", "is a binary file, not text"),
        (b"\xff\xfea\0", "is a binary file, not text"),
        (b"a\ncaf\xe9\n", "is not UTF-8 text: line 2 has the byte 0xe9"),
        (b"x" * (16 * 2**20 + 1), "has more than 16 MiB"),
    ],
)
def test_what_is_no_text_is_neither_shown_nor_edited(file: Path, data: bytes, said: str) -> None:
    file.write_bytes(data)
    assert said in edit("view", file)
    assert said in edit("str_replace", file, old_str="a", new_str="b")
    assert file.read_bytes() == data


def test_places_that_cannot_be_used_are_said(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    said = {
        tmp_path / "a.tx": ("view", "does not exist. The folder has a.txt."),
        tmp_path / "no" / "b": ("view", f"does not exist: there is no folder {tmp_path / 'no'}."),
        file / "b": ("view", "a part of"),
        tmp_path / "pipe": ("view", "is not a plain file."),
        tmp_path / "loop": ("view", "is a link that leads in a circle."),
        tmp_path / ("n" * 300): ("view", "the path is too long."),
        tmp_path: ("create", "is a folder. Give the path of a file."),
    }
    for path, (command, words) in said.items():
        told = edit(command, path, file_text="x")
        assert told.startswith("Error: "), told
        assert words in told
    assert "is a folder. Give the path of a file, or use view" in edit(
        "str_replace", tmp_path, old_str="a"
    )


@pytest.fixture
async def talk(anyio_backend: str) -> AsyncGenerator[Conversation, None]:
    """A conversation in real boxes."""
    async with our_tools() as executor:
        yield Conversation(executor)


@pytest.mark.engine
async def test_in_the_box_only_work_and_tmp_can_be_written_and_a_full_disk_spares_the_file(
    talk: Conversation,
) -> None:
    async def say(command: str, path: str, **given: object) -> str:
        return await talk.say("str_replace_based_edit_tool", command=command, path=path, **given)

    assert await say("create", "src/a.txt", file_text="x") == "Created: /work/src/a.txt, 1 line."
    assert await talk.say("bash", command="cat src/a.txt; rm -r src") == "x"
    for path in ("/etc/a", "/nowhere/a", "../a", "/proc/self/a", "/work/../usr/a"):
        told = await say("create", path, file_text="x")
        assert told.startswith("Error: "), told
    assert "only /work and /tmp can" in (await say("create", "/etc/a", file_text="x")).lower()
    assert (await say("view", "/etc/os-release")).startswith("/etc/os-release, ")
    await say("create", "kept.txt", file_text="kept")
    await talk.call("bash", command="cat /dev/zero > fill 2>/dev/null")
    told = await say("create", "kept.txt", file_text="y" * 100_000)
    assert told.startswith("Error: the disk is full, and nothing was changed.")
    assert await talk.say("bash", command="cat kept.txt; rm fill; ls -A") == "keptkept.txt"
