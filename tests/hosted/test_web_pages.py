"""Parts of a text, and the lines that match: pure."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.hosted.web_pages import (
    Found,
    Part,
    found_in,
    matching_links,
    page_of,
    pattern_fault,
)

TEXTS = st.text(alphabet="ab\n\r é😀", max_size=400)


@given(TEXTS, st.integers(1, 50))
def test_parts_that_follow_one_another_join_to_the_whole(text: str, limit: int) -> None:
    joined, offset = "", 0
    for _part in range(len(text) + 1):
        part = page_of(text, offset, limit)
        assert len(part.content) <= limit
        assert (part.offset, part.total) == (offset, len(text))
        joined += part.content
        if not part.next_offset:
            break
        assert part.next_offset == offset + len(part.content) > offset
        offset = part.next_offset
    assert joined == text


def test_a_part_ends_with_a_line_when_one_ends_near() -> None:
    text = "a" * 250 + "\n" + "b" * 100
    assert page_of(text, 0, 300).content == "a" * 250 + "\n"
    assert page_of("\n" + "a" * 900, 0, 300).content == "\n" + "a" * 299


def test_nothing_follows_the_end_or_what_is_beyond_it() -> None:
    assert page_of("abc", 0, 3) == Part("abc", 0, 3, 3, 0)
    assert page_of("abc", 7, 3) == Part("", 7, 0, 3, 0)
    assert page_of("", 0, 3) == Part("", 0, 0, 0, 0)


def test_members_of_a_list_are_shown_one_on_a_line() -> None:
    assert page_of(["a", "b", "c"], 1, 1) == Part("b", 1, 1, 3, 2)
    assert page_of(["a", "b", "c"], 0, 9).content == "a\nb\nc"


def test_groups_that_touch_are_one() -> None:
    lines = [str(number) for number in range(30)]
    assert found_in("\n".join(lines), "^(3|10|18)$") == Found(
        "\n".join([*lines[0:14], "---", *lines[15:22]]), 3
    )
    assert found_in("\n".join(lines), "x") == Found("", 0)


def test_a_link_matches_by_its_text_or_its_address() -> None:
    links = ["[News](https://a.example/1)", "https://b.example/news", "[x](https://c.example/)"]
    assert matching_links(links, "(?i)news") == links[:2]
    assert matching_links(links, "") == links


@pytest.mark.parametrize("pattern", ["(", "a{1,9999}", "(?=a)", "(a)\\1", "[z-a]", "(?<name", "*"])
def test_a_pattern_that_does_not_compile_is_explained(pattern: str) -> None:
    assert "not a valid RE2 pattern" in pattern_fault(pattern)


def test_a_pattern_that_would_take_others_for_ever_takes_linear_time() -> None:
    assert pattern_fault("^(a+)+$") == ""
    begun_at = time.monotonic()
    assert found_in("a" * 1_000_000 + "!", "^(a+)+$").count == 0
    assert time.monotonic() - begun_at < 5


def test_characters_count_and_not_bytes() -> None:
    assert found_in("é😀x", "^..x$").count == 1
