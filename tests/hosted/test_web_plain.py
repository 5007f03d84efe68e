"""Tags left out without a parser: what remains, and that it takes linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.hosted.web_plain import ascii_lower, one_line, plain_text, unescape


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a <b>b</b>c</p><p>d", "a bc\nd"),
        ("<head><title>t</title></head>a", "a"),
        ("<SCRIPT>x < y</SCRIPT>a<style>p{}</style>b", "ab"),
        ("a<!-- <p>no --> b", "a b"),
        ("a < b &amp;&lt; c", "a < b &< c"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<script>never closed", "never closed"),
        ("a <b", "a b"),
        ("<!-- open", "!-- open"),
        ("<!doctype html><?xml?>a", "a"),
        ("İİ<SCRIPT>x</Script>y", "İİy"),
        ("", ""),
    ],
)
def test_the_text_between_the_tags_remains(page: str, text: str) -> None:
    assert plain_text(page) == text


@pytest.mark.parametrize(
    "piece",
    ["<", "<a", "<!--", "<script>", "<style><svg>", "</", "<a>", "&", "&#", "<p", "a<b ", "\n<td>"],
)
def test_it_takes_linear_time(piece: str) -> None:
    begun_at = time.monotonic()
    plain_text(piece * (2**21 // len(piece)))
    assert time.monotonic() - begun_at < 10


@pytest.mark.parametrize("digits", ["9" * 5000, "0" * 4400 + "65"])
def test_a_number_of_5000_digits_is_no_character(digits: str) -> None:
    page = f"a &#{digits}; b &#x{digits};"
    assert unescape(page).startswith("a \ufffd b ")
    assert plain_text(page).startswith("a \ufffd b ")
    assert one_line(page, 100).startswith("a \ufffd b ")


ENTITIES = st.builds(
    lambda prefix, digit, times, end: prefix + digit * times + end,
    st.sampled_from(["&#", "&#x", "&#X", "&", "&amp"]),
    st.sampled_from(["0", "9", "a", "f", "x", "\u0666"]),
    st.integers(0, 6000),
    st.sampled_from([";", "", "&"]),
)


@given(st.lists(st.text(max_size=20) | ENTITIES, max_size=6).map("".join))
def test_entities_of_any_kind_never_fail(page: str) -> None:
    assert unescape(page).encode("utf-8", "surrogatepass") is not None
    assert isinstance(plain_text(page), str)
    assert len(one_line(page, 20)) <= 20


@given(st.text(alphabet="<>/!-abpscrit&; \n", max_size=200))
def test_it_never_fails(page: str) -> None:
    assert isinstance(plain_text(page), str)
    line = one_line(page, 20)
    assert len(line) <= 20
    assert "\n" not in line


def test_a_line_that_is_too_long_says_so() -> None:
    assert one_line("abc def", 7) == "abc def"
    assert one_line("abc defg", 5) == "abc…"


def test_letters_that_grow_when_made_small_shift_nothing() -> None:
    assert one_line("İİİ <Svg>x</SVG>y", 20) == "İİİ y"
    assert ascii_lower("İAZ") == "İaz"
