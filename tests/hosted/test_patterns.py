"""Patterns: which compile, and that searching a whole text finds what each line by itself has."""

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from auxot_tools.hosted.patterns import is_valid, matches, matching_lines

PATTERNS = (
    *("a", "^a", "a$", "^$", "^", "$", "a*", "(?s).*", "(?s)a.b", "a\\nb", "\\s", "\\s+a", "[^a]"),
    *("[^a]+b", "\\D\\D", "\\n", "[\\n]", "\\Aa", "b\\z", "(?-m)^a", "(?i-m:b$)", "\\ba", "\\Ba"),
    *("é", ".é", "^..$", "\\W$", "a|^b|c$", "(a|b)*$", "\\x0a", "\\Q\n\\E", "(?m)^b", "\\bé"),
)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60)
@given(text=st.text(alphabet="ab\né 1", max_size=40))
def test_the_whole_text_gives_the_lines_that_match_by_themselves(pattern: str, text: str) -> None:
    # Of patterns without a line end, which no line has: RE2 as it is says what matches.
    body = text.encode()
    lines = [body[begin:end] for begin, end in matching_lines(body, pattern)]
    alone = re2.compile(pattern.encode())
    assert lines == [line for line in body.split(b"\n") if alone.search(line)]


def test_a_line_is_found_once_and_with_its_place() -> None:
    assert list(matching_lines(b"aa a\nb\n\na", "a")) == [(0, 4), (8, 9)]
    assert list(matching_lines(b"a\n", "^$")) == [(2, 2)]
    assert matches("https://a.example/", "^https")


@pytest.mark.parametrize(
    "pattern",
    ["(", "(?=a)", "(a)\\1", "a{1,9999}", "x{1000}" * 140, "\\pL{1000}" * 100, "\ud800", "*"],
)
def test_what_is_no_pattern_or_too_large_is_said_to_be(pattern: str) -> None:
    assert not is_valid(pattern)


@pytest.mark.parametrize("pattern", ["foo.{0,100}bar", "(?i)größe|\\pL+ \\pN", "error|warning"])
def test_what_people_search_for_is_small_enough(pattern: str) -> None:
    assert is_valid(pattern)
