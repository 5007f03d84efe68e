"""What counts as the same request, and as the same beginning of a conversation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.messages.digests import (
    BILLING_PREFIX,
    DIGEST_BYTES,
    digest_after,
    prefix_digests,
    request_digest,
)
from auxot_tools.messages.request import parse_request
from auxot_tools.types import JSON

USER: JSON = {"role": "user", "content": "hi"}
BILLING: JSON = {"type": "text", "text": f"{BILLING_PREFIX} cc_version=2.1; cch=abc"}
SYSTEM: JSON = {"type": "text", "text": "Be kind."}
TOOL: JSON = {"name": "run", "input_schema": {"type": "object"}}
BASE: JSON = {
    "model": "m",
    "max_tokens": 100,
    "system": [SYSTEM],
    "messages": [USER],
    "tools": [TOOL],
}


def of(key: str = "key", session: str = "", **changes: Any) -> bytes:
    """The digest of a small request; `changes` replace its members, `None` removes one."""
    body = {name: value for name, value in (BASE | changes).items() if value is not None}
    return request_digest(key, session, parse_request(json.dumps(body).encode()))


# -- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": True},
        {"stream": False},
        {"max_tokens": 21333},
        {"metadata": {"user_id": "u"}},
        {"system": [BILLING, SYSTEM]},
        {"system": [SYSTEM, BILLING]},
        {"system": [BILLING | {"cache_control": {"type": "ephemeral"}}, SYSTEM]},
    ],
)
def test_what_clients_change_when_they_repeat_a_request_leaves_it_the_same(
    changes: dict[str, Any],
) -> None:
    assert of(**changes) == of()


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "another key"},
        {"session": "another session"},
        {"model": "m2"},
        {"messages": [USER, {"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "user", "content": "hi "}]},
        {"messages": [{"role": "assistant", "content": "hi"}]},
        {"system": None},
        {"system": [SYSTEM, SYSTEM]},
        {"system": "Be kind."},
        {"system": [SYSTEM, {"type": "text", "text": f"see {BILLING_PREFIX}"}]},
        {"tools": None},
        {"tools": [TOOL, TOOL]},
        {"tools": [{**TOOL, "description": "x"}]},
    ],
)
def test_requests_of_other_keys_models_or_contents_are_others(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_nothing_else_is_left_out_of_what_makes_a_request_the_same() -> None:
    members: JSON = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "tool_choice": {"type": "none"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "container": "session-2",
        "mcp_servers": [{"type": "url", "url": "https://h", "name": "n"}],
        "context_management": {"edits": []},
        "something_new": 1,
    }
    assert [name for name, value in members.items() if of(**{name: value}) == of()] == []


def test_two_billing_blocks_that_differ_leave_a_request_the_same() -> None:
    other = {"type": "text", "text": f"{BILLING_PREFIX} cc_version=2.1; cch=def"}
    assert of(system=[BILLING, SYSTEM]) == of(system=[other, SYSTEM])


def test_a_key_and_a_model_do_not_run_into_one_another() -> None:
    assert of("ab", model="c") != of("a", model="bc")


def test_a_digest_has_one_length_whatever_is_in_the_request() -> None:
    odd = of(messages=[{"role": "user", "content": "\ud800"}], metadata={"n": 2**70})
    assert len(odd) == len(of()) == DIGEST_BYTES


# -- the beginnings of conversations ---------------------------------------------------------------


def text(words: str, **more: Any) -> JSON:
    return {"type": "text", "text": words, **more}


def call(**more: Any) -> JSON:
    return {"type": "tool_use", "id": "toolu_1", "name": "run", "input": {"code": "1"}, **more}


def result(content: Any = "42", **more: Any) -> JSON:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


def said(content: Any, role: str = "assistant") -> bytes:
    """The digest of a conversation that this message ends."""
    before = digest_after(b"", USER)
    return digest_after(before, {"role": role, "content": content})


CACHED = {"cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
SAME: dict[str, tuple[Any, Any]] = {
    "cache_control of a text": ([text("a", **CACHED)], [text("a")]),
    "cache_control of a call": ([call(**CACHED)], [call()]),
    "cache_control in a result": ([result([text("42", **CACHED)])], [result([text("42")])]),
    "cache_control of a result": ([result(**CACHED)], [result()]),
    "one text as a string": ("a", [text("a")]),
    "a result as a string": ([result("42")], [result([text("42")])]),
    "texts side by side": ([text("a"), text("b")], [text("ab")]),
    "texts around thinking": ([text("a"), THINKING, text("b")], [text("ab")]),
    "dropped thinking": ([THINKING, text("a"), call()], [text("a"), call()]),
    "dropped redacted thinking": ([{"type": "redacted_thinking", "data": "x"}, call()], [call()]),
    "only thinking": ([THINKING], []),
    "empty texts": ([text(""), call(), text("")], [call()]),
    "a blank text": ([text("\n\n"), call()], [call()]),
    "blanks around a text": ([text(" a\n"), call()], [text("a"), call()]),
    "members that are null": ([call(caller=None), text("a", citations=None)], [call(), text("a")]),
    "the order of members": ([dict(reversed(call().items()))], [call()]),
    "the order in an input": ([call(input={"a": 1, "b": 2})], [call(input={"b": 2, "a": 1})]),
    "how a number is written": ([call(input={"n": 1.0})], [call(input={"n": 1})]),
}


@pytest.mark.parametrize("name", SAME)
def test_what_clients_write_in_other_ways_is_the_same_conversation(name: str) -> None:
    one, other = SAME[name]
    assert said(one) == said(other)


OTHER: dict[str, tuple[Any, Any]] = {
    "texts": ([text("a")], [text("b")]),
    "case": ("Hello", "hello"),
    "blanks within a text": ("a b", "ab"),
    "the place of a text": ([text("a"), call()], [call(), text("a")]),
    "texts around a call": ([text("a"), call(), text("b")], [text("ab"), call()]),
    "a text that is missing": ([text("a"), call()], [call()]),
    "a call's id": ([call(id="toolu_2")], [call()]),
    "a call's name": ([call(name="look")], [call()]),
    "a call's input": ([call(input={"code": "2"})], [call()]),
    "null in an input": ([call(input={"code": None})], [call(input={})]),
    "cache_control in an input": ([call(input=CACHED)], [call(input={})]),
    "large numbers": ([call(input={"n": 2**70})], [call(input={"n": 2**70 + 1})]),
    "true and 1": ([call(input={"n": True})], [call(input={"n": 1})]),
    "a result's text": ([result("42")], [result("43")]),
    "a result's call": ([result(tool_use_id="toolu_2")], [result()]),
    "an error": ([result(is_error=True)], [result(is_error=False)]),
    "an image in a result": ([result([text("42"), IMAGE])], [result([text("42")])]),
    "another image": ([IMAGE], [{**IMAGE, "source": {"type": "url", "url": "https://h/y.png"}}]),
    "a call and its text": ([call()], json.dumps([call()])),
    "a text and a text of a result": ([text("42")], [result("42")]),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_a_reader_would_see_is_another_conversation(name: str) -> None:
    one, other = OTHER[name]
    assert said(one) != said(other)


def test_the_role_of_a_message_counts() -> None:
    assert said("a", role="user") != said("a", role="assistant")


def test_there_is_one_digest_for_each_message_and_each_stands_for_all_before_it() -> None:
    messages = [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    digests = list(prefix_digests(messages))
    assert len(set(digests)) == 3
    assert list(prefix_digests(messages[:2])) == digests[:2]
    assert digest_after(digests[1], messages[2]) == digests[2]
    changed = [{"role": "user", "content": "ho"}, *messages[1:]]
    assert not set(prefix_digests(changed)) & set(digests)
    assert list(prefix_digests([])) == []


def test_where_messages_begin_and_end_counts() -> None:
    apart = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    together = [{"role": "user", "content": "ab"}]
    assert list(prefix_digests(apart))[-1] != list(prefix_digests(together))[-1]


@pytest.mark.parametrize("content", [None, 5, [None], ["x"], [5], [{}], [{"type": ["x"]}], [[]]])
def test_odd_content_has_a_digest_too(content: Any) -> None:
    assert len(said(content)) == DIGEST_BYTES
    assert said(content) != said("a")


@pytest.mark.parametrize("odd", ["\ud800", 2**70, -(2**63) - 1, 1e308])
def test_what_json_writers_fear_has_a_digest_too(odd: Any) -> None:
    assert said([call(input={"odd": odd})]) == said([call(input={"odd": odd}, **CACHED)])
    assert said([call(input={"odd": odd})]) != said([call(input={"odd": 0})])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_any_input_comes_back_from_a_client_as_the_same(value: Any) -> None:
    returned = json.loads(json.dumps(value))
    assert said([call(input={"v": value})]) == said([call(input={"v": returned})])


@given(st.lists(st.text(max_size=9), min_size=1, max_size=4))
def test_where_a_run_of_texts_is_cut_does_not_count(pieces: list[str]) -> None:
    assert said([text(piece) for piece in pieces]) == said("".join(pieces))
