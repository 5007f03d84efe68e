"""The tool `memory` as a model uses it: replace, insert, delete, rename."""

from pathlib import Path

import pytest

from auxot_tools.hosted.memory import MemoryTool
from auxot_tools.hosted.memory_store import MemoryStore
from tests.support.memory_calls import NOTES, done, refused, text_of, written

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path / "state" / "memory.db")


@pytest.fixture
def tool(store: MemoryStore) -> MemoryTool:
    return MemoryTool(store)


# -- str_replace -----------------------------------------------------------------------------------


async def test_a_text_that_occurs_once_is_replaced_and_shown_with_its_lines(
    tool: MemoryTool,
) -> None:
    await written(tool, NOTES, text="".join(f"line {n}\n" for n in range(1, 10)))
    told = await done(tool, "str_replace", path=NOTES, old_str="line 5", new_str="five\nand")
    assert told == (
        "The memory file has been edited.\n"
        "     3\tline 3\n     4\tline 4\n     5\tfive\n     6\tand\n     7\tline 6\n     8\tline 7"
    )
    told = await done(tool, "str_replace", path=NOTES, old_str="line 1\n", new_str="")
    assert told.splitlines()[1] == "     1\tline 2"


async def test_a_file_may_be_emptied_by_a_replacement(tool: MemoryTool) -> None:
    await written(tool, NOTES, text="all")
    told = await done(tool, "str_replace", path=NOTES, old_str="all", new_str="")
    assert told == "The memory file has been edited."
    assert await text_of(tool, NOTES) == [""]


async def test_a_text_that_is_not_there_is_told(tool: MemoryTool) -> None:
    await written(tool, NOTES)
    assert await refused(tool, "str_replace", path=NOTES, old_str="A", new_str="") == (
        f"No replacement was performed, old_str `A` did not appear verbatim in {NOTES}."
    )
    told = await refused(tool, "str_replace", path=NOTES, old_str="A" * 100_000, new_str="")
    assert len(told) < 1200


@pytest.mark.parametrize(
    ("text", "old", "lines"),
    [
        ("x\ny\nx\n", "x", "1, 3"),
        ("x x\nx", "x", "1, 2"),
        ("aaa", "aa", "1"),
        ("a\nb\na\nb\n", "a\nb", "1, 3"),
        ("x\n" * 30, "x", ", ".join(map(str, range(1, 21))) + " and more"),
    ],
)
async def test_a_text_that_occurs_more_than_once_is_told_with_its_lines(
    tool: MemoryTool, text: str, old: str, lines: str
) -> None:
    await written(tool, NOTES, text=text)
    assert await refused(tool, "str_replace", path=NOTES, old_str=old, new_str="") == (
        f"No replacement was performed. Multiple occurrences of old_str `{old}` in lines: {lines}. "
        "Please ensure it is unique"
    )


async def test_an_empty_text_cannot_be_replaced(tool: MemoryTool) -> None:
    await written(tool, NOTES)
    assert "old_str is empty" in await refused(
        tool, "str_replace", path=NOTES, old_str="", new_str="x"
    )


async def test_a_directory_and_a_missing_file_cannot_be_edited(tool: MemoryTool) -> None:
    await written(tool, "/memories/a/b.md")
    for path in ("/memories", "/memories/a", "/memories/none"):
        assert await refused(tool, "str_replace", path=path, old_str="a", new_str="b") == (
            f"Error: The path {path} does not exist. Please provide a valid path."
        )
        assert await refused(tool, "insert", path=path, insert_line=0, insert_text="b") == (
            f"Error: The path {path} does not exist"
        )


# -- insert ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "line", "new", "after"),
    [
        ("a\nb\n", 0, "x", "x\na\nb\n"),
        ("a\nb\n", 1, "x\n", "a\nx\nb\n"),
        ("a\nb\n", 2, "x\ny", "a\nb\nx\ny\n"),
        ("a\nb", 2, "x", "a\nb\nx\n"),
        ("a\nb", 1, "x", "a\nx\nb"),
        ("a\n", 1.0, "\n\n", "a\n\n\n"),
        ("a\nb", 1, "", "a\n\nb"),
        ("", 0, "x", "x\n"),
    ],
)
async def test_lines_are_inserted_after_the_line_that_is_named(
    tool: MemoryTool, store: MemoryStore, before: str, line: float, new: str, after: str
) -> None:
    await written(tool, NOTES, text=before)
    told = await done(tool, "insert", path=NOTES, insert_line=line, insert_text=new)
    assert told == f"The file {NOTES} has been edited."
    with store.reading("ann") as files:
        assert files.text(NOTES) == after


