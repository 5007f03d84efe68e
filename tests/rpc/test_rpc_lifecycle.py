"""A worker process and its signals: the first drains, the second ends it at once."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Deadline, Started, Status, ToolResult
from tests.support.fake_dispatcher import text_of
from tests.support.served_worker import CALL

pytestmark = pytest.mark.anyio

# Says U when it is up, D when it drains, C when the call's clean-up is over and S when it stopped.
WORKER = """
import os, sys, anyio
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.served_worker import served
from auxot_tools.rpc.lifecycle import run_until_stopped
async def clean_up():
    await anyio.sleep(0.2)
    os.write(1, b"C")
async def on_drain():
    os.write(1, b"D")
async def main():
    tool = FakeTool(tool_spec("echo"), hangs=True, clean_up=clean_up)
    async with served(FakeDispatcher([tool]), sys.argv[1]) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_until_stopped, server, on_drain, float(sys.argv[2]))
            await anyio.wait_all_tasks_blocked()  # its signal handlers are there now
            os.write(1, b"U")
        os.write(1, b"S")
anyio.run(main)
"""


@asynccontextmanager
async def _worker(listen: str, grace_s: float) -> AsyncIterator[Process]:
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", WORKER, listen, str(grace_s)]
    async with await anyio.open_process(command, cwd=tests, stderr=None) as process:
        assert await _said(process, b"U") == b"U"
        yield process


async def _said(process: Process, last: bytes) -> bytes:
    """What the worker says up to ``last``, or up to its end when ``last`` is empty."""
    said = b""
    assert process.stdout is not None
    with anyio.fail_after(30):
        async for data in process.stdout:
            said += data
            if last and last in said:
                break
    return said


@asynccontextmanager
async def _running_call(listen: str) -> AsyncIterator[list[ToolResult]]:
    """One call that has started; its result is in the list at the end."""
    results: list[ToolResult] = []
    started = anyio.Event()

    async def run() -> None:
        async for event in client.execute(CALL, Deadline.after(60)):
            if isinstance(event, Started):
                started.set()
            elif isinstance(event, ToolResult):
                results.append(event)

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(RemoteDispatcher(WorkerTarget(listen)))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(run)
        with anyio.fail_after(10):
            await started.wait()
        yield results


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_cancels_after_the_grace_and_waits_for_clean_ups(
    tmp_path: Path, number: signal.Signals
) -> None:
    listen = f"unix:{tmp_path}/w.sock"
    async with _worker(listen, 0.2) as process:
        async with _running_call(listen) as results:
            process.send_signal(number)
            assert await _said(process, b"") == b"DCS"
        assert await process.wait() == 0
    assert [result.status for result in results] == [Status.CANCELLED]
    assert not await anyio.Path(tmp_path / "w.sock").exists()


async def test_an_idle_worker_does_not_use_up_its_grace(tmp_path: Path) -> None:
    async with _worker(f"unix:{tmp_path}/w.sock", 600) as process:
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0


async def test_a_second_signal_ends_it_at_once_and_the_caller_hears_of_it(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/w.sock"
    async with _worker(listen, 600) as process, _running_call(listen) as results:
        process.send_signal(signal.SIGTERM)
        assert await _said(process, b"D") == b"D"
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 128 + signal.SIGTERM
    assert [result.status for result in results] == [Status.UNAVAILABLE]
    assert "may or may not" in text_of(results[0])
    # What it left is no obstacle for the next one.
    assert await anyio.Path(tmp_path / "w.sock").is_socket()
    async with _worker(listen, 0) as process:
        process.terminate()
        assert await process.wait() == 0
