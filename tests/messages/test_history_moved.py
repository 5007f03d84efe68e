"""Clients move blocks in their history; the upstream sees its turns as it wrote them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.messages.history import upstream_messages
from auxot_tools.messages.ids import (
    Place,
    mark_client_id,
    mint_id,
    place_of,
    session_in_id,
    unmark_client_id,
    unmint_id,
)
from auxot_tools.types import JSON
from tests.support.turns import Play, done, request, text, tool_use, turn

USER: JSON = {"role": "user", "content": "hi"}
Move = Callable[[list[JSON]], list[JSON]]


def as_sent(content: list[JSON]) -> list[JSON]:
    return content


def own_calls_last(content: list[JSON]) -> list[JSON]:
    """As Claude Code and the Vercel AI SDK send a mixed turn back."""
    own = [block for block in content if block["type"] == "tool_use"]
    return [*(block for block in content if block["type"] != "tool_use"), *own]


def results_beside_their_calls(content: list[JSON]) -> list[JSON]:
    results = {b["tool_use_id"]: b for b in content if b["type"] == "mcp_tool_result"}
    moved: list[JSON] = []
    for block in content:
        if block["type"] != "mcp_tool_result":
            moved.append(block)
        if block["type"] == "mcp_tool_use":
            moved.append(results[block["id"]])
    return moved


def both(content: list[JSON]) -> list[JSON]:
    return own_calls_last(results_beside_their_calls(content))


MOVES = [as_sent, own_calls_last, results_beside_their_calls, both]


def conversation(rounds: list[str], last: str) -> Play:
    """`o` is a call of ours, `t` one of the client's own; `last` is the mixed turn's calls."""
    play, number = Play(), 0
    for calls in [*rounds, last]:
        blocks, ours = [text(f"Turn {number}.")], []
        for kind in calls:
            number += 1
            call_id = f"toolu_{number}"
            blocks.append(tool_use(call_id, "run" if kind == "o" else "theirs", "{}"))
            ours += [call_id] if kind == "o" else []
        play.feed(turn(*blocks)).results(*(done(call, f"of {call}") for call in ours))
    return play


def sent_back(play: Play, move: Move) -> list[JSON]:
    """What the upstream sees when the client has answered its own calls."""
    content = json.loads(json.dumps(play.message["content"]))
    own = [block for block in content if block["type"] == "tool_use"]
    answers: list[JSON] = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": f"of {block['id']}"}
        for block in own
    ]
    messages = [USER, {"role": "assistant", "content": move(content)}]
    messages += [{"role": "user", "content": answers}] if own else []
    parsed = request(messages=messages)
    return upstream_messages(parsed.messages)


def expected(rounds: list[str], last: str) -> list[Any]:
    number, turns = 0, []
    for calls in [*rounds, last]:
        ids = [f"toolu_{number + at}" for at in range(1, len(calls) + 1)]
        turns += [[f"Turn {number}.", *ids], ids]
        number += len(calls)
    return turns


def seen(messages: list[JSON]) -> list[Any]:
    return [
        [
            block.get("text") or block.get("id") or block.get("tool_use_id")
            for block in message["content"]
        ]
        for message in messages[1:]
    ]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("last", ["ot", "to", "oot", "oto", "tot", "otot", "too", "ttoo"])
@pytest.mark.parametrize("rounds", [[], ["o"], ["oo", "o"]])
def test_a_mixed_turn_is_one_turn_however_its_blocks_were_moved(
    rounds: list[str], last: str, move: Move
) -> None:
    play = conversation(rounds, last)
    assert play.message["stop_reason"] == "tool_use"
    assert seen(sent_back(play, move)) == expected(rounds, last)


@given(
    st.lists(st.text("o", min_size=1, max_size=3), max_size=3),
    st.text("ot", min_size=2, max_size=6).filter(lambda calls: {"o", "t"} <= set(calls)),
    st.sampled_from(MOVES),
)
def test_any_turn_comes_back_as_it_was(rounds: list[str], last: str, move: Move) -> None:
    assert seen(sent_back(conversation(rounds, last), move)) == expected(rounds, last)


@pytest.mark.parametrize("move", [as_sent, results_beside_their_calls])
def test_rounds_of_parallel_calls_stay_rounds_of_parallel_calls(move: Move) -> None:
    play = conversation(["oo"], "ooo").feed(turn(text("The end.")))
    assert seen(sent_back(play, move)) == [*expected(["oo"], "ooo"), ["The end."]]


def test_a_call_of_the_clients_own_in_a_later_round_is_not_taken_into_the_one_before() -> None:
    play = conversation(["o"], "t")
    for move in MOVES:
        assert seen(sent_back(play, move)) == expected(["o"], "t")


def test_the_client_sees_its_own_id_unless_a_call_of_ours_stands_before_it() -> None:
    ids = [b["id"] for b in conversation([], "tot").message["content"] if b["type"] == "tool_use"]
    assert ids == ["toolu_1", "toolu_3-auxot1"]


@pytest.mark.parametrize(
    "upstream_id", ["toolu_1", "functions.Bash:0", "x-auxot1", "x-auxot0", "é"]
)
@pytest.mark.parametrize("ours_before", [0, 1, 12])
def test_a_client_id_comes_back_with_its_place(upstream_id: str, ours_before: int) -> None:
    marked = mark_client_id(upstream_id, ours_before)
    assert unmark_client_id(marked) == (upstream_id, ours_before)


@given(
    st.text(min_size=1),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["", "0123456789abcdef", "bbbbbbbbbbbbbbbb"]),
)
def test_a_minted_id_comes_back_with_its_place_and_session(
    upstream_id: str, repeat: int, ours: int, clients: int, session: str
) -> None:
    place = Place(ours, clients)
    minted = mint_id(upstream_id, repeat, place, session)
    assert unmint_id(minted) == upstream_id
    assert place_of(minted) == place
    assert session_in_id(minted) == session


@pytest.mark.parametrize("other", ["toolu_1", None, 7, "mcptoolu_auxots0123_toolu_1", ""])
def test_an_id_that_is_not_ours_holds_no_session(other: object) -> None:
    assert session_in_id(other) == ""


def test_an_id_that_only_looks_like_a_marked_one_passes_through_two_routers() -> None:
    inner = mark_client_id("toolu_1", 2)
    outer = mark_client_id(inner, 0)
    assert unmark_client_id(outer) == (inner, 0)
    assert unmark_client_id(inner) == ("toolu_1", 2)


def test_a_history_of_thousands_of_calls_is_turned_back_before_anybody_waits() -> None:
    """What grows with the square of the calls would take minutes here, and the test would fail."""
    count = 4000
    ours: list[JSON] = [
        {
            "type": "mcp_tool_use",
            "id": mint_id(f"u{n}", place=Place(n, n + 1)),
            "name": "run",
            "server_name": "auxot",
            "input": {},
        }
        for n in range(count)
    ]
    results: list[JSON] = [
        {"type": "mcp_tool_result", "tool_use_id": use["id"], "is_error": False, "content": []}
        for use in ours
    ]
    own: list[JSON] = [
        {"type": "tool_use", "id": mark_client_id(f"o{n}", n), "name": "x", "input": {}}
        for n in range(count)
    ]
    answers: list[JSON] = [
        {"type": "tool_result", "tool_use_id": use["id"], "content": "y"} for use in own
    ]
    content = [*ours, *results, *own]
    messages = (
        USER,
        *({"role": "assistant", "content": [block]} for block in content),
        {"role": "user", "content": answers},
    )
    _, turn, after = upstream_messages(messages)
    expected_ids = [f"{kind}{n}" for n in range(count) for kind in ("o", "u")]
    assert [block["id"] for block in turn["content"]] == expected_ids
    assert [block["tool_use_id"] for block in after["content"]] == expected_ids
