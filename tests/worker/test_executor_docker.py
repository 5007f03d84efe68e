"""The executor on real boxes: however a call ends, no container stays."""

import json
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, OutputChunk, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.engine import containers_of, docker_sandbox, until_none_left

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

TOOLS: list[Path] = [share_dir("tools")]
SLEEP = json.dumps({"code": "print('up', flush=True)\nimport time\ntime.sleep(100)"}).encode()


@pytest.mark.parametrize("way", ["drained", "cancelled"])
async def test_a_call_that_is_stopped_leaves_no_container(way: str) -> None:
    results: list[ToolResult] = []
    running = anyio.Event()

    async def follow(executor: Executor) -> None:
        call = ToolCall("toolu_1", "code_executor", SLEEP)
        async for event in executor.execute(call, Deadline.after(60)):
            if isinstance(event, OutputChunk):
                running.set()
            if isinstance(event, ToolResult):
                results.append(event)

    async with docker_sandbox() as sandbox:
        executor = Executor(Registry.load(TOOLS), sandbox)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, executor)
            with anyio.fail_after(30):
                await running.wait()
            assert await anyio.to_thread.run_sync(containers_of, sandbox.identity.worker_id)
            if way == "drained":
                await executor.drain(0)
            else:
                tasks.cancel_scope.cancel()
        assert executor.free_slots == executor.total_slots
        await until_none_left(sandbox.identity.worker_id)
    if way == "drained":
        assert [result.status for result in results] == [Status.CANCELLED]
        assert "up" in results[0].content[0]["text"]
