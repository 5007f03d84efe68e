"""The streamed variant of execute: the order of its events, pings, and its one end."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.loop.live_output import MAX_LIVE_BYTES
from auxot_tools.router.services import RouterLimits
from auxot_tools.types import Artifact, OutputChunk, Status
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.tools_api import Answer, tools_api

pytestmark = pytest.mark.anyio

ECHO = {"tool": "echo", "arguments": {"a": 1}, "stream": True}
OUTPUT = (
    OutputChunk("stdout", "é 漢".encode()[:1]),
    OutputChunk("stderr", b"oh\n"),
    OutputChunk("stdout", "é 漢".encode()[1:5]),
    OutputChunk("stdout", "漢".encode()[2:] + b"\xff\r\n\ndata: x\n"),
)


async def streamed(tmp_path: Path, body: Any = ECHO, **tool: Any) -> Answer:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), **tool)])
    async with tools_api(tmp_path, dispatcher) as client:
        return await client.execute(body)


def names(answer: Answer) -> list[str]:
    return [event["type"] for event in answer.events]


async def test_a_call_is_told_from_its_start_over_its_output_to_its_result(tmp_path: Path) -> None:
    members = {"artifacts": (Artifact("a", "text/plain", b"x" * 400_000),)}
    got = await streamed(tmp_path, output=OUTPUT, members=members)
    started, *output, result = got.events
    assert (got.status, got.headers["x-accel-buffering"]) == (200, "no")
    assert started == {
        "type": "started",
        "tool_use_id": result["tool_use_id"],
        "isolation": "call",
    }
    assert [(one["stream"], one["sequence"], one["text"]) for one in output] == [
        ("stderr", 0, "oh\n"),
        ("stdout", 1, "é "),
        ("stdout", 2, "漢\ufffd\r\n\ndata: x\n"),
    ]
    assert {(one["type"], one["tool_use_id"]) for one in output} == {
        ("output", result["tool_use_id"])
    }
    assert (result["type"], result["result"], result["status"]) == (
        *("result", {"a": 1}),
        "completed",
    )


async def test_the_result_is_the_same_object_as_the_whole_answer(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    async with tools_api(tmp_path, dispatcher) as client:
        whole = await client.execute(ECHO | {"stream": False})
        result = (await client.execute(ECHO)).events[-1]
    assert result.pop("type") == "result"
    ids = {"tool_use_id"}
    assert {k: v for k, v in result.items() if k not in ids} == {
        k: v for k, v in whole.body.items() if k not in ids
    }


async def test_output_leaves_while_the_program_runs(tmp_path: Path) -> None:
    go = anyio.Event()
    tool = FakeTool(tool_spec("echo"), output=(OutputChunk("stdout", b"early"),), until=go)
    seen: list[str] = []
    async with tools_api(tmp_path, FakeDispatcher([tool])) as client:
        with anyio.fail_after(10):
            async with client.session.post(client.url("execute"), json=ECHO) as response:
                async for line in response.content:
                    if line.startswith(b"data:"):
                        seen.append(json.loads(line[5:])["type"])
                    if seen == ["started", "output"]:
                        go.set()
    assert seen == ["started", "output", "result"]


@pytest.mark.parametrize(
    ("accept", "stream", "is_streamed"),
    [
        ("text/event-stream", None, True),
        ("application/json, text/event-stream;q=0.9", None, True),
        ("TEXT/EVENT-STREAM", None, True),
        ("*/*", None, False),
        ("text/event-streams", None, False),
        ("text/event-stream", False, False),
        ("application/json", True, True),
    ],
)
async def test_the_body_says_whether_to_stream_or_else_what_the_client_accepts(
    tmp_path: Path, accept: str, stream: bool | None, is_streamed: bool
) -> None:
    async with tools_api(tmp_path, FakeDispatcher()) as client:
        got = await client.execute(ECHO | {"stream": stream}, accept=accept)
    assert got.headers["content-type"].startswith("text/event-stream") is is_streamed


@pytest.mark.parametrize("status", [status for status in Status if status != "completed"])
async def test_a_failed_call_ends_in_one_result_that_says_how(
    tmp_path: Path, status: Status
) -> None:
    got = await streamed(tmp_path, status=status, starts=False, reply=lambda _: "no")
    (result,) = got.events
    assert (got.status, result["type"], result["is_error"]) == (200, "result", True)
    assert result["status"] == str(status)
    assert result["error"]["message"]
    assert result["content"] == [{"type": "text", "text": "no"}]
    assert result["request_id"] == got.headers["request-id"]


async def test_what_is_refused_before_a_call_keeps_its_status(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([echo_tool()])
    async with tools_api(tmp_path, dispatcher, key={"requests_per_minute": 2}) as client:
        wrong = await client.execute(b"{", accept="text/event-stream")
        forbidden = await client.execute(ECHO | {"tool": "other"})
        await client.execute(ECHO)
        limited = await client.execute(ECHO)
    assert [got.error[0] for got in (wrong, forbidden, limited)] == [400, 403, 429]
    gone = FakeDispatcher(list_error=Unavailable("gone"))
    async with tools_api(tmp_path / "other", gone) as client:
        assert (await client.execute(ECHO)).error[0] == 503


async def test_a_silent_call_is_pinged_also_before_it_starts(tmp_path: Path) -> None:
    go = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), until=go, starts=False)])
    limits = RouterLimits(ping_interval_s=0.02)
    pings = 0
    async with tools_api(tmp_path, dispatcher, limits=limits) as client:
        with anyio.fail_after(10):
            async with client.session.post(client.url("execute"), json=ECHO) as response:
                text = b""
                async for line in response.content:
                    text += line
                    pings += line == b"event: ping\n"
                    if pings == 3:
                        go.set()
    assert pings >= 3
    assert text.count(b"event: result\n") == 1
    assert text.endswith(b"\n\n")


async def test_a_dispatcher_that_raises_ends_the_stream_in_a_result(tmp_path: Path) -> None:
    got = await streamed(tmp_path, error=RuntimeError("a secret"))
    assert names(got) == ["result"]
    assert got.events[0]["status"] == "internal"
    assert "secret" not in got.text


async def test_endless_output_is_told_only_for_a_while(tmp_path: Path) -> None:
    chunk = OutputChunk("stdout", b"x" * 65_536)
    got = await streamed(tmp_path, output=(chunk,) * 40)
    output = [event for event in got.events if event["type"] == "output"]
    assert len(got.text) < 2 * MAX_LIVE_BYTES
    assert "live output ends here" in output[-1]["text"]
    assert names(got)[-1] == "result"
