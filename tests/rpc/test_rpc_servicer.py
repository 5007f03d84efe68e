"""What callers are told: statuses, deadlines, limits."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from auxot_tools.errors import Draining, Overloaded, Unavailable
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.limits import DEFAULT_EXECUTE_S, MAX_REQUEST_BYTES
from auxot_tools.rpc.status import INTERNAL_TEXT, NOT_RUN_KEY
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import CallEvent, Deadline, Started, ToolCall
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.served_worker import FACTS, REQUEST, raw_channel, refusal_of, served

pytestmark = pytest.mark.anyio


async def test_info_is_what_the_worker_says_of_itself() -> None:
    async with (
        served(FakeDispatcher()) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        assert await client.get_info() == FACTS


@pytest.mark.parametrize(
    ("error", "code", "text", "is_not_run"),
    [
        (Draining("stopping"), grpc.StatusCode.UNAVAILABLE, "stopping", True),
        (Overloaded("busy"), grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", True),
        (Unavailable("no engine"), grpc.StatusCode.UNAVAILABLE, "no engine", False),
        (RuntimeError("a secret"), grpc.StatusCode.INTERNAL, INTERNAL_TEXT, False),
        (asyncio.CancelledError(), grpc.StatusCode.INTERNAL, INTERNAL_TEXT, False),
    ],
)
async def test_what_a_dispatcher_raises_becomes_a_status_with_our_text(
    error: BaseException, code: grpc.StatusCode, text: str, is_not_run: bool
) -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), error=error)])
    async with served(fake) as server, raw_channel(server) as channel:
        status = await refusal_of(channel)
    assert (status.code(), status.details()) == (code, text)
    metadata: Any = status.trailing_metadata()
    assert (NOT_RUN_KEY in metadata) is is_not_run


async def test_a_message_that_breaks_the_contract_is_an_invalid_argument() -> None:
    fake = FakeDispatcher()
    async with served(fake) as server, raw_channel(server) as channel:
        status = await refusal_of(channel, pb.ExecuteToolRequest(tool_name="echo"))
    assert status.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "`tool_use_id`" in (status.details() or "")
    assert fake.calls == []


async def test_a_message_beyond_the_size_limit_is_refused() -> None:
    fake = FakeDispatcher()
    large = pb.ExecuteToolRequest(
        tool_use_id="t", tool_name="echo", input_json=b"x" * MAX_REQUEST_BYTES
    )
    async with served(fake) as server, raw_channel(server) as channel:
        status = await refusal_of(channel, large)
    assert status.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert fake.calls == []


async def test_a_dispatcher_without_a_result_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    async with served(_Silent()) as server, raw_channel(server) as channel:
        status = await refusal_of(channel)
    assert status.code() is grpc.StatusCode.INTERNAL
    assert "without a result" in caplog.text


async def test_a_call_without_a_deadline_gets_the_contracts() -> None:
    fake = FakeDispatcher()
    async with served(fake) as server, raw_channel(server) as channel:
        async for _ in ToolsStub(channel).ExecuteTool(REQUEST):
            pass
    assert DEFAULT_EXECUTE_S - 10 < fake.deadlines[0].remaining_s() <= DEFAULT_EXECUTE_S


async def test_a_calls_deadline_leaves_room_for_its_answer() -> None:
    fake = FakeDispatcher()
    async with served(fake) as server, raw_channel(server) as channel:
        async for _ in ToolsStub(channel).ExecuteTool(REQUEST, timeout=20):
            pass
    # The wire rounds a deadline up by as much as 1 %.
    assert 15 < fake.deadlines[0].remaining_s() < 19.5


async def test_a_caller_that_breaks_off_stops_the_program() -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with served(fake) as server, raw_channel(server) as channel:
        call = ToolsStub(channel).ExecuteTool(REQUEST, timeout=20)
        async for event in call:
            assert event.WhichOneof("event") == "started"
            call.cancel()
            break
        await fake.until(lambda fake: fake.cancelled == ["toolu_1"])
        await fake.until(lambda fake: fake.running == 0)


class _Silent(FakeDispatcher):
    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        yield Started(call.tool_use_id)
