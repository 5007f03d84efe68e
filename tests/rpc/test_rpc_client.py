"""``RemoteDispatcher`` against workers that are down, killed, busy or out of order."""

import math
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import grpc
import pytest

from auxot_tools.errors import Overloaded, Unavailable
from auxot_tools.rpc.client import PREPARE_S, RemoteDispatcher
from auxot_tools.rpc.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import CallHint, Deadline, OutputChunk, Started, Status, ToolCall, ToolResult
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsServicer, add_ToolsServicer_to_server
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, text_of, tool_spec
from tests.support.served_worker import CALL, KEY, remote, result_of, served

pytestmark = pytest.mark.anyio

HINT = CallHint("echo")
NOT_RUN = "This call was not run."
UNSURE = "it may or may not have had effects."
DONE = pb.ExecuteToolResponse(
    completed=pb.Completed(
        tool_use_id="toolu_1", status=pb.STATUS_COMPLETED, content_json=[b'{"type":"text"}']
    )
)


class _Scripted(ToolsServicer):
    """A worker that answers every call with the same messages, whatever the contract says."""

    def __init__(self, messages: Sequence[pb.ExecuteToolResponse], hangs: bool = False) -> None:
        self._messages = messages
        self._hangs = hangs
        self.listing = pb.ListToolsResponse()
        self.approvals = pb.ListApprovalsResponse()

    async def GetInfo(self, request: Any, context: Any) -> pb.GetInfoResponse:  # noqa: N802
        return pb.GetInfoResponse()

    async def ListTools(self, request: Any, context: Any) -> pb.ListToolsResponse:  # noqa: N802
        return self.listing

    async def Prepare(self, request: Any, context: Any) -> pb.PrepareResponse:  # noqa: N802
        return pb.PrepareResponse()

    async def ListApprovals(  # noqa: N802
        self, request: Any, context: Any
    ) -> pb.ListApprovalsResponse:
        return self.approvals

    async def DecideApproval(  # noqa: N802
        self, request: Any, context: Any
    ) -> pb.DecideApprovalResponse:
        return pb.DecideApprovalResponse()

    async def ExecuteTool(  # noqa: N802
        self, request: Any, context: Any
    ) -> AsyncIterator[pb.ExecuteToolResponse]:
        for message in self._messages:
            yield message
        if self._hangs:
            await anyio.sleep_forever()


@asynccontextmanager
async def _scripted(worker: _Scripted) -> AsyncIterator[RemoteDispatcher]:
    server = grpc.aio.server(options=(("grpc.max_send_message_length", -1),))
    add_ToolsServicer_to_server(worker, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with RemoteDispatcher(WorkerTarget(f"127.0.0.1:{port}")) as client:
            yield client
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(0)


@pytest.fixture
def nobody(tmp_path: Path) -> WorkerTarget:
    return WorkerTarget(f"unix:{tmp_path}/nobody.sock", KEY)


async def test_a_worker_that_is_down_is_a_result_that_says_nothing_was_run(
    nobody: WorkerTarget,
) -> None:
    async with RemoteDispatcher(nobody) as client:
        with anyio.fail_after(5):
            result = await result_of(client)
    assert result.status is Status.UNAVAILABLE
    assert text_of(result).endswith(NOT_RUN)


async def test_a_worker_that_is_down_is_named_with_what_to_do(nobody: WorkerTarget) -> None:
    says = f"the tools worker at {nobody} does not answer; start it with `auxot-tools worker`"
    async with RemoteDispatcher(nobody) as client:
        for ask in (client.list_tools, client.get_info):
            with pytest.raises(Unavailable) as caught:
                await ask()
            assert str(caught.value) == says
        with anyio.fail_after(PREPARE_S + 1):
            assert await client.prepare(HINT) is False


async def test_a_worker_that_comes_back_is_used_again_without_a_failed_call(
    tmp_path: Path,
) -> None:
    listen = f"unix:{tmp_path}/w.sock"
    async with RemoteDispatcher(WorkerTarget(listen)) as client:
        async with served(FakeDispatcher(), listen):
            assert not (await result_of(client)).is_error
        results = []

        async def ask() -> None:
            results.append(await result_of(client))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            async with served(FakeDispatcher(), listen):
                with anyio.fail_after(5):
                    while not results:
                        await anyio.wait_all_tasks_blocked()
                        await anyio.lowlevel.checkpoint()
    assert not results[0].is_error


WORKER = """
import os, sys, anyio
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.served_worker import served
async def main():
    tool = FakeTool(tool_spec("echo"), hangs=True)
    async with served(FakeDispatcher([tool]), sys.argv[1]):
        os.write(1, b"up")
        await anyio.sleep_forever()
anyio.run(main)
"""


async def test_a_worker_killed_in_the_middle_of_a_call_ends_it_with_an_honest_result(
    tmp_path: Path,
) -> None:
    listen = f"unix:{tmp_path}/w.sock"
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", WORKER, listen]
    async with await anyio.open_process(command, cwd=tests, stderr=None) as worker:
        assert worker.stdout is not None
        with anyio.fail_after(30):
            assert await worker.stdout.receive() == b"up"
        async with (
            RemoteDispatcher(WorkerTarget(listen)) as client,
            aclosing(client.execute(CALL, Deadline.after(60))) as events,
        ):
            assert isinstance(await anext(events), Started)
            worker.send_signal(signal.SIGKILL)
            with anyio.fail_after(5):
                result = await anext(events)
                rest = [event async for event in events]
    assert isinstance(result, ToolResult)
    assert result.status is Status.UNAVAILABLE
    assert text_of(result) == (
        "The tools worker stopped before this call finished; it may or may not have had effects."
    )
    assert rest == []


async def test_a_busy_worker_is_unavailable_and_ran_nothing() -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), error=Overloaded("the line is full"))])
    async with remote(fake) as client:
        result = await result_of(client)
    assert result.status is Status.UNAVAILABLE
    assert "busy" in text_of(result)
    assert text_of(result).endswith(NOT_RUN)


