"""The official SDK's tool runner beside our tools: with and without threads, streamed and not."""

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import running_router

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "hi"}],
}
MIXED = Turn(
    blocks=(
        TextBlock(text="Both."),
        ToolUseBlock(id="toolu_1", name="echo", input={"n": 1}),
        ToolUseBlock(id="toolu_2", name="add", input={"a": 1, "b": 2}),
    ),
    stop_reason="tool_use",
)
OWN = Turn(
    blocks=(ToolUseBlock(id="toolu_3", name="add", input={"a": 3, "b": 4}),), stop_reason="tool_use"
)
ANSWER = Turn(blocks=(TextBlock(text="done"),))
# Without an argument the runner asks for threads first, and falls back on our 400.
THREADS: list[dict[str, Any]] = [{}, {"thread": False}]


@pytest.mark.parametrize("thread", THREADS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("show", [False, True])
async def test_the_runner_goes_on_until_the_model_is_done(
    tmp_path: Path, show: bool, stream: bool, thread: dict[str, Any]
) -> None:
    sums: list[int] = []

    @anthropic.beta_async_tool
    async def add(a: int, b: int) -> str:
        """Add two numbers."""
        sums.append(a + b)
        return str(a + b)

    model, dispatcher = ScriptedModel(Scenario(turns=(MIXED, OWN, ANSWER))), FakeDispatcher()
    settings = LoopSettings(show_calls=show)
    async with running_router(tmp_path, model, dispatcher, settings=settings) as router:
        client = await router.client()
        asked = ASKED | {"tools": [add], "stream": stream} | thread
        runner: Any = client.beta.messages.tool_runner(**asked)
        last: Any = None
        async for one in runner:
            last = await one.get_final_message() if stream else one

    assert last.content[-1].text == "done"
    assert sums == [3, 7]
    assert [call.tool_use_id for call in dispatcher.calls] == ["toolu_1"]
    messages = json.loads(model.requests[-1])["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2 + ["user"]
    uses = [block.get("id") for block in messages[1]["content"]]
    assert uses == [None, "toolu_1", "toolu_2"]
    assert [block["tool_use_id"] for block in messages[2]["content"]] == ["toolu_1", "toolu_2"]
    assert [block["tool_use_id"] for block in messages[4]["content"]] == ["toolu_3"]
