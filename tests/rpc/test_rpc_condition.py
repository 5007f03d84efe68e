"""Health follows what the worker knows of itself."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2

from auxot_tools.rpc.condition import follow_problem
from auxot_tools.rpc.server import SERVICE_NAME, WorkerServer
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import health_of, raw_channel, served

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LOOK_EVERY_S = 0.01


class Trouble:
    """A problem that comes and goes."""

    def __init__(self) -> None:
        self.text = ""

    def problem(self) -> str:
        return self.text


@asynccontextmanager
async def followed(
    trouble: Trouble,
) -> AsyncIterator[tuple[WorkerServer, grpc.aio.Channel]]:
    async with (
        served(FakeDispatcher()) as server,
        raw_channel(server) as channel,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(follow_problem, server, trouble.problem, LOOK_EVERY_S)
        yield server, channel
        tasks.cancel_scope.cancel()


async def until_health_is(channel: grpc.aio.Channel, status: int) -> None:
    with anyio.fail_after(10):
        for service in ("", SERVICE_NAME):
            while await health_of(channel, service) != status:
                await anyio.lowlevel.checkpoint()


async def test_a_problem_is_told_by_health_until_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble = Trouble()
    with caplog.at_level(logging.INFO, "auxot_tools.rpc.condition"):
        async with followed(trouble) as (_server, channel):
            await until_health_is(channel, SERVING)
            trouble.text = "the engine does not answer"
            await until_health_is(channel, NOT_SERVING)
            trouble.text = ""
            await until_health_is(channel, SERVING)
    assert caplog.messages.count("health is NOT_SERVING: the engine does not answer") == 1


async def test_a_draining_worker_never_serves_again() -> None:
    trouble = Trouble()
    async with followed(trouble) as (server, channel):
        await server.begin_drain()
        await server.set_serving(True)
        await until_health_is(channel, NOT_SERVING)