async def test_a_wrong_key_tells_the_model_nothing_and_the_operator_what_to_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        served(FakeDispatcher(), key=KEY) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0], "wrong-k3y")) as client,
    ):
        result = await result_of(client)
        with pytest.raises(Unavailable, match="AUXOT_WORKER_KEY"):
            await client.list_tools()
    assert result.status is Status.UNAVAILABLE
    assert "key" not in text_of(result).lower()
    assert "AUXOT_WORKER_KEY" in caplog.text


@pytest.mark.parametrize(
    ("messages", "status", "says"),
    [
        ([], Status.UNAVAILABLE, UNSURE),
        ([pb.ExecuteToolResponse(started=pb.Started())], Status.UNAVAILABLE, UNSURE),
        ([DONE, DONE], Status.COMPLETED, ""),
        (
            [DONE, pb.ExecuteToolResponse(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT))],
            Status.COMPLETED,
            "",
        ),
        ([pb.ExecuteToolResponse(), DONE], Status.COMPLETED, ""),
        (
            [pb.ExecuteToolResponse(completed=pb.Completed(tool_use_id="toolu_1"))],
            Status.INTERNAL,
            "cannot be read",
        ),
        (
            [pb.ExecuteToolResponse(completed=pb.Completed(content_json=[b"{}"]))],
            Status.INTERNAL,
            "cannot be read",
        ),
        (
            [
                pb.ExecuteToolResponse(
                    completed=pb.Completed(tool_use_id="toolu_1", content_json=[b"{"])
                )
            ],
            Status.INTERNAL,
            "cannot be read",
        ),
        (
            [
                pb.ExecuteToolResponse(
                    output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, data=b"x" * MAX_RESPONSE_BYTES)
                )
            ],
            Status.UNAVAILABLE,
            "may or may not",
        ),
    ],
)
async def test_whatever_a_worker_sends_there_is_exactly_one_result_and_it_is_last(
    messages: list[pb.ExecuteToolResponse], status: Status, says: str
) -> None:
    async with _scripted(_Scripted(messages)) as client:
        with anyio.fail_after(10):
            events = [event async for event in client.execute(CALL, Deadline.after(10))]
    assert [isinstance(event, ToolResult) for event in events].count(True) == 1
    assert isinstance(events[-1], ToolResult)
    assert events[-1].status is status
    assert text_of(events[-1]).endswith(says) or says in text_of(events[-1])


async def test_a_worker_that_does_not_end_its_stream_holds_nobody_up_for_long() -> None:
    async with _scripted(_Scripted([DONE], hangs=True)) as client:
        with anyio.fail_after(5):
            assert not (await result_of(client)).is_error


