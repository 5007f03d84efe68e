"""Paths of `memory`: what is taken, and every form that is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.hosted.memory_paths import MAX_DEPTH, folders_above, memory_path
from auxot_tools.hosted.memory_text import MemoryRefusal


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/memories", "/memories"),
        ("/memories/", "/memories"),
        ("/memories/a.md", "/memories/a.md"),
        ("/memories/a/b//", "/memories/a/b"),
        ("/memories/über die Woche.md", "/memories/über die Woche.md"),
        ("/memories/..a/b..", "/memories/..a/b.."),
        ("/memories/.hidden", "/memories/.hidden"),
        ("/memories/100%", "/memories/100%"),
        ("/memories" + "/x" * MAX_DEPTH, "/memories" + "/x" * MAX_DEPTH),
    ],
)
def test_a_plain_path_under_the_root_is_taken(written: str, path: str) -> None:
    assert memory_path(written) == path


@pytest.mark.parametrize(
    "written",
    [
        *("", "/", "a", "memories/a", "./memories", "/Memories/a", "/memoriesx", "/memories.md"),
        *("/etc/passwd", "//memories/a", " /memories/a", "file:///memories/a", "~/memories"),
        *(
            "/memories/..",
            "/memories/../etc",
            "/memories/a/../../b",
            "/memories/.",
            "/memories/./a",
        ),
        *("/memories//a", "/memories/ /a", "/memories/ .. /a", "/memories/a/ "),
        *("/memories/%2e%2e/a", "/memories/%2E%2E%2Fa", "/memories/a%2fb", "/memories/%252e"),
        *("/memories/a%00", "/memories/%5c", "/memories/..\\a", "/memories\\..\\a", "C:\\memories"),
        *("/memories/a\x00", "/memories/a\nb", "/memories/\x1b[2J", "/memories/\u202eab"),
        *("/memories/\u200b", "/memories/\ud800", "/memories/\u2028", "/memories/\x85"),
        "/memories/" + "x" * 600,
        "/memories" + "/x" * (MAX_DEPTH + 1),
    ],
)
def test_any_other_path_is_refused_in_words_that_can_be_shown(written: str) -> None:
    with pytest.raises(MemoryRefusal) as caught:
        memory_path(written)
    told = str(caught.value)
    assert told.startswith("Error: The path ")
    assert "A path is like /memories/notes.md" in told
    assert told.isprintable()
    assert len(told) < 400


@given(st.text(max_size=80) | st.text("/.%2ef\\a", max_size=40).map("/memories/{}".format))
def test_what_is_taken_is_under_the_root_and_stays_as_it_is(written: str) -> None:
    try:
        path = memory_path(written)
    except MemoryRefusal:
        return
    assert path == "/memories" or path.startswith("/memories/")
    assert not {"", ".", ".."} & set(path.split("/")[1:])
    assert memory_path(path) == path


def test_the_folders_above_a_file_are_those_below_the_root() -> None:
    assert folders_above("/memories/a/b/c") == ("/memories/a/b", "/memories/a")
    assert folders_above("/memories/a") == ()
