"""Limits in a request that are no limits are refused by name; huge ones arrive as they are."""

import grpc
import pytest

from auxot_tools.types import CallLimits
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import raw_channel, refusal_of, served

pytestmark = pytest.mark.anyio


def asking(**limits: float) -> pb.ExecuteToolRequest:
    return pb.ExecuteToolRequest(
        tool_use_id="toolu_1",
        tool_name="echo",
        limits=pb.CallLimits(
            timeout_s=limits.get("timeout_s"),
            output_bytes=int(limits["output_bytes"]) if "output_bytes" in limits else None,
        ),
    )


@pytest.mark.parametrize("timeout_s", [0.0, -0.0, -1.0, float("nan"), float("inf"), -float("inf")])
async def test_a_time_that_is_none_is_refused_by_name(timeout_s: float) -> None:
    fake = FakeDispatcher()
    async with served(fake) as server, raw_channel(server) as channel:
        refused = await refusal_of(channel, asking(timeout_s=timeout_s))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "`limits.timeout_s` must be a number of seconds above 0" in (refused.details() or "")
    assert fake.calls == []


async def test_huge_limits_arrive_and_are_lowered_by_the_worker_alone() -> None:
    fake = FakeDispatcher()
    async with served(fake) as server, raw_channel(server) as channel:
        stream = ToolsStub(channel).ExecuteTool(
            asking(timeout_s=1e308, output_bytes=2**63), timeout=5
        )
        assert [message.WhichOneof("event") async for message in stream][-1] == "completed"
    assert fake.calls[0].limits == CallLimits(1e308, 2**63)
