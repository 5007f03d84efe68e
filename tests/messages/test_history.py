"""A client's history is turned back into the upstream's turns, without state."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.errors import RequestError
from auxot_tools.messages.blocks import shown_upstream_id
from auxot_tools.messages.history import LOST_RESULT, upstream_messages
from auxot_tools.messages.ids import mint_id, unmint_id
from auxot_tools.types import JSON
from tests.support.turns import Play, done, request, text, tool_use, turn

USER: JSON = {"role": "user", "content": "hi"}


def use(call: str, **more: Any) -> JSON:
    block = {"type": "mcp_tool_use", "id": mint_id(call), "name": "run", "server_name": "auxot"}
    return block | {"input": {}} | more


def result(call: str, words: str = "ok", **more: Any) -> JSON:
    content = [{"type": "text", "text": words}]
    block = {"type": "mcp_tool_result", "tool_use_id": mint_id(call), "is_error": False}
    return block | {"content": content} | more


def says(words: str) -> JSON:
    return {"type": "text", "text": words}


def turned(*content: JSON, then: list[JSON] | None = None) -> list[JSON]:
    messages = (USER, {"role": "assistant", "content": list(content)}, *(then or []))
    return upstream_messages(messages)[1:]


def shape(messages: list[JSON]) -> list[tuple[str, list[str]]]:
    return [
        (m["role"], [b["type"] for b in m["content"]] if isinstance(m["content"], list) else [])
        for m in messages
    ]


def test_a_run_of_results_ends_a_round() -> None:
    back = turned(
        says("1"), use("a"), use("b"), result("a"), result("b"), use("c"), result("c"), says("end")
    )
    assert shape(back) == [
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["text"]),
    ]
    assert back[1]["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "a",
        "content": [says("ok")],
    }


def test_a_message_that_ends_in_results_joins_them_with_the_next_user_message() -> None:
    back = turned(use("a"), result("a"), then=[USER])
    assert shape(back) == [("assistant", ["tool_use"]), ("user", ["tool_result", "text"])]


def test_a_paused_message_at_the_end_is_continued_with_its_results() -> None:
    back = turned(use("a"), result("a"))
    assert shape(back) == [("assistant", ["tool_use"]), ("user", ["tool_result"])]


def test_a_call_whose_result_the_client_lost_is_answered() -> None:
    back = turned(says("x"), use("a"), then=[USER])
    assert back[1]["content"][0]["content"] == [says(LOST_RESULT)]
    assert back[1]["content"][0]["is_error"] is True


def test_a_result_without_its_call_is_dropped() -> None:
    assert shape(turned(result("a"), says("x"))) == [("assistant", ["text"])]


def test_assistant_messages_side_by_side_are_one_message_when_a_call_of_ours_is_in_them() -> None:
    more = {"role": "assistant", "content": [result("a"), says("x")]}
    assert shape(turned(use("a"), then=[more])) == [
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["text"]),
    ]


def test_nothing_stands_between_a_turn_and_its_results() -> None:
    system = {"role": "system", "content": "note"}
    own = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}
    client_use = {"type": "tool_use", "id": "c", "name": "theirs", "input": {}}
    back = turned(use("a"), client_use, result("a"), then=[system, own])
    assert [m["role"] for m in back] == ["assistant", "user", "system"]
    assert [b["tool_use_id"] for b in back[1]["content"]] == ["a", "c"]


def test_cache_control_and_unknown_fields_on_our_blocks_are_kept() -> None:
    mark = {"type": "ephemeral"}
    back = turned(use("a", caller={"type": "direct"}), result("a", cache_control=mark), then=[USER])
    assert back[0]["content"][0]["caller"] == {"type": "direct"}
    assert back[1]["content"][0]["cache_control"] == mark


def test_foreign_blocks_pass_untouched() -> None:
    foreign = [
        {"type": "mcp_tool_use", "id": "mcptoolu_01", "name": "n", "server_name": "x", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_01", "is_error": False, "content": []},
        {"type": "mcp_tool_use", "id": mint_id("a"), "name": "n", "server_name": "x", "input": {}},
        {"type": "odd", "id": mint_id("a")},
    ]
    message = {"role": "assistant", "content": foreign}
    assert upstream_messages((USER, message)) == [USER, message]
    assert upstream_messages((USER, message))[1] is message


@given(st.text(st.characters(), min_size=1, max_size=40))
def test_every_upstream_id_comes_back_from_the_id_we_mint(upstream_id: str) -> None:
    minted = mint_id(upstream_id)
    assert minted.startswith("mcptoolu_")
    assert all(c.isalnum() or c in "_-" for c in minted)
    assert minted.isascii()
    assert unmint_id(minted) == upstream_id


@given(st.text(max_size=60))
def test_only_ids_that_we_minted_are_turned_back(other: str) -> None:
    found = unmint_id(other)
    assert found is None or mint_id(found) == other
    assert unmint_id("mcptoolu_" + other.replace("auxot", "")) is None
    assert shown_upstream_id({"type": "tool_use", "id": mint_id("a")}) is None


def test_results_in_two_user_messages_go_up_in_one() -> None:
    uses: list[JSON] = [
        {"type": "tool_use", "id": i, "name": "theirs", "input": {}} for i in ("c1", "c2")
    ]
    answers = [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i}]}
        for i in ("c2", "c1")
    ]
    back = turned(uses[0], use("a"), uses[1], result("a"), then=answers)
    assert [b["tool_use_id"] for b in back[1]["content"]] == ["c1", "a", "c2"]
    assert len(back) == 2


def test_blocks_without_ids_stay_where_they_are() -> None:
    odd_use = {"type": "tool_use", "name": "theirs", "input": {}}
    odd_result = {"role": "user", "content": [{"type": "tool_result", "content": "x"}]}
    back = turned(use("a"), odd_use, result("a"), then=[odd_result])
    assert [b.get("tool_use_id") for b in back[1]["content"]] == ["a", None]


@pytest.mark.parametrize("content", [5, {"a": 1}, True])
def test_a_result_of_ours_with_wrong_content_is_the_callers_fault(content: object) -> None:
    with pytest.raises(RequestError, match=r"mcp_tool_result\.content"):
        turned(use("a"), result("a", content=content), then=[USER])


def test_empty_text_blocks_do_not_go_up_again() -> None:
    assert shape(turned(says(""), use("a"), result("a"), says("x")))[0] == (
        "assistant",
        ["tool_use"],
    )


def test_one_upstream_id_used_twice_is_shown_as_two_and_turned_back_to_one() -> None:
    assert mint_id("call_0", 1) != mint_id("call_0")
    assert unmint_id(mint_id("call_0", 1)) == "call_0"
    assert unmint_id(mint_id("call:0", 12)) == "call:0"


def test_two_rounds_come_back_value_equal_to_what_the_upstream_saw() -> None:
    play = Play()
    play.feed(turn(text("a"), tool_use("t1", "run", '{"n": 1e2, "big": 98765432109876543210}')))
    play.results(done("t1", "one")).feed(turn(tool_use("call:2", "run", "{}")))
    play.results(done("call:2", "two")).feed(turn(text("end")))

    client_view = json.loads(json.dumps(play.message["content"]))
    again = request(messages=[USER, {"role": "assistant", "content": client_view}, USER])
    seen_before = play.sent[-1]["messages"]
    assert Play(again).sent[0]["messages"][: len(seen_before)] == seen_before
