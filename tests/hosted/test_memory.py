"""The tool `memory` as a model uses it: what it takes, what it shows, what it creates."""

import json
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.hosted.memory import MemoryTool
from auxot_tools.hosted.memory_store import MemoryLimits, MemoryStore
from auxot_tools.share import share_dir
from auxot_tools.worker.validation import compile_schema
from tests.support.memory_calls import NOTES, done, refused, text_of, written

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path / "state" / "memory.db")


@pytest.fixture
def tool(store: MemoryStore) -> MemoryTool:
    return MemoryTool(store)


# -- the declaration -------------------------------------------------------------------------------


def declared() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((share_dir("tools") / "memory" / "tool.json").read_bytes())
    return read


def test_the_declaration_fits_the_schema_of_declarations_and_tells_the_real_limits() -> None:
    schema = json.loads((share_dir("tools") / "tool.schema.json").read_bytes())
    assert compile_schema(schema).violations(declared()) is None
    limits = MemoryLimits()
    assert (limits.files, limits.file_bytes, limits.total_bytes) == (200, 100 * 1024, 2 * 1024**2)
    assert "200 files of at most 100 KiB each, 2 MiB together" in declared()["description"]


def test_the_schema_is_flat_at_the_top_as_the_messages_api_wants_it() -> None:
    assert not {"oneOf", "allOf", "anyOf", "if"} & set(declared()["input_schema"])


@pytest.mark.parametrize(
    ("given_input", "words"),
    [
        ({}, "missing required field `command`"),
        ({"command": "veiw"}, "did you mean"),
        ({"command": "view", "path": 1}, "expected string"),
        ({"command": "view", "path": "/memories", "view_range": [1]}, "at least 2 items"),
        ({"command": "view", "path": "/memories", "view_range": ["1", "2"]}, "expected integer"),
        ({"command": "insert", "insert_line": 1.5}, "expected integer"),
        ({"command": "view", "pth": "/memories"}, "did you mean `path`"),
    ],
)
def test_what_does_not_fit_the_schema_is_told_in_words(
    given_input: dict[str, Any], words: str
) -> None:
    violations = compile_schema(declared()["input_schema"]).violations(given_input)
    assert violations is not None
    assert words in violations.listed[0].message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("view", "view needs `path`"),
        ("create", "create needs `path` and `file_text`"),
        ("str_replace", "str_replace needs `path` and `old_str` and `new_str`"),
        ("insert", "insert needs `path` and `insert_line` and `insert_text`"),
        ("delete", "delete needs `path`"),
        ("rename", "rename needs `old_path` and `new_path`"),
        ("format", "one of view, create, str_replace, insert, delete, rename"),
    ],
)
async def test_a_command_without_what_it_needs_says_what_is_missing(
    tool: MemoryTool, command: str, words: str
) -> None:
    assert words in await refused(tool, command)


# -- view ------------------------------------------------------------------------------------------


async def test_an_empty_memory_is_an_empty_directory(tool: MemoryTool) -> None:
    assert await done(tool, "view", path="/memories") == (
        "Here're the files and directories up to 2 levels deep in /memories, "
        "excluding hidden items and node_modules:\n0B\t/memories"
    )


async def test_a_directory_is_shown_two_levels_deep_in_order_with_sizes(tool: MemoryTool) -> None:
    await written(tool, "/memories/z.md", text="x" * 4096)
    await written(tool, "/memories/a/b/c/d.md", text="x" * 100)
    await written(tool, "/memories/a/a.md", "/memories/a.md", text="x" * 24)
    await written(tool, "/memories/.hidden", "/memories/node_modules/x", "/memories/a/.h/y")
    listed = (await done(tool, "view", path="/memories/")).splitlines()[1:]
    assert listed == [
        "4.2K\t/memories",
        "130B\t/memories/a/",
        "24B\t/memories/a/a.md",
        "100B\t/memories/a/b/",
        "24B\t/memories/a.md",
        "4.0K\t/memories/z.md",
    ]
    below = (await done(tool, "view", path="/memories/a/b")).splitlines()[1:]
    assert below == ["100B\t/memories/a/b", "100B\t/memories/a/b/c/", "100B\t/memories/a/b/c/d.md"]


