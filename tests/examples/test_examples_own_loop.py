"""The examples with loops of their own: whole conversations, with worker and model on sockets."""

from collections.abc import Callable
from typing import Any, TypeVar

import anthropic
import anyio
import anyio.to_thread
import openai
import pytest

from auxot_tools import AsyncClient, Client
from examples import own_loop_anthropic, own_loop_openai, own_loop_runner
from tests.support.chat_upstream import chat_call, chat_upstream, completion
from tests.support.client_calls import says
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.scripted_upstream import ANSWER, call, calls, scripted_upstream
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

_T = TypeVar("_T")
PATIENCE_S = 20.0
SDK: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": PATIENCE_S}


async def in_a_thread(work: Callable[[], _T]) -> _T:
    with anyio.fail_after(PATIENCE_S):
        return await anyio.to_thread.run_sync(work)


async def test_a_loop_with_the_anthropic_sdk_runs_the_workers_tools_and_its_own() -> None:
    dispatcher = FakeDispatcher()
    first = calls(call("toolu_1", n=1), call("toolu_2", "today"), call("toolu_3", "made_up"))
    async with (
        scripted_upstream(first, ANSWER) as upstream,
        served(dispatcher, key=KEY) as server,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient(server.addresses[0], key=KEY) as tools,
    ):
        assert await own_loop_anthropic.converse(model, "m", tools, "hi") == "done"
    ours, own, unknown = upstream.sent[1]["messages"][-1]["content"]
    assert ours["content"] == [says('{"n":1}')]
    assert own["content"] == [says(own_loop_anthropic.today())]
    assert unknown["is_error"] is True
    assert [made.session for made in dispatcher.calls] == ["example"]


@pytest.mark.parametrize("stop", ["max_tokens", "refusal"])
async def test_it_ends_when_a_turn_was_cut_or_refused(stop: str) -> None:
    dispatcher = FakeDispatcher()
    async with (
        scripted_upstream(calls(call("toolu_1"), stop=stop)) as upstream,
        served(dispatcher) as server,
        anthropic.AsyncAnthropic(base_url=upstream.url, **SDK) as model,
        AsyncClient(server.addresses[0]) as tools,
    ):
        assert await own_loop_anthropic.converse(model, "m", tools, "hi") == "I call."
    assert dispatcher.calls == []


async def test_the_tool_runner_of_the_sdk_does_the_same() -> None:
    first = calls(call("toolu_1", n=1), call("toolu_2", "add", a=1, b=2))
    async with scripted_upstream(first, ANSWER) as upstream, served(FakeDispatcher()) as server:

        def talk() -> str:
            with (
                anthropic.Anthropic(base_url=upstream.url, **SDK) as model,
                Client(server.addresses[0]) as tools,
            ):
                return own_loop_runner.converse(model, "m", tools, "hi")

        assert await in_a_thread(talk) == "done"
    ours, own = upstream.sent[1]["messages"][-1]["content"]
    assert (ours["content"], own["content"]) == ([says('{"n":1}')], "3")


async def test_a_loop_with_the_openai_sdk_does_the_same() -> None:
    first = completion(chat_call("call_1", "echo", '{"n":1}'))
    done = completion(text="done", finish="stop")
    async with chat_upstream(first, done) as upstream, served(FakeDispatcher()) as server:

        def talk() -> str:
            with (
                openai.OpenAI(base_url=upstream.url, **SDK) as model,
                Client(server.addresses[0]) as tools,
            ):
                return own_loop_openai.converse(model, "m", tools, "hi")

        assert await in_a_thread(talk) == "done"
    result = {"role": "tool", "tool_call_id": "call_1", "content": '{"n":1}'}
    assert upstream.sent[1]["messages"][-1] == result
