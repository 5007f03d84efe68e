"""Calls that wait for an operator, through gRPC: listed, allowed, refused, and every failure."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import grpc
import pytest

from auxot_tools.errors import AuxotError, NotFound, Unavailable
from auxot_tools.ports import WaitingCall
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.rpc.status import INTERNAL_TEXT
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub
from tests.support.fake_approvals import TRICK, FakeApprovals, waiting_call
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import FACTS, KEY, raw_channel

pytestmark = pytest.mark.anyio

Ask = Callable[[RemoteDispatcher], Awaitable[Any]]


async def list_them(client: RemoteDispatcher) -> Any:
    return await client.list_approvals()


async def allow_one(client: RemoteDispatcher) -> Any:
    return await client.decide_approval("a1", allow=True)


both = pytest.mark.parametrize("ask", [list_them, allow_one])


@asynccontextmanager
async def served(approvals: FakeApprovals | None, key: str = "") -> AsyncIterator[WorkerServer]:
    config = ListenerConfig(("127.0.0.1:0",), key=key)
    async with WorkerServer(FakeDispatcher(), FACTS, config, approvals=approvals) as server:
        yield server


@asynccontextmanager
async def remote(approvals: FakeApprovals | None) -> AsyncIterator[RemoteDispatcher]:
    async with (
        served(approvals) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        yield client


async def test_what_waits_comes_through_as_it_is_and_in_order() -> None:
    waiting = [
        waiting_call("a2", TRICK.encode() + b"\xff\x00"),
        waiting_call("a1"),
        WaitingCall("", "", "", b"", 0.0, 0.0),
    ]
    async with remote(FakeApprovals(list(waiting))) as client:
        assert list(await client.list_approvals()) == waiting


async def test_an_input_is_cut_to_4_kib() -> None:
    approvals = FakeApprovals([waiting_call("a1", b"x" * 5000)])
    async with remote(approvals) as client:
        (shown,) = await client.list_approvals()
    assert shown.input_json == b"x" * 4096


@pytest.mark.parametrize("allow", [True, False])
async def test_a_decision_arrives_with_who_made_it(allow: bool) -> None:
    approvals = FakeApprovals([waiting_call("a1"), waiting_call("a2")])
    async with remote(approvals) as client:
        await client.decide_approval("a2", allow=allow, by="ann")
        assert [call.id for call in await client.list_approvals()] == ["a1"]
    assert approvals.decided == [("a2", allow, "ann")]


async def test_who_decided_is_cut_to_what_a_log_holds() -> None:
    approvals = FakeApprovals([waiting_call()])
    async with remote(approvals) as client:
        await client.decide_approval("a1", allow=True, by="a" * 10_000)
    assert approvals.decided == [("a1", True, "a" * 200)]


@pytest.mark.parametrize("approval_id", ["a2", "", "x" * 10_000, "\ud800", "\x00"])
async def test_a_call_that_does_not_wait_is_not_found(approval_id: str) -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    async with remote(approvals) as client:
        with pytest.raises(NotFound, match="waits for an answer") as caught:
            await client.decide_approval(approval_id, allow=True)
    assert not approval_id or approval_id not in str(caught.value)
    assert approvals.decided == []


async def test_without_approvals_nothing_waits_and_nothing_is_found() -> None:
    async with remote(None) as client:
        assert await client.list_approvals() == ()
        with pytest.raises(NotFound):
            await client.decide_approval("a1", allow=True)


@both
async def test_a_worker_that_is_down_is_named_with_what_to_do(ask: Ask, tmp_path: Path) -> None:
    async with RemoteDispatcher(WorkerTarget(f"unix:{tmp_path}/nobody.sock")) as client:
        with anyio.fail_after(6), pytest.raises(Unavailable, match="auxot-tools worker"):
            await ask(client)


@both
async def test_a_wrong_key_decides_and_learns_nothing(ask: Ask) -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    async with (
        served(approvals, KEY) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0], "wrong")) as client,
    ):
        with pytest.raises(Unavailable, match="AUXOT_WORKER_KEY"):
            await ask(client)
    assert approvals.decided == []


@both
@pytest.mark.parametrize(
    "error", [RuntimeError("a secret"), Unavailable("no desk"), TimeoutError()]
)
async def test_a_failing_desk_is_unavailable(ask: Ask, error: BaseException) -> None:
    async with remote(FakeApprovals([waiting_call("a1")], error)) as client:
        with pytest.raises(AuxotError) as caught:
            await ask(client)
    assert type(caught.value) is Unavailable
    assert "secret" not in str(caught.value)


async def test_a_message_that_is_no_protobuf_is_an_invalid_argument() -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    async with served(approvals) as server, raw_channel(server) as channel:
        decide: Any = channel.unary_unary(
            f"/{pb.DESCRIPTOR.package}.Tools/DecideApproval", None, None
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await decide(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() != INTERNAL_TEXT
    assert approvals.decided == []


async def test_a_draining_worker_still_takes_decisions() -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    async with served(approvals) as server, raw_channel(server) as channel:
        await server.begin_drain()
        request = pb.DecideApprovalRequest(id="a1", allow=True)
        await ToolsStub(channel).DecideApproval(request, timeout=5)
    assert approvals.decided == [("a1", True, "")]
