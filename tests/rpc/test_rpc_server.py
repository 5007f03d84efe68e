"""Stop and drain, seen from outside."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.server import SERVICE_NAME, WorkerServer
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Deadline, Status, ToolCall, ToolResult
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, text_of, tool_spec
from tests.support.served_worker import CALL, health_of, raw_channel, result_of, served

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def _one_running_call(
    tool: FakeTool,
) -> AsyncIterator[tuple[FakeDispatcher, WorkerServer, RemoteDispatcher, list[ToolResult]]]:
    """A served worker that has one call running; its result lands in the list."""
    fake = FakeDispatcher([tool, echo_tool("quick")])
    results: list[ToolResult] = []

    async def run() -> None:
        results.append(await result_of(client))

    async with (
        served(fake) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run)
        await fake.until(lambda fake: fake.running == 1)
        yield fake, server, client, results


async def test_draining_says_not_serving_refuses_new_and_lets_running_finish() -> None:
    go = anyio.Event()
    tool = FakeTool(tool_spec("echo"), until=go)
    async with _one_running_call(tool) as (fake, server, client, results):
        async with raw_channel(server) as channel:
            assert await health_of(channel, SERVICE_NAME) == SERVING
            await server.begin_drain()
            assert await health_of(channel) == NOT_SERVING
            assert await health_of(channel, SERVICE_NAME) == NOT_SERVING
        refused = await result_of(client, ToolCall("toolu_2", "quick", b""))
        assert refused.status is Status.UNAVAILABLE
        assert text_of(refused).endswith("This call was not run.")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.stop, 10)
            go.set()
    assert [result.status for result in results] == [Status.COMPLETED]
    assert [call.tool_use_id for call in fake.calls] == ["toolu_1"]


async def test_what_outlives_the_grace_is_cancelled_told_and_cleaned_up() -> None:
    cleaned = anyio.Event()

    async def clean_up() -> None:
        await anyio.sleep(0.3)  # a container takes its time to die
        cleaned.set()

    tool = FakeTool(tool_spec("echo"), hangs=True, clean_up=clean_up)
    async with _one_running_call(tool) as (fake, server, _client, results):
        await server.stop(0.1)
        assert cleaned.is_set()
        assert server.running_calls == fake.running == 0
    assert [result.status for result in results] == [Status.CANCELLED]
    assert "worker is stopping" in text_of(results[0])


async def test_the_clean_up_of_a_caller_that_left_is_waited_for_too() -> None:
    cleaned, left = anyio.Event(), anyio.Event()

    async def clean_up() -> None:
        left.set()
        await anyio.sleep(0.3)
        cleaned.set()

    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True, clean_up=clean_up)])
    async with served(fake) as server:
        async with RemoteDispatcher(WorkerTarget(server.addresses[0])) as client:
            async with aclosing(client.execute(CALL, Deadline.after(10))) as events:
                await anext(events)
            with anyio.fail_after(5):
                await left.wait()
        await server.stop(5)
        assert cleaned.is_set()


async def test_an_idle_server_stops_at_once_and_twice_is_once() -> None:
    async with served(FakeDispatcher()) as server, raw_channel(server) as channel:
        assert await health_of(channel) == SERVING
        with anyio.fail_after(3):
            await server.stop(60)
            await server.stop(60)
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await health_of(channel)


async def test_a_health_watcher_is_told_and_does_not_hold_the_server_up() -> None:
    async with served(FakeDispatcher()) as server, raw_channel(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=20)
        assert (await watch.read()).status == SERVING
        with anyio.fail_after(5):
            await server.stop(60)
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_no_descriptor_and_no_task_outlives_its_server() -> None:
    async def one_life() -> None:
        async with (
            served(FakeDispatcher()) as server,
            RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
        ):
            assert not (await result_of(client)).is_error

    await one_life()
    tasks = len(anyio.get_running_tasks())
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        await one_life()
    # gRPC's own threads may close the last one's sockets a moment later.
    assert len(os.listdir("/proc/self/fd")) < descriptors + 10  # noqa: PTH208
    assert len(anyio.get_running_tasks()) == tasks
