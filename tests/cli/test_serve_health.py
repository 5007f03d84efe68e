"""What a worker says of itself: its health while it cannot run anything, and what it offers."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import grpc
import pytest
from grpc_health.v1 import health_pb2

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Status, ToolCall
from tests.support.served_worker import health_of, result_of
from tests.support.whole import WORKER_KEY, whole

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CALL = ToolCall("toolu_1", "code_executor", b'{"code":"print(1)"}')


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("engine_url", "unix:///nonexistent.sock", "does not answer"),
        ("image", "auxot-tools/none:none", "is not on this worker"),
    ],
)
async def test_without_engine_or_image_health_is_not_serving_and_calls_say_why(
    home: Path, setting: str, value: str, words: str
) -> None:
    async with whole(home, **{setting: value}) as product:
        address = product.stack.worker
        options = (("grpc.enable_http_proxy", 0),)
        async with grpc.aio.insecure_channel(address, options) as channel:
            with anyio.fail_after(20):
                while await health_of(channel) != NOT_SERVING:
                    await anyio.lowlevel.checkpoint()
        async with RemoteDispatcher(WorkerTarget(address, key=WORKER_KEY)) as client:
            result = await result_of(client, CALL)
    assert result.status is Status.UNAVAILABLE
    assert words in result.content[0]["text"]


async def test_the_isolation_that_the_operator_allows_is_told_and_used(home: Path) -> None:
    settings = {"isolation": "warm", "allowed_isolation": ["warm"]}
    async with (
        whole(home, **settings) as product,
        RemoteDispatcher(WorkerTarget(product.stack.worker, key=WORKER_KEY)) as client,
    ):
        info = await client.get_info()
        result = await result_of(client, CALL)
    assert info.capabilities == ("isolation:call", "isolation:warm")
    assert (result.status, result.isolation) == (Status.COMPLETED, "warm")
