"""The executor on real boxes: however a call ends, no container stays."""

import json
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, OutputChunk, Started, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.engine import containers_of, docker_sandbox, until_none_left

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SHELL = {
    "description": "Runs bash in a place that is kept.",
    "input_schema": {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "language": {"type": "string", "enum": ["bash"], "default": "bash"},
        },
        "required": ["code"],
    },
    "code": {"field": "code", "language_field": "language"},
    "isolation": "session",
}
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


async def test_a_session_keeps_its_files_and_shows_them_to_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "tool.json").write_text(json.dumps(SHELL))

    async def run(executor: Executor, code: str, tenant: str, session: str) -> ToolResult:
        text = json.dumps({"code": code}).encode()
        call = ToolCall("toolu_1", "shell", text, tenant=tenant, session=session)
        events = [event async for event in executor.execute(call, Deadline.after(60))]
        assert isinstance(events[0], Started)
        assert events[0].isolation == "session"
        assert isinstance(events[-1], ToolResult)
        return events[-1]

    look = "cat /work/kept 2>/dev/null || echo nothing"
    async with docker_sandbox() as sandbox:
        executor = Executor(Registry.load([tmp_path]), sandbox)
        assert executor.ready_specs() == ()
        await run(executor, "echo mine > /work/kept", "ann", "one")
        seen = {
            owner: (await run(executor, look, *owner)).content[0]["text"]
            for owner in (("ann", "one"), ("ann", "two"), ("bob", "one"))
        }
    assert seen == {("ann", "one"): "mine", ("ann", "two"): "nothing", ("bob", "one"): "nothing"}
    await until_none_left(sandbox.identity.worker_id)
