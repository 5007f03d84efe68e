"""Whole conversations through the real router with the official SDK as the client."""

import json
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ThinkingBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import running_router

pytestmark = pytest.mark.anyio

TWO_CALLS = Turn(
    blocks=(
        ThinkingBlock(thinking="Two things to run.", signature="c2ln"),
        TextBlock(text="Running both."),
        ToolUseBlock(id="toolu_1", name="echo", input={"n": 1}),
        ToolUseBlock(id="toolu_2", name="echo", input={"n": 2}),
    ),
    stop_reason="tool_use",
)
ANSWER = Turn(blocks=(TextBlock(text="Both are done."),))
SHOWN = ["thinking", "text"] + ["mcp_tool_use"] * 2 + ["mcp_tool_result"] * 2 + ["text"]
ASKED: dict[str, Any] = {
    "model": "claude-test",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Run both."}],
}


def two_calls() -> ScriptedModel:
    return ScriptedModel(Scenario(turns=(TWO_CALLS, ANSWER)))


def kinds(message: Any) -> list[str]:
    return [block.type for block in message.content]


async def test_blocking_with_strict_validation_by_the_beta_client(tmp_path: Path) -> None:
    async with running_router(tmp_path, two_calls(), FakeDispatcher()) as router:
        message = await (await router.client(strict=True)).beta.messages.create(**ASKED)

    assert kinds(message) == SHOWN
    assert message.stop_reason == "end_turn"
    assert message.model == "claude-test"
    assert message.id.startswith("msg_")
    assert message._request_id is not None


async def test_streaming_with_strict_validation_by_the_beta_client(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, two_calls(), FakeDispatcher()) as router,
        (await router.client(strict=True)).beta.messages.stream(**ASKED) as stream,
    ):
        message = await stream.get_final_message()

    assert kinds(message) == SHOWN
    assert message.stop_reason == "end_turn"


async def test_streaming_and_blocking_give_the_same_message(tmp_path: Path) -> None:
    def constant() -> FakeDispatcher:  # the echo tool would tell how the input was spelled
        return FakeDispatcher([FakeTool(tool_spec("echo"), reply=lambda _: "ok")])

    async with running_router(tmp_path, two_calls(), constant()) as router:
        blocking = await (await router.client()).beta.messages.create(**ASKED)
    async with (
        running_router(tmp_path / "second", two_calls(), constant()) as router,
        (await router.client()).beta.messages.stream(**ASKED) as stream,
    ):
        streamed = await stream.get_final_message()

    apart = {"id", "_request_id"}
    first, second = blocking.to_dict(), streamed.to_dict()
    assert {k: first[k] for k in first if k not in apart} == {
        k: second[k] for k in first if k not in apart
    }


@pytest.mark.parametrize("strict", [True, False])
async def test_hidden_calls_satisfy_the_standard_client(tmp_path: Path, strict: bool) -> None:
    hidden = LoopSettings(show_calls=False)
    async with running_router(tmp_path, two_calls(), FakeDispatcher(), settings=hidden) as router:
        client = await router.client(strict=strict)
        async with client.messages.stream(**ASKED) as stream:
            message = await stream.get_final_message()

    assert kinds(message) == ["thinking", "text", "text"]


async def test_the_standard_client_reads_a_shown_stream_too(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, two_calls(), FakeDispatcher()) as router,
        (await router.client()).messages.stream(**ASKED) as stream,
    ):
        message = await stream.get_final_message()
    assert kinds(message) == SHOWN


async def test_the_upstream_sees_both_results_and_the_same_prefix(tmp_path: Path) -> None:
    model = two_calls()
    async with running_router(tmp_path, model, FakeDispatcher()) as router:
        await (await router.client()).beta.messages.create(**ASKED)

    first, second = model.requests
    end = first.rindex(b'],"max_tokens"')
    assert second.startswith(first[:end])
    results = json.loads(second)["messages"][-1]["content"]
    assert [block["tool_use_id"] for block in results] == ["toolu_1", "toolu_2"]
    assert results[0]["content"] == [{"type": "text", "text": '{"n":1}'}]


async def test_calls_of_one_turn_run_side_by_side(tmp_path: Path) -> None:
    both_run = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), until=both_run)])

    async def release() -> None:
        await dispatcher.until(lambda fake: fake.running == 2)
        both_run.set()

    async with (
        running_router(tmp_path, two_calls(), dispatcher) as router,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(release)
        await (await router.client()).beta.messages.create(**ASKED)

    assert {call.tenant for call in dispatcher.calls} == {"tester"}
    assert len({call.session for call in dispatcher.calls}) == 1
    assert [hint.name for hint in dispatcher.hints] == ["echo", "echo"]


async def test_a_mixed_turn_comes_to_the_client_and_goes_on_with_all_results(
    tmp_path: Path,
) -> None:
    mixed = Turn(
        blocks=(
            ToolUseBlock(id="toolu_ours", name="echo", input={}),
            ToolUseBlock(id="toolu_theirs", name="read_file", input={"path": "x"}),
        ),
        stop_reason="tool_use",
    )
    model = ScriptedModel(Scenario(turns=(mixed, ANSWER)))
    theirs: Any = {"name": "read_file", "input_schema": {"type": "object"}}
    dispatcher = FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        client = await router.client()
        first = await client.beta.messages.create(**ASKED, tools=[theirs])
        assert first.stop_reason == "tool_use"
        assert kinds(first) == ["mcp_tool_use", "tool_use", "mcp_tool_result"]

        own = {"type": "tool_result", "tool_use_id": "toolu_theirs", "content": "text of x"}
        history: Any = [
            *ASKED["messages"],
            {"role": "assistant", "content": first.to_dict()["content"]},
            {"role": "user", "content": [own]},
        ]
        second = await client.beta.messages.create(**ASKED | {"messages": history}, tools=[theirs])

    assert second.stop_reason == "end_turn"
    assert [call.tool_use_id for call in dispatcher.calls] == ["toolu_ours"]
    sent = json.loads(model.requests[1])["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in sent[2]["content"]] == ["toolu_ours", "toolu_theirs"]


async def test_the_official_tool_runner_works_with_a_tool_of_ours_beside_its_own(
    tmp_path: Path,
) -> None:
    calls = Turn(
        blocks=(
            ToolUseBlock(id="toolu_ours", name="echo", input={}),
            ToolUseBlock(id="toolu_theirs", name="add", input={"a": 1, "b": 2}),
        ),
        stop_reason="tool_use",
    )
    seen: list[int] = []

    @anthropic.beta_async_tool
    async def add(a: int, b: int) -> str:
        """Add two numbers."""
        seen.append(a + b)
        return str(a + b)

    model = ScriptedModel(Scenario(turns=(calls, ANSWER)))
    async with running_router(tmp_path, model, FakeDispatcher()) as router:
        runner = (await router.client()).beta.messages.tool_runner(**ASKED, tools=[add])
        last = await runner.until_done()

    assert seen == [3]
    assert kinds(last) == ["text"]
    results = json.loads(model.requests[1])["messages"][2]["content"]
    assert [block["tool_use_id"] for block in results] == ["toolu_ours", "toolu_theirs"]


async def test_without_allowed_tools_the_request_goes_through_as_it_is(tmp_path: Path) -> None:
    model = ScriptedModel(Scenario(turns=(ANSWER,)))
    async with running_router(tmp_path, model, FakeDispatcher(), allowed=()) as router:
        await (await router.client()).messages.create(**ASKED)
    assert "tools" not in json.loads(model.requests[0])
