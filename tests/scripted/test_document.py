"""YAML documents as JSON values: what bare words mean, and that any text is read or refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.scripted.document import DocumentError, read_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2026-11-24", "2026-11-24"),
        (".nan", ".nan"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("'null'", "null"),
        ("012", 12),
        ("-1.5e3", -1500.0),
        ("'1'", "1"),
    ],
)
def test_a_bare_word_is_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read_document(f"a: {text}").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_place_is_followed_as_far_as_the_document_has_it() -> None:
    root = read_document("a:\n  - b: 1\n\n    c: 2\n")
    assert root.at(("a", 0, "c")) == (("a", 0, "c"), 4)
    assert root.at(("a", 0, "d")) == (("a", 0), 2)
    assert root.at(("a", "tag", 0, "b")) == (("a", 0, "b"), 2)


NO_LINE_ENDS = "\x85\u2028\u2029"


@pytest.mark.parametrize(
    "text", [f'a: "x{NO_LINE_ENDS} y"', f'{{"a": "x{NO_LINE_ENDS} y"}}', f"a: x{NO_LINE_ENDS} y"]
)
def test_what_ends_a_line_in_yaml_1_1_alone_is_kept_and_counts_as_no_line(text: str) -> None:
    assert read_document(text).value == {"a": f"x{NO_LINE_ENDS} y"}
    commented = read_document(f"# {NO_LINE_ENDS} b: 1\n{text}\n")
    assert commented.at(("a",)) == (("a",), 2)


def test_what_stands_for_it_meanwhile_is_no_character_of_the_text() -> None:
    text = 'a: "\u2028\ue000\\uE001\\U0000e002\x85"'
    assert read_document(text).value == {"a": "\u2028\ue000\ue001\ue002\x85"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_editors_do(end: str) -> None:
    assert mistakes_in(end.join(("# é\u2028é", f'a: "{NO_LINE_ENDS}"', "a: 1"))) == [3]
    assert mistakes_in(end.join(("# é\u2028é", "a: b: c", "d: 1"))) == [2]
    assert mistakes_in(end.join(("# é\u2028é", "a: \x01", "é: é", "", ""))) == [2]
    assert mistakes_in(end.join(("# é\u2028é", "", "a:", "\t- 1"))) == [4]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), json_values, min_size=1), st.booleans(), st.booleans())
def test_json_is_read_as_json(value: dict[str, Any], ascii_only: bool, indented: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent="\t" if indented else None)
    if not ascii_only and not all(char.isprintable() or char in "\t\n" for char in text):
        return  # YAML does not take every character bare
    assert read_document(text).value == value


@given(st.text(st.sampled_from("ab:-[]{}'\"&*!|>#%@`,? \n\t<~01\\é\x00"), max_size=40))
def test_any_text_is_read_or_refused_with_a_line_of_it(text: str) -> None:
    mistakes = mistakes_in(text)
    assert mistakes is None or mistakes
    assert all(1 <= line <= text.count("\n") + 1 for line in mistakes or ())


def mistakes_in(text: str) -> list[int] | None:
    """The lines of the mistakes; ``None`` when there are none."""
    try:
        read_document(text)
    except DocumentError as error:
        return [mistake.line for mistake in error.mistakes]
    return None