async def test_a_file_is_shown_with_numbers_six_wide(tool: MemoryTool) -> None:
    await written(tool, NOTES, text="one\n\n  three\tx\n")
    assert await done(tool, "view", path=NOTES) == (
        "Here's the content of /memories/notes.md with line numbers:\n"
        "     1\tone\n     2\t\n     3\t  three\tx"
    )


@pytest.mark.parametrize(
    ("view_range", "numbers"),
    [
        ([2, 3], [2, 3]),
        ([2, -1], [2, 3, 4]),
        ([4, 99], [4]),
        ([0, 1], [1]),
        ([2.0, 2.0], [2]),
        (None, [1, 2, 3, 4]),
    ],
)
async def test_a_range_shows_these_lines(
    tool: MemoryTool, view_range: list[float] | None, numbers: list[int]
) -> None:
    await written(tool, NOTES, text="a\nb\nc\nd")
    shown = await done(tool, "view", path=NOTES, view_range=view_range)
    assert [int(line[:6]) for line in shown.splitlines()[1:]] == numbers


@pytest.mark.parametrize("view_range", [[3, 2], [5, -1], [5, 6], [1, 0], [1, -2]])
async def test_a_range_without_lines_is_refused_with_the_range_there_is(
    tool: MemoryTool, view_range: list[int]
) -> None:
    await written(tool, NOTES, text="a\nb\nc\nd")
    told = await refused(tool, "view", path=NOTES, view_range=view_range)
    assert told.startswith(f"Error: Invalid `view_range` parameter: {view_range}.")
    assert "[1, 4]" in told


async def test_an_empty_file_is_shown_as_empty_with_any_range(tool: MemoryTool) -> None:
    await written(tool, NOTES, text="")
    for view_range in (None, [1, -1], [1, 5]):
        shown = await done(tool, "view", path=NOTES, view_range=view_range)
        assert shown.endswith("with line numbers:\n(the file is empty)")


async def test_a_path_that_is_not_there_cannot_be_viewed(tool: MemoryTool) -> None:
    await written(tool, "/memories/ab")
    assert await refused(tool, "view", path="/memories/a") == (
        "The path /memories/a does not exist. Please provide a valid path."
    )


async def test_a_file_of_a_million_lines_is_refused(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.db", MemoryLimits(file_bytes=2**22, total_bytes=2**23))
    tool = MemoryTool(store)
    words = f"File {NOTES} exceeds maximum line limit of 999,999 lines."
    assert await refused(tool, "create", path=NOTES, file_text="\n" * 1_000_000) == words
    await done(tool, "create", path=NOTES, file_text="\n" * 999_999)
    assert await refused(tool, "insert", path=NOTES, insert_line=0, insert_text="") == words
    assert await done(tool, "view", path=NOTES, view_range=[999_999, -1]) == (
        f"Here's the content of {NOTES} with line numbers:\n999999\t"
    )
    with store.changing("ann") as files:
        files.write(NOTES, "\n" * 1_000_000)
    assert await refused(tool, "view", path=NOTES) == words


# -- create ----------------------------------------------------------------------------------------


async def test_a_file_is_created_once(tool: MemoryTool) -> None:
    assert await done(tool, "create", path=NOTES, file_text="x") == (
        f"File created successfully at: {NOTES}"
    )
    assert await refused(tool, "create", path=NOTES, file_text="y") == (
        f"Error: File {NOTES} already exists"
    )
    assert await text_of(tool, NOTES) == ["x"]


async def test_a_file_cannot_be_where_a_directory_is_nor_in_a_file(tool: MemoryTool) -> None:
    await written(tool, "/memories/a/b.md")
    for path in ("/memories", "/memories/a"):
        assert "is a directory" in await refused(tool, "create", path=path, file_text="")
    for path in ("/memories/a/b.md/c", "/memories/a/b.md/c/d"):
        told = await refused(tool, "create", path=path, file_text="")
        assert told.startswith("Error: /memories/a/b.md is a file")


async def test_any_text_comes_back_as_it_was_written(tool: MemoryTool, store: MemoryStore) -> None:
    text = "ünï\x00\r\ntab\t\u2028 \U0001f600 no end"
    await written(tool, NOTES, text=text)
    with store.reading("ann") as files:
        assert files.text(NOTES) == text
    assert await text_of(tool, NOTES) != []
    told = await refused(tool, "create", path="/memories/x", file_text="\ud800")
    assert "half a character" in told
