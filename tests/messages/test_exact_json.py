"""JSON comes back as it went in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.messages import exact_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_every_value_survives_and_has_one_text(value: object) -> None:
    written = exact_json.encode(value)
    assert exact_json.decode(written) == value
    assert exact_json.encode(exact_json.decode(written)) == written


@given(st.binary(max_size=80))
def test_garbage_raises_invalid_json_and_nothing_else(data: bytes) -> None:
    try:
        value = exact_json.decode(data)
    except exact_json.InvalidJSON:
        return
    assert json.loads(data) == value


def nested(levels: int, innermost: object = 0) -> object:
    return innermost if levels == 0 else [nested(levels - 1, innermost)]


def test_lone_surrogates_can_be_written() -> None:
    assert exact_json.encode("\ud83d") == b'"\\ud83d"'


@pytest.mark.parametrize("innermost", [0, 2**70, "\ud83d"])
def test_nesting_is_carried_up_to_the_limit_and_refused_beyond(innermost: object) -> None:
    deep = nested(exact_json.MAX_DEPTH, innermost)
    assert exact_json.decode(exact_json.encode(deep)) == deep
    with pytest.raises(exact_json.InvalidJSON, match="250 levels"):
        exact_json.encode(nested(exact_json.MAX_DEPTH + 10, innermost))


@pytest.mark.parametrize("raw", [b'{"b": 1, "a": 2}', b"[1.10]", b"123456789012345678901"])
def test_a_raw_member_stands_as_it_was_written(raw: bytes) -> None:
    block = {"type": "x", "input": None, "after": 1}
    written = exact_json.encode_with_raw(block, "input", raw)
    assert written == b'{"type":"x","input":' + raw + b',"after":1}'