@pytest.mark.parametrize("line", [-1, 4, 10**30])
async def test_a_line_that_is_not_there_is_told_with_the_range(tool: MemoryTool, line: int) -> None:
    await written(tool, NOTES)
    assert await refused(tool, "insert", path=NOTES, insert_line=line, insert_text="x") == (
        f"Error: Invalid `insert_line` parameter: {line}. It should be within the range of lines "
        "of the file: [0, 3]"
    )


# -- delete and rename -----------------------------------------------------------------------------


async def test_a_file_is_deleted_and_its_empty_directory_vanishes(tool: MemoryTool) -> None:
    await written(tool, "/memories/a/b.md")
    assert await done(tool, "delete", path="/memories/a/b.md") == (
        "Successfully deleted /memories/a/b.md"
    )
    for path in ("/memories/a/b.md", "/memories/a"):
        assert await refused(tool, "delete", path=path) == f"Error: The path {path} does not exist"
    await written(tool, "/memories/a")


async def test_a_directory_is_deleted_with_all_in_it_and_nothing_beside(tool: MemoryTool) -> None:
    await written(tool, "/memories/a/b/c", "/memories/a/d", "/memories/ab", "/memories/a%")
    assert await done(tool, "delete", path="/memories/a/") == "Successfully deleted /memories/a"
    listed = await done(tool, "view", path="/memories")
    assert [line.split("\t")[1] for line in listed.splitlines()[2:]] == [
        "/memories/a%",
        "/memories/ab",
    ]


async def test_the_memory_itself_cannot_be_deleted_or_renamed(tool: MemoryTool) -> None:
    await written(tool, NOTES)
    assert "cannot be deleted" in await refused(tool, "delete", path="/memories")
    told = await refused(tool, "rename", old_path="/memories/", new_path="/memories/x")
    assert "cannot be renamed" in told
    assert await text_of(tool, NOTES)


async def test_a_file_and_a_directory_are_renamed(tool: MemoryTool) -> None:
    await written(tool, "/memories/a/b/c", "/memories/a/d", "/memories/ab", text="x")
    assert await done(tool, "rename", old_path="/memories/a", new_path="/memories/n/m") == (
        "Successfully renamed /memories/a to /memories/n/m"
    )
    await done(tool, "rename", old_path="/memories/ab", new_path="/memories/a/ab")
    for path in ("/memories/n/m/b/c", "/memories/n/m/d", "/memories/a/ab"):
        assert await text_of(tool, path) == ["x"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("/memories/none", "/memories/x", "Error: The path /memories/none does not exist"),
        ("/memories/f", "/memories/g", "Error: The destination /memories/g already exists"),
        ("/memories/f", "/memories/a", "Error: The destination /memories/a already exists"),
        ("/memories/f", "/memories/f", "Error: The destination /memories/f already exists"),
        ("/memories/f", "/memories", "Error: The destination /memories already exists"),
        ("/memories/a", "/memories/a/x", "cannot be moved into itself"),
        ("/memories/f", "/memories/f/x", "cannot be moved into itself"),
        ("/memories/f", "/memories/g/x", "Error: /memories/g is a file"),
        ("/memories/a", "/memories/1/2/3/4/5/6/7/8", "more than 8 names"),
        ("/memories/f", "/tmp/f", "must be /memories or begin with"),
    ],
)
async def test_a_rename_that_cannot_be_changes_nothing(
    tool: MemoryTool, old: str, new: str, words: str
) -> None:
    await written(tool, "/memories/a/b", "/memories/f", "/memories/g")
    before = await done(tool, "view", path="/memories")
    assert words in await refused(tool, "rename", old_path=old, new_path=new)
    assert await done(tool, "view", path="/memories") == before
