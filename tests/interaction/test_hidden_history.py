"""Hidden calls: the client sees none of them, and the model all of them, also in later requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ThinkingBlock, ToolUseBlock, Turn
from auxot_tools.types import JSON, Status, ToolResult
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import running_router

pytestmark = pytest.mark.anyio

HIDDEN = LoopSettings(show_calls=False)
CALL = Turn(
    blocks=(
        ThinkingBlock(thinking="Look first.", signature="c2ln"),
        TextBlock(text="Let me see. "),
        ToolUseBlock(id="toolu_1", name="echo", input={"n": 2**60}),
    ),
    stop_reason="tool_use",
)
SEEN = Turn(blocks=(TextBlock(text="It is so."),))
NEXT = Turn(blocks=(TextBlock(text="As I said."),))
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 1000}
FIRST: JSON = {"role": "user", "content": "What is it?"}
MORE: JSON = {"role": "user", "content": "Are you sure?"}
IMAGE: JSON = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


def model_of(*turns: Turn) -> ScriptedModel:
    return ScriptedModel(Scenario(turns=turns))


def as_joined_text(content: list[JSON]) -> Any:
    return "".join(block["text"] for block in content if block["type"] == "text")


def as_it_came(content: list[JSON]) -> Any:
    return content


@pytest.mark.parametrize("store", [as_it_came, as_joined_text])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_request_tells_the_model_what_its_hidden_call_answered(
    tmp_path: Path, stream: bool, store: Any
) -> None:
    model = model_of(CALL, SEEN, NEXT)
    async with running_router(tmp_path, model, FakeDispatcher(), settings=HIDDEN) as router:
        client = await router.client(strict=True)
        first: Any
        if stream:
            async with client.messages.stream(**ASKED, messages=[FIRST]) as opened:  # type: ignore[list-item]
                first = await opened.get_final_message()
        else:
            first = await client.messages.create(**ASKED, messages=[FIRST])  # type: ignore[list-item]
        assert [block.type for block in first.content] == ["thinking", "text", "text"]
        history: Any = [
            FIRST,
            {"role": "assistant", "content": store(first.to_dict()["content"])},
            MORE,
        ]
        await client.messages.create(**ASKED, messages=history)

    in_first, in_second = json.loads(model.requests[1]), json.loads(model.requests[2])
    said = in_first["messages"]
    assert in_second["messages"][: len(said)] == said
    assert in_second["messages"][len(said) :] == [
        {"role": "assistant", "content": [{"type": "text", "text": "It is so."}]},
        MORE,
    ]
    assert said[1]["content"][0] == {
        "type": "thinking",
        "thinking": "Look first.",
        "signature": "c2ln",
    }


async def test_a_hidden_call_beside_the_clients_own_is_answered_with_it(tmp_path: Path) -> None:
    mixed = Turn(
        blocks=(
            ToolUseBlock(id="toolu_1", name="echo"),
            ToolUseBlock(id="toolu_2", name="theirs"),
        ),
        stop_reason="tool_use",
    )
    model = model_of(mixed, SEEN)
    theirs: Any = {"name": "theirs", "input_schema": {"type": "object"}}
    async with running_router(tmp_path, model, FakeDispatcher(), settings=HIDDEN) as router:
        client = await router.client(strict=True)
        first = await client.messages.create(**ASKED, messages=[FIRST], tools=[theirs])  # type: ignore[list-item]
        assert [(block.type, block.id) for block in first.content] == [("tool_use", "toolu_2")]  # type: ignore[union-attr]
        own = {"type": "tool_result", "tool_use_id": "toolu_2", "content": "theirs"}
        history: Any = [
            FIRST,
            {"role": "assistant", "content": first.to_dict()["content"]},
            {"role": "user", "content": [own]},
        ]
        await client.messages.create(**ASKED, messages=history, tools=[theirs])
    _, turn, results = json.loads(model.requests[1])["messages"]
    assert [block["id"] for block in turn["content"]] == ["toolu_1", "toolu_2"]
    assert [block["tool_use_id"] for block in results["content"]] == ["toolu_1", "toolu_2"]


async def test_when_it_is_gone_the_conversation_goes_on_with_the_visible_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(NEXT)
    history: Any = [FIRST, {"role": "assistant", "content": "It is so."}, MORE]
    with caplog.at_level("INFO"):
        async with running_router(tmp_path, model, FakeDispatcher(), settings=HIDDEN) as router:
            message = await (await router.client()).messages.create(**ASKED, messages=history)
    assert message.stop_reason == "end_turn"
    assert json.loads(model.requests[0])["messages"] == history
    assert "1 assistant messages are not known here" in caplog.text


class ImageDispatcher(FakeDispatcher):
    """A tool that answers with an image."""

    async def execute(self, call: Any, deadline: Any) -> Any:
        yield ToolResult(call.tool_use_id, Status.COMPLETED, ({"type": "text", "text": "a"}, IMAGE))


@pytest.mark.parametrize("show", [True, False])
async def test_an_image_of_a_tool_reaches_the_model_in_later_requests_too(
    tmp_path: Path, show: bool
) -> None:
    model = model_of(CALL, SEEN, NEXT)
    settings = LoopSettings(show_calls=show)
    dispatcher = ImageDispatcher([FakeTool(tool_spec("echo"))])
    store = KeptHistory(is_hiding=not show)
    async with running_router(
        tmp_path, model, dispatcher, settings=settings, kept_history=store
    ) as router:
        client = await router.client()
        first = await client.beta.messages.create(**ASKED, messages=[FIRST])  # type: ignore[list-item]
        history: Any = [
            FIRST,
            {"role": "assistant", "content": first.to_dict()["content"]},
            MORE,
        ]
        await client.beta.messages.create(**ASKED, messages=history)
    assert ("[image image-2.png, 8 bytes]" in json.dumps(first.to_dict())) is show
    in_first, in_second = json.loads(model.requests[1]), json.loads(model.requests[2])
    result = in_first["messages"][2]["content"][0]
    assert result["content"] == [{"type": "text", "text": "a"}, IMAGE]
    assert in_second["messages"][:3] == in_first["messages"]
