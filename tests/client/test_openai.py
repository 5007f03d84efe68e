"""Our tools in OpenAI's forms, in whole conversations with the official `openai` SDK."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import openai
import pytest

from auxot_tools.client import AsyncClient, Client
from auxot_tools.client.openai import (
    ToolMessages,
    chat_tools,
    response_tools,
    run,
    run_response,
)
from auxot_tools.errors import RequestError
from auxot_tools.types import JSON, Status
from tests.support.chat_upstream import chat_call, chat_upstream, completion, response
from tests.support.client_calls import IMAGE, over, says, tool, tools_of
from tests.support.fake_dispatcher import FakeDispatcher

pytestmark = pytest.mark.anyio

_T = TypeVar("_T")
PATIENCE_S = 20.0
HELLO: Any = {"role": "user", "content": "hi"}
SDK: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": PATIENCE_S}
TWO = completion(chat_call("call_1", "echo", '{"n":1}'), chat_call("call_2", "echo", '{"n":2}'))
DONE = completion(text="done", finish="stop")
URL = "data:image/png;base64,iVBORw0KGgo="


async def answered(dispatcher: FakeDispatcher, answer: Any, **options: Any) -> ToolMessages:
    async with AsyncClient.over(over(dispatcher)) as client:
        return await run(client, answer, **options)


async def in_a_thread(work: Callable[[], _T]) -> _T:
    with anyio.fail_after(PATIENCE_S):
        return await anyio.to_thread.run_sync(work)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_with_the_async_sdk(stream: bool) -> None:
    dispatcher = FakeDispatcher()
    async with (
        chat_upstream(TWO, DONE) as upstream,
        openai.AsyncOpenAI(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        messages: list[Any] = [HELLO]
        tools = chat_tools(await client.specs())
        for _ in range(5):
            asked: dict[str, Any] = {"model": "m", "messages": messages, "tools": tools}
            if stream:
                async with model.chat.completions.stream(**asked) as events:
                    reply: Any = await events.get_final_completion()
            else:
                reply = await model.chat.completions.create(**asked)
            messages.append(reply.choices[0].message.to_dict())
            results = await run(client, reply)
            if not results:
                break
            messages.extend(results)
    assert reply.choices[0].message.content == "done"
    assert upstream.sent[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "echo",
                "description": "The scripted tool echo.",
                "parameters": {"type": "object"},
            },
        }
    ]
    assert upstream.sent[1]["messages"][2:] == [
        {"role": "tool", "tool_call_id": "call_1", "content": '{"n":1}'},
        {"role": "tool", "tool_call_id": "call_2", "content": '{"n":2}'},
    ]


async def test_a_conversation_with_the_blocking_sdk() -> None:
    async with chat_upstream(TWO, DONE) as upstream:

        def talk() -> ToolMessages:
            with (
                openai.OpenAI(base_url=upstream.url, **SDK) as model,
                Client.over(over(FakeDispatcher())) as client,
            ):
                tools = chat_tools(client.specs())
                reply = model.chat.completions.create(model="m", messages=[HELLO], tools=tools)
                results = run(client, reply.choices[0])
                messages: list[Any] = [HELLO, reply.choices[0].message.to_dict(), *results]
                model.chat.completions.create(model="m", messages=messages, tools=tools)
                return results

        results = await in_a_thread(talk)
    assert [message["tool_call_id"] for message in results] == ["call_1", "call_2"]
    assert (results.goes_on, len(results.results)) == (True, 2)
    assert len(upstream.sent[1]["messages"]) == 4


@pytest.mark.parametrize("part", ["completion", "choice", "message"])
async def test_a_completion_a_choice_and_a_message_are_all_taken(part: str) -> None:
    choice = TWO["choices"][0]
    given = {"completion": TWO, "choice": choice, "message": choice["message"]}[part]
    assert len(await answered(FakeDispatcher(), given)) == 2


async def test_no_call_is_an_empty_list() -> None:
    results = await answered(FakeDispatcher(), DONE)
    assert (list(results), results.goes_on) == ([], False)


@pytest.mark.parametrize(
    ("finish", "why"),
    [
        ("length", "cut off by max_tokens"),
        ("content_filter", "ended in a refusal"),
        (None, "ended without asking"),
    ],
)
async def test_a_turn_that_was_cut_or_filtered_has_no_call_run(finish: Any, why: str) -> None:
    dispatcher = FakeDispatcher()
    cut = completion(chat_call("call_1", "echo", '{"n":'), finish=finish)
    results = await answered(dispatcher, cut)
    assert dispatcher.calls == []
    assert why in results[0]["content"]
    assert results.goes_on is False


async def test_a_refusal_in_the_message_has_no_call_run() -> None:
    dispatcher = FakeDispatcher()
    refused = completion(chat_call("call_1", "echo", "{}"))
    refused["choices"][0]["message"]["refusal"] = "No."
    assert "refusal" in (await answered(dispatcher, refused))[0]["content"]
    assert dispatcher.calls == []


async def test_arguments_go_to_the_worker_as_the_model_wrote_them() -> None:
    dispatcher = FakeDispatcher()
    given = '{ "n": 1e400, "n": 2'
    await answered(dispatcher, completion(chat_call("call_1", "echo", given)))
    assert dispatcher.calls[0].input_json == given.encode()


async def test_calls_of_others_have_an_error_until_they_are_answered() -> None:
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "echo", "input": "raw"}}
    given = completion(chat_call("call_1", "weather", '{"city":"Bern"}'), custom)
    dispatcher = FakeDispatcher()
    results = await answered(dispatcher, given)
    assert dispatcher.calls == []
    others = [(other.id, other.name, other.input) for other in results.others]
    assert others == [("call_1", "weather", '{"city":"Bern"}'), ("call_2", "echo", "raw")]
    results.answer("call_1", "Sunny.")
    assert results[0] == {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."}
    assert 'no tool named "echo"' in results[1]["content"]


async def test_images_are_named_or_shown_in_a_message_of_their_own() -> None:
    drawn = tool("draw", members={"content": (says("Drawn."), IMAGE)})
    given = completion(chat_call("call_1", "draw", "{}"))
    [named] = await answered(tools_of(drawn), given)
    assert named["content"] == "Drawn.\n[image image-2.png, 8 bytes]"
    _, shown = await answered(tools_of(drawn), given, images=True)
    assert shown["role"] == "user"
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": URL}}


async def test_what_is_no_answer_of_a_model_is_refused_in_plain_words() -> None:
    wrongs: list[Any] = [{"role": "user", "content": "hi"}, None, "hi", {"choices": []}]
    for wrong in wrongs:
        with pytest.raises(RequestError, match="takes a chat completion"):
            await answered(FakeDispatcher(), wrong)
    async with AsyncClient.over(over(FakeDispatcher())) as client:
        with pytest.raises(RequestError, match="takes a response"):
            await run_response(client, {"status": "completed"})


def function_call(call_id: str, name: str = "echo", arguments: str = "{}") -> JSON:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


async def test_the_function_calls_of_a_response_are_answered() -> None:
    drawn = tool("draw", members={"content": (says("Drawn."), IMAGE)})
    dispatcher = tools_of(tool("echo"), drawn)
    custom = {"type": "custom_tool_call", "call_id": "call_3", "name": "own", "input": "x"}
    first = response(function_call("call_1"), function_call("call_2", "draw"), custom)
    async with (
        chat_upstream(first, response()) as upstream,
        openai.AsyncOpenAI(base_url=upstream.url, **SDK) as model,
        AsyncClient.over(over(dispatcher)) as client,
    ):
        tools = response_tools(await client.specs())
        reply = await model.responses.create(model="m", input="hi", tools=tools)
        outputs = await run_response(client, reply)
        outputs.answer("call_3", "mine")
        await model.responses.create(model="m", input=[*outputs], tools=tools)
        assert await run_response(client, response()) == []
    assert upstream.sent[0]["tools"][0]["name"] == "draw"
    picture = {"type": "input_image", "image_url": URL, "detail": "auto"}
    assert upstream.sent[1]["input"] == [
        {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "Drawn."}, picture],
        },
        {"type": "custom_tool_call_output", "call_id": "call_3", "output": "mine"},
    ]


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        ("incomplete", "max_output_tokens", "cut off by max_tokens"),
        ("incomplete", "content_filter", "ended in a refusal"),
        ("failed", None, "ended without asking"),
    ],
)
async def test_a_response_that_is_not_complete_has_no_call_run(
    status: str, reason: str | None, why: str
) -> None:
    dispatcher = FakeDispatcher()
    given = response(function_call("call_1"), status=status, incomplete=reason)
    async with AsyncClient.over(over(dispatcher)) as client:
        [output] = await run_response(client, given)
    assert why in output["output"]
    assert dispatcher.calls == []


def test_a_failure_is_told_in_its_own_words_as_there_is_no_mark_for_it() -> None:
    failing = tool("echo", status=Status.UNAVAILABLE, reply=lambda _: "Busy; try again.")
    with Client.over(over(tools_of(failing))) as client:
        results = run(client, completion(chat_call("call_1", "echo", "{}")))
        assert results[0]["content"] == "Busy; try again."
        assert results.results[0].status is Status.UNAVAILABLE
        [output] = run_response(client, response(function_call("call_1")))
        assert output["output"] == "Busy; try again."
