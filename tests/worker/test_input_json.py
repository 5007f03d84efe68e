"""What the text of an input may look like, and what is said when it does not."""

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.worker.input_json import MAX_DEPTH, MAX_INPUT_BYTES, parse_input
from auxot_tools.worker.violations import Violation

MAX_SAID_CHARS = 1000
calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What comes -> what must be said, in part.
REFUSED = {
    "cut_in_a_string": (b'{"code":"print(', "cut off after character 15"),
    "cut_after_a_colon": (b'{"code":', "cut off"),
    "cut_in_an_object": (b'{"a":1', "cut off"),
    "blank": (b" \n", "blank"),
    "no_colon": (b'{"a" 1}', "line 1, column 6"),
    "second_line": (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
    "trailing_comma": (b'{"a": 1,}', "not JSON"),
    "single_quotes": (b"{'a': 1}", "a field name in double quotes must come"),
    "more_after_it": (b'{"a":1} {"a":2}', "nothing may follow the object"),
    "raw_newline_in_a_string": (b'{"a":"x\ny"}', "a control character must be escaped"),
    "bad_escape": (b'{"a":"\\x41"}', "no such backslash escape"),
    "duplicate_field": (b'{"code":"a","code":"b"}', 'the field "code" comes twice'),
    "duplicate_field_escaped": (b'{"code":"a","c\\u006fde":"b"}', 'the field "code" comes twice'),
    "duplicate_field_deep": (b'{"a":[{"b":{"c":1,"c":1}}]}', 'the field "c" comes twice'),
    "invalid_utf8": (b'{"a":"\xff"}', "byte 6"),
    "byte_order_mark": (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
    "utf_16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "nan": (b'{"a":NaN}', "NaN is not a JSON number"),
    "infinity": (b'{"a":-Infinity}', "-Infinity is not a JSON number"),
    "float_too_large": (b'{"a":1e400}', "1e400 is outside the range of a double"),
    "float_too_small": (b'{"a":-1e400}', "outside the range of a double"),
    "integer_too_large": (b'{"a":' + b"9" * 310 + b"}", "outside the range of a double"),
    "integer_endless": (b'{"a":' + b"9" * 5_000_000 + b"}", "outside the range of a double"),
    "an_array": (b"[1]", "must be an object; got an array"),
    "a_string": (b'"{}"', "must be an object; got a string"),
    "null": (b"null", "must be an object; got null"),
    "true": (b"true", "must be an object; got a boolean"),
    "a_number": (b"1", "must be an object; got an integer"),
    "65_levels": (b'{"a":' * 65 + b"1" + b"}" * 65, "nested deeper than 64 levels"),
    "65_levels_of_arrays": (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "nested deeper than 64"),
    "900_levels": (b'{"a":' * 900 + b"1" + b"}" * 900, "nested deeper than 64 levels"),
    "100000_levels": (b'{"a":' * 100_000, "nested deeper than 64 levels"),
    "too_large": (b'{"a":"' + b"x" * MAX_INPUT_BYTES + b'"}', "at most 16777216 are taken"),
    "too_many_values": (b'{"a":[' + b"[]," * 300_000 + b"[]]}", "more than 200000 values"),
    "hostile_name": (b'{"' + b"n" * 100_000 + b'":1,"' + b"n" * 100_000 + b'":2}', "twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_sentence_that_says_why(case: str) -> None:
    text, said = REFUSED[case]
    refused = parse_input(text)
    assert isinstance(refused, Violation)
    assert said in refused.message
    assert len(refused.message) < MAX_SAID_CHARS


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"code":"\\ud800"}', "/code"),
        (b'{"a":[1,{"b":"x\\uDFFFy"}]}', "/a/1/b"),
        (b'{"a":{"\\ud83d":1}}', "/a/?"),
        (b'{"a":1,"b":"\\udc00\\ud800"}', "/b"),
    ],
)
def test_a_lone_surrogate_is_refused_with_its_place(text: bytes, place: str) -> None:
    refused = parse_input(text)
    assert isinstance(refused, Violation)
    assert refused.pointer == place
    assert "surrogate" in refused.message
    refused.message.encode()


def test_empty_text_counts_as_an_empty_object() -> None:
    assert parse_input(b"") == {}


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse_input(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_64_levels_are_taken() -> None:
    text = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert isinstance(parse_input(text), dict)


def test_many_shallow_siblings_are_not_deep() -> None:
    assert isinstance(parse_input(json.dumps({"a": [[{}]] * 1000}).encode()), dict)


def test_commas_and_brackets_in_a_string_are_no_values() -> None:
    code = 'x = [1, 2, "a\\\\"", {}]\n' * 50_000
    assert parse_input(json.dumps({"code": code}).encode()) == {"code": code}


@pytest.mark.parametrize("number", [2**63, 2**64 + 1, -(2**80), int(sys.float_info.max)])
def test_large_integers_are_kept_exactly(number: int) -> None:
    assert parse_input(json.dumps({"n": number}).encode()) == {"n": number}


def test_nine_megabytes_of_code_are_refused_and_eight_taken() -> None:
    fits = b'{"code":"' + b"x" * (MAX_INPUT_BYTES - 11) + b'"}'
    assert isinstance(parse_input(fits), dict)
    assert isinstance(parse_input(fits + b" "), Violation)


@calmly
@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    assert isinstance(parse_input(data), dict | Violation)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@calmly
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_valid_json_comes_back_as_it_is(value: dict[str, object]) -> None:
    text = json.dumps(value)
    if "\\ud" not in text.lower():
        assert parse_input(text.encode()) == value
    assert parse_input(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) is not None


@calmly
@given(st.dictionaries(st.text("abc", max_size=3), VALUES, min_size=1), st.data())
def test_every_cut_is_refused(value: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    cut = data.draw(st.integers(1, len(text) - 1))
    assert isinstance(parse_input(text[:cut]), Violation)
