"""A worker's gRPC server over any dispatcher, and its clients, for the length of a ``with``."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auxot_tools.ports import ToolDispatcher
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.info import WorkerFacts
from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Deadline, ToolCall, ToolResult
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub

KEY = "k3y-0f-the-w0rker"
CALL = ToolCall("toolu_1", "echo", b"{}")
REQUEST = pb.ExecuteToolRequest(tool_use_id="toolu_1", tool_name="echo", input_json=b"{}")
FACTS = WorkerFacts("worker-1", "0.1.0", ("isolation:call",), 3, 4, 2)


def takes_any(_credentials: Mapping[str, str]) -> str:
    """A rule for credentials that finds no fault."""
    return ""


@asynccontextmanager
async def served(
    dispatcher: ToolDispatcher, *listen: str, **settings: Any
) -> AsyncIterator[WorkerServer]:
    """``dispatcher`` served at ``listen`` (a loopback port of the system's choice when empty).

    ``credential_fault`` among the ``settings`` judges what calls bring; without it all may come.
    """
    fault = settings.pop("credential_fault", takes_any)
    config = ListenerConfig(listen or ("127.0.0.1:0",), **settings)
    async with WorkerServer(dispatcher, FACTS, config, credential_fault=fault) as server:
        yield server


@asynccontextmanager
async def remote(dispatcher: ToolDispatcher, *listen: str) -> AsyncIterator[RemoteDispatcher]:
    """``dispatcher`` as it is seen through gRPC."""
    async with (
        served(dispatcher, *listen) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        yield client


def raw_channel(server: WorkerServer) -> grpc.aio.Channel:
    """A plain channel to the first address of ``server``, without any key."""
    return grpc.aio.insecure_channel(server.addresses[0], (("grpc.enable_http_proxy", 0),))


async def result_of(client: RemoteDispatcher, call: ToolCall = CALL) -> ToolResult:
    """The result of ``call``, which must be the last event."""
    with anyio.fail_after(20):
        events = [event async for event in client.execute(call, Deadline.after(10))]
    assert isinstance(events[-1], ToolResult)
    return events[-1]


async def refusal_of(
    channel: grpc.aio.Channel,
    request: pb.ExecuteToolRequest = REQUEST,
    metadata: tuple[tuple[str, str], ...] = (),
) -> grpc.aio.AioRpcError:
    """The status that ends a call which gets no result."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in ToolsStub(channel).ExecuteTool(request, timeout=5, metadata=metadata):
            pass
    return caught.value


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    """The serving status of ``service``."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return int(answer.status)