async def test_a_worker_that_ignores_the_deadline_is_left() -> None:
    async with _scripted(_Scripted([], hangs=True)) as client:
        with anyio.fail_after(5):
            events = [event async for event in client.execute(CALL, Deadline.after(0.5))]
    assert isinstance(events[-1], ToolResult)
    assert events[-1].status is Status.TIMED_OUT


async def test_a_listing_that_breaks_the_contract_is_unavailable() -> None:
    worker = _Scripted([])
    worker.listing = pb.ListToolsResponse(tools=[pb.ToolSpec(name="x", input_schema_json=b"{")])
    async with _scripted(worker) as client:
        with pytest.raises(Unavailable):
            await client.list_tools()


async def test_approvals_that_break_the_contract_are_unavailable() -> None:
    worker = _Scripted([])
    worker.approvals = pb.ListApprovalsResponse(approvals=[pb.Approval(id="x", waited_s=math.nan)])
    async with _scripted(worker) as client:
        with pytest.raises(Unavailable):
            await client.list_approvals()


async def test_something_else_at_the_address_is_told() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with RemoteDispatcher(WorkerTarget(f"127.0.0.1:{port}")) as client:
        with pytest.raises(Unavailable, match="is not a tools worker"):
            await client.list_tools()
        assert (await result_of(client)).is_error
    await server.stop(0)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (ToolCall("t", "echo", b"x" * MAX_REQUEST_BYTES), Status.INVALID_ARGUMENTS),
        (ToolCall("t", "\ud800", b""), Status.INTERNAL),
        (ToolCall("", "echo", b""), Status.INTERNAL),
    ],
)
async def test_a_call_that_cannot_be_sent_is_a_result(call: ToolCall, status: Status) -> None:
    fake = FakeDispatcher()
    async with remote(fake) as client:
        result = await result_of(client, call)
    assert result.status is status
    assert text_of(result).endswith(NOT_RUN)
    assert fake.calls == []


async def test_a_call_whose_time_has_run_out_is_not_sent() -> None:
    fake = FakeDispatcher()
    async with remote(fake) as client:
        events = [event async for event in client.execute(CALL, Deadline.after(-1))]
    assert isinstance(events[0], ToolResult)
    assert events[0].status is Status.TIMED_OUT
    assert fake.calls == []


async def test_closing_the_client_ends_its_running_calls_as_unavailable() -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with remote(fake) as client:
        async with aclosing(client.execute(CALL, Deadline.after(60))) as events:
            await anext(events)
            await client.close()
            with anyio.fail_after(5):
                result = await anext(events)
        assert isinstance(result, ToolResult)
        assert result.status is Status.UNAVAILABLE
        assert text_of(result).endswith(UNSURE)
        await fake.until(lambda fake: fake.cancelled == ["toolu_1"])
        with pytest.raises(Unavailable, match="closed on this side"):
            await client.list_tools()
        assert text_of(await result_of(client)).endswith(NOT_RUN)


async def test_output_arrives_while_the_program_runs() -> None:
    go = anyio.Event()
    tool = FakeTool(tool_spec("echo"), output=(OutputChunk("stdout", b"early"),), until=go)
    async with (
        remote(FakeDispatcher([tool])) as client,
        aclosing(client.execute(CALL, Deadline.after(10))) as events,
    ):
        await anext(events)
        assert await anext(events) == OutputChunk("stdout", b"early", 0)
        go.set()
        assert isinstance(await anext(events), ToolResult)


def test_no_text_of_a_target_holds_the_key() -> None:
    target = WorkerTarget("127.0.0.1:1", KEY)
    assert KEY not in repr(target) + str(target)


async def test_whether_the_worker_serves_is_its_own_word() -> None:
    async with (
        served(FakeDispatcher()) as server,
        RemoteDispatcher(WorkerTarget(str(server.addresses[0]), KEY)) as worker,
    ):
        assert await worker.is_serving()
        await server.set_serving(is_serving=False)
        assert not await worker.is_serving()


async def test_a_worker_without_health_counts_as_serving_and_one_that_is_away_is_an_error() -> None:
    async with _scripted(_Scripted([DONE])) as worker:
        assert await worker.is_serving()
    async with RemoteDispatcher(WorkerTarget("127.0.0.1:9")) as worker:
        with pytest.raises(Unavailable):
            await worker.is_serving()
