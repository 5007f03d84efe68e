"""Conversations through the middleware: blocking and streamed, alone, side by side and mixed."""

import json

import anyio
import pytest

from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.types import Status
from tests.support.asgi_client import answered, exchange
from tests.support.fake_dispatcher import FakeTool, echo_tool, tool_spec
from tests.support.looped_app import ASKED, KEYED, STREAMED, call, looped, said

pytestmark = pytest.mark.anyio

OWN_TOOL = {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}


def sent(model: ScriptedModel) -> list[dict[str, object]]:
    return [json.loads(body) for body in model.requests]


def kinds(content: list[dict[str, object]]) -> list[object]:
    return [block["type"] for block in content]


async def test_a_blocking_answer_holds_the_call_its_result_and_the_last_words() -> None:
    place = looped(said("Let me see.", call("toolu_1", n=7)), said("It is 7."))
    got = await answered(place.app, ASKED, headers=KEYED)
    assert got.status == 200
    content = got.json["content"]
    assert kinds(content) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert content[1]["input"] == {"n": 7}
    assert content[2]["content"] == [{"type": "text", "text": '{"n":7}'}]
    assert got.json["stop_reason"] == "end_turn"


async def test_the_app_is_called_again_with_the_results() -> None:
    place = looped(said(call("toolu_1", n=7)), said("It is 7."))
    await answered(place.app, ASKED, headers=KEYED)
    first, second = sent(place.model)
    assert first["tools"] == [
        {
            "name": "echo",
            "description": "The scripted tool echo.",
            "input_schema": {"type": "object"},
        }
    ]
    results = second["messages"][-1]["content"]  # type: ignore[index]
    assert [one["tool_use_id"] for one in results] == ["toolu_1"]


async def test_a_stream_is_one_message_over_all_turns() -> None:
    place = looped(said("Let me see.", call("toolu_1")), said("Done."))
    got = await answered(place.app, STREAMED, headers=KEYED)
    told = [data["type"] for data in got.events]
    assert told.count("message_start") == told.count("message_stop") == 1
    starts = [data for data in got.events if data["type"] == "content_block_start"]
    assert [one["index"] for one in starts] == [0, 1, 2, 3]
    assert dict(got.headers)["content-type"] == "text/event-stream; charset=utf-8"


async def test_the_first_words_are_out_before_the_tool_has_run() -> None:
    gate = anyio.Event()
    tool = FakeTool(tool_spec("echo"), until=gate)
    place = looped(said("Let me see.", call("toolu_1")), said("Done."), tools=[tool])
    async with exchange(place.app, STREAMED, headers=KEYED) as one:
        await one.take_until(b"mcp_tool_use")
        assert b"Let me see." in one.body
        assert b"mcp_tool_result" not in one.body
        gate.set()
        assert b"Done." in await one.take_until(b"message_stop")


async def test_calls_of_one_turn_run_side_by_side_and_are_answered_in_order() -> None:
    gate = anyio.Event()
    tools = [FakeTool(tool_spec("slow"), until=gate), echo_tool()]
    turns = said(call("toolu_1", "slow"), call("toolu_2")), said("Done.")
    place = looped(*turns, tools=tools)
    async with exchange(place.app, ASKED, headers=KEYED) as one:
        await place.dispatcher.until(lambda tools: tools.finished == ["toolu_2"])
        gate.set()
        await one.take_rest()
    results = [block for block in one.json["content"] if block["type"] == "mcp_tool_result"]
    ids = [block["tool_use_id"] for block in results]
    assert [name.rpartition("auxot")[2].partition("_")[2] for name in ids] == ["toolu_1", "toolu_2"]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_clients_own_tool_is_its_own(stream: bool) -> None:
    place = looped(said(call("toolu_1", "read", path="x")))
    got = await answered(place.app, ASKED | {"tools": [OWN_TOOL], "stream": stream}, headers=KEYED)
    text = got.body.decode()
    assert '"tool_use"' in text
    assert "mcp_tool_use" not in text
    assert place.dispatcher.calls == []
    assert [tool["name"] for tool in sent(place.model)[0]["tools"]] == ["read", "echo"]  # type: ignore[attr-defined]


async def test_a_mixed_turn_runs_ours_and_leaves_the_clients_to_it() -> None:
    place = looped(said(call("toolu_1"), call("toolu_2", "read")), said("Both are there."))
    tools = {"tools": [OWN_TOOL]}
    got = await answered(place.app, ASKED | tools, headers=KEYED)
    content = got.json["content"]
    assert got.json["stop_reason"] == "tool_use"
    assert [call.tool_use_id for call in place.dispatcher.calls] == ["toolu_1"]
    own = next(block for block in content if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": own["id"], "content": "text of x"}
    messages = [
        *ASKED["messages"],
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result]},
    ]
    got = await answered(place.app, ASKED | tools | {"messages": messages}, headers=KEYED)
    assert got.json["content"][-1]["text"] == "Both are there."
    results = sent(place.model)[1]["messages"][-1]["content"]  # type: ignore[index]
    assert [one["tool_use_id"] for one in results] == ["toolu_1", "toolu_2"]


async def test_the_next_request_is_turned_back_into_what_the_model_saw() -> None:
    place = looped(said("Hm.", call("toolu_1")), said("One."), said("Two."))
    got = await answered(place.app, ASKED, headers=KEYED)
    messages = [
        *ASKED["messages"],
        {"role": "assistant", "content": got.json["content"]},
        {"role": "user", "content": "and?"},
    ]
    await answered(place.app, ASKED | {"messages": messages}, headers=KEYED)
    *_, second, third = sent(place.model)
    before, after = second["messages"], third["messages"]
    assert after[: len(before)] == before  # type: ignore[arg-type,index]


async def test_hidden_calls_are_known_again_in_the_next_request() -> None:
    place = looped(said("Hm.", call("toolu_1")), said("One."), said("Two."), show_calls=False)
    got = await answered(place.app, ASKED, headers=KEYED)
    assert kinds(got.json["content"]) == ["text", "text"]
    messages = [
        *ASKED["messages"],
        {"role": "assistant", "content": got.json["content"]},
        {"role": "user", "content": "and?"},
    ]
    await answered(place.app, ASKED | {"messages": messages}, headers=KEYED)
    assert b"toolu_1" in place.model.requests[-1]


async def test_a_failed_call_is_an_error_result_and_the_model_goes_on() -> None:
    tool = FakeTool(tool_spec("echo"), status=Status.TIMED_OUT, reply=lambda _: "Too slow.")
    place = looped(said(call("toolu_1")), said("It failed."), tools=[tool])
    got = await answered(place.app, ASKED, headers=KEYED)
    result = next(one for one in got.json["content"] if one["type"] == "mcp_tool_result")
    assert result["is_error"] is True
    assert got.json["content"][-1]["text"] == "It failed."


async def test_at_the_round_limit_the_model_is_asked_for_an_answer_without_tools() -> None:
    turns = said(call("toolu_1")), said(call("toolu_2")), said("That is all.")
    place = looped(*turns, max_rounds=2)
    got = await answered(place.app, ASKED, headers=KEYED)
    assert got.json["content"][-1]["text"] == "That is all."
    assert [body.get("tool_choice") for body in sent(place.model)] == [None, None, {"type": "none"}]


async def test_what_is_counted_is_what_would_be_sent() -> None:
    place = looped(said("unused"))
    plain = await answered(place.model_app, ASKED, path="/v1/messages/count_tokens")
    got = await answered(place.app, ASKED, path="/v1/messages/count_tokens", headers=KEYED)
    assert got.json["input_tokens"] > plain.json["input_tokens"]
