"""What every ``ToolDispatcher`` keeps, in this process and behind gRPC."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import (
    CallEvent,
    CallHint,
    CallLimits,
    Deadline,
    InputFile,
    OutputChunk,
    Started,
    Status,
    ToolCall,
    ToolResult,
)
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, text_of, tool_spec
from tests.support.served_worker import remote

pytestmark = pytest.mark.anyio

Connect = Callable[[FakeDispatcher], AbstractAsyncContextManager[ToolDispatcher]]


@asynccontextmanager
async def _direct(dispatcher: FakeDispatcher) -> AsyncIterator[ToolDispatcher]:
    yield dispatcher


@pytest.fixture(params=["direct", "tcp", "unix"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """How the dispatcher under test is reached."""
    ways: dict[str, Connect] = {
        "direct": _direct,
        "tcp": remote,
        "unix": lambda dispatcher: remote(dispatcher, f"unix:{tmp_path}/worker.sock"),
    }
    return ways[request.param]


def _call(name: str = "echo", tool_use_id: str = "toolu_1", input_json: bytes = b"{}") -> ToolCall:
    return ToolCall(tool_use_id, name, input_json)


async def _events(
    dispatcher: ToolDispatcher, call: ToolCall, within_s: float = 10
) -> list[CallEvent]:
    with anyio.fail_after(20):
        return [event async for event in dispatcher.execute(call, Deadline.after(within_s))]


async def _result(dispatcher: ToolDispatcher, call: ToolCall, within_s: float = 10) -> ToolResult:
    last = (await _events(dispatcher, call, within_s))[-1]
    assert isinstance(last, ToolResult)
    return last


async def test_events_come_in_order_and_end_with_exactly_one_result(connect: Connect) -> None:
    chunks = tuple(OutputChunk("stdout" if i % 2 else "stderr", bytes([i, 255])) for i in range(20))
    async with connect(FakeDispatcher([FakeTool(tool_spec("echo"), output=chunks)])) as dispatcher:
        events = await _events(dispatcher, _call())
    assert events[0] == Started("toolu_1", "box-toolu_1", "call")
    assert events[1:-1] == [
        OutputChunk(chunk.stream, chunk.data, sequence) for sequence, chunk in enumerate(chunks)
    ]
    assert events[-1] == ToolResult(
        "toolu_1", Status.COMPLETED, ({"type": "text", "text": "{}"},), exit_code=0
    )


async def test_a_call_arrives_whole(connect: Connect) -> None:
    call = ToolCall(
        "toolu_é",
        "echo",
        b'{"a":1,"a":2,"cut',
        idempotency_key="once",
        tenant="acme",
        session="s-1",
        limits=CallLimits(1.5, 0),
        files=(InputFile("data.csv", b"\0\xff"), InputFile("b", b"")),
        trace_context={"traceparent": "00-abc-def-01"},
    )
    fake = FakeDispatcher()
    async with connect(fake) as dispatcher:
        assert text_of(await _result(dispatcher, call)) == '{"a":1,"a":2,"cut'
    assert fake.calls == [call]


async def test_tools_are_listed_by_name(connect: Connect) -> None:
    fake = FakeDispatcher([echo_tool("b"), echo_tool("a"), echo_tool("c")])
    async with connect(fake) as dispatcher:
        specs = await dispatcher.list_tools()
    assert list(specs) == [tool_spec("a"), tool_spec("b"), tool_spec("c")]


async def test_a_hint_arrives_and_an_unknown_tool_is_no_error(connect: Connect) -> None:
    fake = FakeDispatcher()
    hint = CallHint("nobody_knows", "acme", "s-1")
    async with connect(fake) as dispatcher:
        assert await dispatcher.prepare(hint) is True
    assert fake.hints == [hint]


async def test_an_unknown_tool_is_a_result(connect: Connect) -> None:
    async with connect(FakeDispatcher()) as dispatcher:
        events = await _events(dispatcher, _call("nobody_knows"))
    assert len(events) == 1
    assert isinstance(events[0], ToolResult)
    assert events[0].status is Status.UNKNOWN_TOOL


@pytest.mark.parametrize("status", list(Status))
async def test_every_status_arrives_as_it_is(connect: Connect, status: Status) -> None:
    tool = FakeTool(tool_spec("echo"), status=status, starts=False, exit_code=None)
    async with connect(FakeDispatcher([tool])) as dispatcher:
        result = await _result(dispatcher, _call())
    assert result.status is status
    assert result.exit_code is None


async def test_a_large_input_and_a_large_output_arrive_whole(connect: Connect) -> None:
    chunks = tuple(OutputChunk("stdout", bytes([i]) * 2**16) for i in range(64))
    large = b'"' + b"x" * 2**23 + b'"'
    async with connect(FakeDispatcher([FakeTool(tool_spec("echo"), output=chunks)])) as dispatcher:
        events = await _events(dispatcher, _call(input_json=large))
    data = b"".join(event.data for event in events if isinstance(event, OutputChunk))
    assert data == b"".join(chunk.data for chunk in chunks)
    assert isinstance(events[-1], ToolResult)
    assert text_of(events[-1]) == large.decode()


async def test_a_call_that_outlives_its_deadline_is_timed_out(connect: Connect) -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with connect(fake) as dispatcher:
        result = await _result(dispatcher, _call(), within_s=1.2)
        assert result.status is Status.TIMED_OUT
        await fake.until(lambda fake: not fake.running)


async def test_closing_the_generator_stops_the_program(connect: Connect) -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with connect(fake) as dispatcher:
        async with aclosing(dispatcher.execute(_call(), Deadline.after(30))) as events:
            assert isinstance(await anext(events), Started)
        await fake.until(lambda fake: fake.cancelled == ["toolu_1"])
        assert fake.running == 0


async def test_cancelling_the_task_stops_the_program_and_waits_for_no_more(
    connect: Connect,
) -> None:
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with connect(fake) as dispatcher:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_result, dispatcher, _call(), 30)
                await fake.until(lambda fake: fake.running == 1)
                tasks.cancel_scope.cancel()
        await fake.until(lambda fake: fake.cancelled == ["toolu_1"])


async def test_a_cancelled_call_leaves_the_others_alone(connect: Connect) -> None:
    go = anyio.Event()
    fake = FakeDispatcher(
        [FakeTool(tool_spec("slow"), until=go), FakeTool(tool_spec("stuck"), hangs=True)]
    )
    results: list[ToolResult] = []

    async def keep() -> None:
        results.append(await _result(dispatcher, _call("slow", "toolu_slow")))

    async with connect(fake) as dispatcher, anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        async with aclosing(
            dispatcher.execute(_call("stuck", "toolu_stuck"), Deadline.after(30))
        ) as events:
            await anext(events)
            await fake.until(lambda fake: fake.running == 2)
        await fake.until(lambda fake: fake.cancelled == ["toolu_stuck"])
        go.set()
    assert [result.status for result in results] == [Status.COMPLETED]


async def test_fifty_calls_run_side_by_side_and_each_gets_its_own_result(
    connect: Connect,
) -> None:
    go = anyio.Event()
    fake = FakeDispatcher([FakeTool(tool_spec("echo"), until=go)])
    results: dict[str, ToolResult] = {}

    async def one(number: int) -> None:
        call = _call(tool_use_id=f"toolu_{number}", input_json=b"%d" % number)
        results[call.tool_use_id] = await _result(dispatcher, call)

    async with connect(fake) as dispatcher, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
        await fake.until(lambda fake: fake.running == 50)
        go.set()
    assert {text_of(results[f"toolu_{n}"]) for n in range(50)} == {str(n) for n in range(50)}
    assert all(result.tool_use_id == key for key, result in results.items())
    assert fake.running == 0


async def test_two_hundred_calls_in_a_row_leave_no_thread_behind(connect: Connect) -> None:
    async with connect(FakeDispatcher()) as dispatcher:
        await _result(dispatcher, _call())
        before = threading.active_count()
        for number in range(200):
            assert not (await _result(dispatcher, _call(input_json=b"%d" % number))).is_error
        assert threading.active_count() <= before
