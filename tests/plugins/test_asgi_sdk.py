"""The middleware on a real server, asked by the official SDK; once with a worker and its boxes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread

from auxot_tools.assembly import local_executor
from auxot_tools.assembly.serving import serving
from auxot_tools.config import load_config
from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, Turn
from auxot_tools.scripted.server import scripted_app
from tests.support.conversation import our_tools
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool
from tests.support.looped_app import call, said
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

ASK_S = 60.0
READ: Any = {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}
CONVERSATION = (
    said("Let me see.", call("toolu_1", n=7)),
    said("It is 7. And yours?", call("toolu_2", "read", path="x"), call("toolu_3", n=8)),
    said("Eight, and text."),
)


def loop_over(*turns: Turn, **options: Any) -> ToolLoop:
    return ToolLoop(scripted_app(ScriptedModel(Scenario(turns=turns))), **options)


def client_of(origin: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=origin, api_key="k", max_retries=0, timeout=ASK_S)


def one_answer(client: anthropic.Anthropic, messages: list[Any], *, stream: bool) -> Any:
    asked: dict[str, Any] = {
        "model": "m",
        "max_tokens": 1000,
        "messages": messages,
        "tools": [READ],
    }
    if not stream:
        return client.beta.messages.create(**asked)
    with client.beta.messages.stream(**asked) as streamed:
        return streamed.get_final_message()


def converse(origin: str, *, stream: bool) -> list[Any]:
    """The whole conversation, as a program with a tool of its own has it."""
    with client_of(origin) as client:
        messages: list[Any] = [{"role": "user", "content": "What is there?"}]
        answers = [one_answer(client, messages, stream=stream)]
        while answers[-1].stop_reason == "tool_use":
            own = [block.id for block in answers[-1].content if block.type == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": tool_use_id, "content": "text"}
                for tool_use_id in own
            ]
            content = [block.model_dump(exclude_none=True) for block in answers[-1].content]
            messages += [
                {"role": "assistant", "content": content},
                {"role": "user", "content": results},
            ]
            answers.append(one_answer(client, messages, stream=stream))
        return answers


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_with_the_official_sdk(stream: bool) -> None:
    dispatcher = FakeDispatcher((echo_tool(),))
    app = loop_over(*CONVERSATION, dispatcher=dispatcher, tools=["echo"])
    async with serving(app) as origin:
        first, last = await to_thread.run_sync(partial(converse, origin, stream=stream))
    kinds = [block.type for block in first.content]
    assert kinds.count("mcp_tool_use") == kinds.count("mcp_tool_result") == 2
    assert kinds.count("tool_use") == 1
    assert last.content[-1].text == "Eight, and text."
    assert [call.tool_use_id for call in dispatcher.calls] == ["toolu_1", "toolu_3"]


@asynccontextmanager
async def worker() -> AsyncGenerator[str, None]:
    """A worker with the tools that we ship, behind gRPC with a key; its address."""
    async with our_tools() as executor, served(executor, key=KEY) as server:
        yield server.addresses[0]


@pytest.mark.engine
async def test_code_runs_in_the_workers_sandbox() -> None:
    code = {"language": "python", "code": "print(6 * 7)"}
    turns = said(call("toolu_1", "code_executor", **code)), said("Done.")
    async with worker() as address, serving(loop_over(*turns, worker=address, key=KEY)) as origin:
        (answer,) = await to_thread.run_sync(partial(converse, origin, stream=True))
    result = next(block for block in answer.content if block.type == "mcp_tool_result")
    assert result.is_error is False
    assert "42" in result.content[0].text


@asynccontextmanager
async def alive(app: ToolLoop) -> AsyncGenerator[str, None]:
    """The app on a server, within its lifespan; its origin."""
    told: list[Any] = []
    has_started = anyio.Event()
    to_app, from_server = anyio.create_memory_object_stream[Any](2)

    async def send(message: Any) -> None:
        told.append(message["type"])
        has_started.set()

    async with to_app, from_server, anyio.create_task_group() as tasks:
        await to_app.send({"type": "lifespan.startup"})
        tasks.start_soon(app, {"type": "lifespan"}, from_server.receive, send)
        with anyio.fail_after(ASK_S):
            await has_started.wait()
        async with serving(app) as origin:
            yield origin
        await to_app.send({"type": "lifespan.shutdown"})
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_server_with_a_lifespan_closes_the_way_to_the_worker() -> None:
    """What is left open would be told as a warning, and fail this test."""
    turns = said(call("toolu_1")), said("Hi.")
    async with served(FakeDispatcher()) as server:
        app = loop_over(*turns, worker=server.addresses[0], tools=["echo"])
        async with alive(app) as origin:
            (answer,) = await to_thread.run_sync(partial(converse, origin, stream=False))
    assert answer.content[-1].text == "Hi."


@pytest.mark.engine
async def test_code_runs_in_this_process_when_its_lifespan_opens_the_tools(
    tmp_path: Path,
) -> None:
    turns = said(call("toolu_1", "code_executor", code="6 * 7")), said("Done.")
    told = {"AUXOT_SANDBOX__READY": "0", "AUXOT_WORKER__STATE_DIR": str(tmp_path)}
    config = load_config(None, told, tmp_path).config
    app = loop_over(*turns, dispatcher=local_executor(config, "test-plugin"))
    async with alive(app) as origin:
        (answer,) = await to_thread.run_sync(partial(converse, origin, stream=False))
    result = next(block for block in answer.content if block.type == "mcp_tool_result")
    assert result.is_error is False
