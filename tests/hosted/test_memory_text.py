"""Texts of `memory` by themselves: lines, insertion as a property, sizes in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.hosted.memory_text import MemoryRefusal, human_size, inserted, lines_of, viewed

TEXT = st.text(st.sampled_from("ab\n\r\tü\u2028"), max_size=30)


@given(text=TEXT, new=TEXT, data=st.data())
def test_what_is_inserted_lies_between_the_lines_as_they_were(
    text: str, new: str, data: st.DataObject
) -> None:
    lines = lines_of(text)
    line = data.draw(st.integers(0, len(lines)))
    expected = lines[:line] + (lines_of(new) or [""]) + lines[line:]
    assert lines_of(inserted(text, line, new)) == expected


@given(text=TEXT, data=st.data())
def test_every_line_is_shown_once_whatever_ranges_it_is_read_in(
    text: str, data: st.DataObject
) -> None:
    lines = lines_of(text)
    cut = data.draw(st.integers(1, max(1, len(lines))))
    if cut >= len(lines):
        return
    whole = viewed("/memories/x", text, None).split("\n")[1:]
    first = viewed("/memories/x", text, (1, cut)).split("\n")[1:]
    rest = viewed("/memories/x", text, (cut + 1, -1)).split("\n")[1:]
    assert first + rest == whole


def test_a_line_outside_of_the_file_is_refused() -> None:
    for line in (-1, 3):
        with pytest.raises(MemoryRefusal, match=r"\[0, 2\]"):
            inserted("a\nb", line, "x")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((0, "0B"), (1, "1B"), (1023, "1023B"), (1024, "1.0K"), (4096, "4.0K"), (5632, "5.5K")),
        *((2**20, "1.0M"), (2 * 2**20, "2.0M"), (2**30, "1.0G"), (2**41, "2048.0G")),
    ],
)
def test_sizes_are_told_as_people_read_them(size: int, words: str) -> None:
    assert human_size(size) == words
