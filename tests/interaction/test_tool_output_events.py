"""Live tool output: extra named events for a client that asks, and nothing for all others."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from auxot_tools.types import OutputChunk
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import KEY, running_router

pytestmark = pytest.mark.anyio

CALL = Turn(blocks=(ToolUseBlock(id="toolu_1", name="echo"),), stop_reason="tool_use")
ANSWER = Turn(blocks=(TextBlock(text="done"),))
OUTPUT = (
    OutputChunk("stdout", "first é"[:-1].encode() + b"\xc3"),
    OutputChunk("stdout", b"\xa9 second\n"),
    OutputChunk("stderr", b"oh\n"),
)
ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


async def events_of(
    tmp_path: Path, headers: dict[str, str], *, until: anyio.Event | None = None
) -> list[Any]:
    """The events of one streamed answer; `until` is set when the first output has come."""
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), output=OUTPUT, until=until)])
    told = []
    async with (
        running_router(tmp_path, model, dispatcher) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY} | headers) as session,
        session.post(router.messages_url, data=json.dumps(ASKED | {"stream": True})) as response,
    ):
        with anyio.fail_after(20):
            async for line in response.content:
                if line.startswith(b"data:"):
                    told.append(json.loads(line[5:]))
                    if until is not None and told[-1]["type"] == "auxot.tool_output":
                        until.set()
    return told


async def test_output_leaves_while_the_call_runs(tmp_path: Path) -> None:
    may_end = anyio.Event()
    told = await events_of(tmp_path, {"Auxot-Events": "tool_output"}, until=may_end)
    live = [event for event in told if event["type"] == "auxot.tool_output"]
    assert [(one["stream"], one["sequence"], one["text"]) for one in live] == [
        ("stdout", 0, "first "),
        ("stdout", 1, "é second\n"),
        ("stderr", 2, "oh\n"),
    ]
    assert {one["tool_use_id"] for one in live} == {"mcptoolu_auxot_toolu_1"}
    kinds = [(each["type"], each.get("content_block", {}).get("type")) for each in told]
    first = kinds.index(("auxot.tool_output", None))
    assert kinds.index(("content_block_start", "mcp_tool_use")) < first
    assert first < kinds.index(("content_block_start", "mcp_tool_result"))


@pytest.mark.parametrize("headers", [{}, {"auxot-events": "something-else"}])
async def test_without_the_header_nothing_leaves_that_a_strict_client_would_refuse(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    told = await events_of(tmp_path, headers)
    assert "auxot" not in "".join(event["type"] for event in told)
    assert told[-1]["type"] == "message_stop"


@pytest.mark.parametrize("strict", [False, True])
async def test_the_official_sdk_reads_the_message_beside_the_extra_events(
    tmp_path: Path, strict: bool
) -> None:
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), output=OUTPUT)])
    headers = {} if strict else {"auxot-events": "tool_output"}
    async with running_router(tmp_path, model, dispatcher) as router:
        client = await router.client(strict=strict)
        async with client.beta.messages.stream(**ASKED, extra_headers=headers) as stream:
            message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["mcp_tool_use", "mcp_tool_result", "text"]
