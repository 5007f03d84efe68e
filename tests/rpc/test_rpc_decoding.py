"""What is no protobuf is refused in words of ours."""

import grpc
import pytest

from auxot_tools.rpc.server import SERVICE_NAME
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import raw_channel, served

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("method", ["Prepare", "ExecuteTool"])
async def test_garbage_is_an_invalid_argument(method: str) -> None:
    async with served(FakeDispatcher()) as server, raw_channel(server) as channel:
        # The wire does not tell a stream of one message from a single one.
        ask = channel.unary_stream(f"/{SERVICE_NAME}/{method}", bytes, bytes)
        answer = ask(b"\xff\xff\xff", timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "tools.proto" in (caught.value.details() or "")
