"""A caller that does not read is given up: it holds a slot and a container."""

import anyio
import grpc
import pytest

from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.types import OutputChunk
from auxot_tools.v1.tools_pb2_grpc import ToolsStub
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.served_worker import FACTS, REQUEST, raw_channel

pytestmark = pytest.mark.anyio

FLOOD = tuple(OutputChunk("stdout", b"x" * 2**16) for _ in range(2000))  # beyond every buffer


async def test_a_caller_that_does_not_read_loses_its_call() -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), output=FLOOD)])
    config = ListenerConfig(("127.0.0.1:0",))
    server = WorkerServer(dispatcher, FACTS, config, read_patience_s=0.3)
    async with server, raw_channel(server) as channel:
        call = ToolsStub(channel).ExecuteTool(REQUEST)
        await dispatcher.until(lambda fake: fake.cancelled == ["toolu_1"], within_s=15)
        with anyio.fail_after(15), pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_to_the_end(call)
        with anyio.fail_after(15):
            while server.running_calls:
                await anyio.lowlevel.checkpoint()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def read_to_the_end(call: grpc.aio.UnaryStreamCall) -> None:  # type: ignore[type-arg]
    async for _ in call:
        pass
