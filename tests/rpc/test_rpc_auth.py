"""Who is let in with a key, and what needs none."""

import logging
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.server import SERVICE_NAME
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import ToolCall
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import (
    KEY,
    health_of,
    raw_channel,
    refusal_of,
    result_of,
    served,
)

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING


async def _services(channel: grpc.aio.Channel, key: str = "") -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    answers = stub.ServerReflectionInfo(iter([request]), timeout=5, metadata=metadata)
    return [
        service.name
        async for answer in answers
        for service in answer.list_services_response.service
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", f"Bearer {KEY}x"),),
        (("authorization", f"Bearer {KEY[:-1]}"),),
        (("authorization", "Bearer "),),
        (("authorization", KEY),),
        (("authorization", f"Basic {KEY}"),),
        (("x-api-key", KEY),),
        (("authorization", "Bearer wrong"), ("authorization", f"Bearer {KEY}")),
    ],
)
async def test_without_the_key_nothing_is_run(metadata: tuple[tuple[str, str], ...]) -> None:
    fake = FakeDispatcher()
    async with served(fake, key=KEY) as server, raw_channel(server) as channel:
        error = await refusal_of(channel, metadata=metadata)
        for method in ("GetInfo", "ListTools", "Prepare"):
            with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
                await getattr(ToolsStub(channel), method)(
                    getattr(pb, f"{method}Request")(), timeout=5, metadata=metadata
                )
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert KEY not in str(error)
    assert not fake.calls
    assert not fake.hints


async def test_with_the_key_calls_are_run(tmp_path: Path) -> None:
    socket_path = f"unix:{tmp_path}/w.sock"
    async with served(FakeDispatcher(), "127.0.0.1:0", socket_path, key=KEY) as server:
        for address in server.addresses:
            async with RemoteDispatcher(WorkerTarget(address, KEY)) as client:
                assert not (await result_of(client)).is_error
                assert len(await client.list_tools()) == 1


async def test_health_needs_no_key_and_reflection_does() -> None:
    async with served(FakeDispatcher(), key=KEY) as server, raw_channel(server) as channel:
        assert await health_of(channel) == SERVING
        with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
            await _services(channel)
        assert SERVICE_NAME in await _services(channel, KEY)


async def test_without_a_key_of_its_own_a_worker_asks_for_none() -> None:
    async with served(FakeDispatcher()) as server, raw_channel(server) as channel:
        assert sorted(await _services(channel)) == [
            SERVICE_NAME,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        ]


async def test_no_log_line_holds_the_key_or_an_argument(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    call = ToolCall("toolu_1", "echo", b'{"password":"hunter2"}')
    async with served(FakeDispatcher(), key=KEY) as server:
        for key in (KEY, "wrong-k3y"):
            async with RemoteDispatcher(WorkerTarget(server.addresses[0], key)) as client:
                await result_of(client, call)
    assert "AUXOT_WORKER_KEY" in caplog.text
    for secret in (KEY, "wrong-k3y", "hunter2"):
        assert secret not in caplog.text
