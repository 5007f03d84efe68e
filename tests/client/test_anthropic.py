"""Whole conversations with the official `anthropic` SDK: its tool runner, and own loops."""

from collections.abc import Callable
from typing import Any, TypeVar

import anthropic
import anyio
import anyio.to_thread
import pytest

from auxot_tools.client import AsyncClient, Client
from auxot_tools.client.anthropic import runner_tools
from auxot_tools.scripted.scenario import ToolUseBlock
from auxot_tools.types import Status
from tests.support.client_calls import IMAGE, over, says, tool, tools_of
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.scripted_upstream import ANSWER, call, calls, scripted_upstream

pytestmark = pytest.mark.anyio

_T = TypeVar("_T")
PATIENCE_S = 20.0
HELLO: Any = [{"role": "user", "content": "hi"}]
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 1000, "messages": HELLO}
SDK: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": PATIENCE_S}


async def in_a_thread(work: Callable[[], _T]) -> _T:
    with anyio.fail_after(PATIENCE_S):
        return await anyio.to_thread.run_sync(work)


def results_of(body: Any) -> dict[str, tuple[Any, bool]]:
    """The results in the last message of a request, by id: content, and whether it is an error."""
    blocks = body["messages"][-1]["content"]
    return {b["tool_use_id"]: (b["content"], b.get("is_error", False)) for b in blocks}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_async_runner_runs_our_tools_until_the_model_is_done(stream: bool) -> None:
    drawn = {"content": (says("Drawn."), IMAGE)}
    failing = tool("fail", status=Status.TIMED_OUT, reply=lambda _: "Timed out.")
    dispatcher = tools_of(tool("echo"), tool("draw", members=drawn), failing)
    first = calls(call("toolu_1", n=1), call("toolu_2", "draw"), call("toolu_3", "fail"))
    async with (
        scripted_upstream(first, calls(call("toolu_4")), ANSWER) as upstream,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        tools = await runner_tools(client, session="s")
        runner: Any = model.beta.messages.tool_runner(
            **ASKED, tools=tools, stream=stream, thread=False
        )
        last: Any = None
        async for one in runner:
            last = await one.get_final_message() if stream else one
    assert last.content[-1].text == "done"
    assert [given["name"] for given in upstream.sent[0]["tools"]] == ["draw", "echo", "fail"]
    assert results_of(upstream.sent[1]) == {
        "toolu_1": ([says('{"n":1}')], False),
        "toolu_2": ([says("Drawn."), IMAGE], False),
        "toolu_3": ([says("Timed out.")], True),
    }
    assert list(results_of(upstream.sent[2])) == ["toolu_4"]
    assert {made.session for made in dispatcher.calls} == {"s"}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_blocking_runner_does_the_same(stream: bool) -> None:
    dispatcher = FakeDispatcher()
    first = calls(call("toolu_1", n=1), call("toolu_2", n=2))
    async with scripted_upstream(first, ANSWER) as upstream:

        def talk() -> Any:
            with (
                anthropic.Anthropic(base_url=upstream.url, **SDK) as model,
                Client.over(over(dispatcher)) as client,
            ):
                asked = ASKED | {"tools": runner_tools(client), "stream": stream}
                runner: Any = model.beta.messages.tool_runner(**asked, thread=False)
                last: Any = None
                for one in runner:
                    last = one.get_final_message() if stream else one
                return last

        last = await in_a_thread(talk)
    assert last.content[-1].text == "done"
    assert results_of(upstream.sent[1]) == {
        "toolu_1": ([says('{"n":1}')], False),
        "toolu_2": ([says('{"n":2}')], False),
    }


async def test_the_runner_takes_our_tools_beside_those_of_the_program() -> None:
    @anthropic.beta_async_tool
    async def add(a: int, b: int) -> str:
        """Add two numbers."""
        return str(a + b)

    dispatcher = FakeDispatcher()
    first = calls(call("toolu_1", "add", a=1, b=2), call("toolu_2", n=1))
    async with (
        scripted_upstream(first, ANSWER) as upstream,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        tools: Any = [add, *await runner_tools(client, ["echo"])]
        runner = model.beta.messages.tool_runner(**ASKED, tools=tools, thread=False)
        await runner.until_done()
    assert results_of(upstream.sent[1])["toolu_1"] == ("3", False)
    assert [made.name for made in dispatcher.calls] == ["echo"]


async def test_tools_of_the_other_flavour_are_refused_by_the_runner() -> None:
    async with (
        anthropic.AsyncAnthropic(base_url="http://127.0.0.1:1", **SDK) as model,
        AsyncClient.over(over(FakeDispatcher())) as client,
    ):
        blocking = anthropic.Anthropic(base_url="http://127.0.0.1:1", **SDK)
        tools: Any = await runner_tools(client)
        with blocking, pytest.raises(TypeError, match="async tool"):
            blocking.beta.messages.tool_runner(**ASKED, tools=tools)
        del model


@pytest.mark.parametrize("stream", [False, True])
async def test_a_loop_of_ones_own_streamed_or_not(stream: bool) -> None:
    dispatcher = FakeDispatcher()
    first = calls(call("toolu_1", n=1), call("toolu_2", n=2))
    async with (
        scripted_upstream(first, ANSWER) as upstream,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        asked: dict[str, Any] = ASKED | {"tools": await client.specs(), "messages": list(HELLO)}
        for _ in range(5):
            if stream:
                async with model.messages.stream(**asked) as events:
                    reply: Any = await events.get_final_message()
            else:
                reply = await model.messages.create(**asked)
            asked["messages"].append({"role": "assistant", "content": reply.content})
            answers = await client.run(reply)
            if answers is None:
                break
            asked["messages"].append(answers)
    assert reply.content[-1].text == "done"
    roles = [message["role"] for message in upstream.sent[1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert results_of(upstream.sent[1]) == {
        "toolu_1": ([says('{"n":1}')], False),
        "toolu_2": ([says('{"n":2}')], False),
    }


async def test_a_call_that_a_stream_cut_is_not_run_and_is_answered() -> None:
    dispatcher = FakeDispatcher()
    cut = ToolUseBlock(id="toolu_1", name="echo", raw_input='{"code": "rm -r')
    async with (
        scripted_upstream(calls(cut, stop="max_tokens")) as upstream,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        async with model.messages.stream(**ASKED, tools=await client.specs()) as events:
            reply = await events.get_final_message()
        answers = await client.run(reply)
    assert dispatcher.calls == []
    assert answers is not None
    assert answers.goes_on is False
    [block] = answers["content"]
    assert (block["tool_use_id"], block["is_error"]) == ("toolu_1", True)
