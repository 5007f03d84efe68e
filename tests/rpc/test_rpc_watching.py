"""Health is for everybody; watching it is for so many."""

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auxot_tools.rpc.watching import MAX_WATCHERS
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import health_of, raw_channel, served

pytestmark = pytest.mark.anyio


async def test_watchers_cannot_take_the_places_of_calls() -> None:
    async with served(FakeDispatcher(), key="k") as server, raw_channel(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_WATCHERS + 40)]
        outcomes = []
        with anyio.fail_after(20):
            for watch in watches:
                try:
                    await watch.read()
                    outcomes.append("watches")
                except grpc.aio.AioRpcError as error:
                    outcomes.append(error.code().name)
            assert await health_of(channel) == health_pb2.HealthCheckResponse.SERVING
        assert outcomes.count("watches") == MAX_WATCHERS
        assert set(outcomes) == {"watches", "RESOURCE_EXHAUSTED"}
        for watch in watches:
            watch.cancel()
