"""Calls through a real worker process: gRPC, validation, registry, executor, sandbox.

One job: a worker with the tool `code_executor` once for each isolation mode, and timed calls of it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.streams.text import TextReceiveStream

from auxot_tools.ports import Isolation
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.sandbox.measure import CALL_LIMIT_S
from auxot_tools.types import Deadline, OutputChunk, Status, ToolCall, ToolResult
from benchmarks.timing import Call

_TOOL = Path(__file__).parents[1] / "tools" / "code_executor"
_START_S = 90.0
_STOP_S = 40.0
_ANSWER = "42"
_ENDLESS = "sleep 300 & sleep 300 & echo on; while :; do :; done"
CODE = {"python": "print(6*7)", "javascript": "console.log(6*7)", "bash": "echo $((6*7))"}


@dataclass(frozen=True)
class Worker:
    """A running worker and a client of it."""

    pid: int
    client: RemoteDispatcher

    def call(self, mode: Isolation, language: str = "python") -> Call:
        """One whole call, from the request to the result."""

        async def call(client: int) -> float:
            begun = time.perf_counter()
            asked = _tool_call(mode, {"code": CODE[language], "language": language}, client)
            result = await self._result(asked)
            took_s = time.perf_counter() - begun
            text = result.content[0].get("text", "")
            if result.status is not Status.COMPLETED or text.strip() != _ANSWER:
                raise RuntimeError(
                    f"a {mode} call through gRPC ended {result.status}: {text[:200]}"
                )
            return took_s

        return call

    def cancelling(self, mode: Isolation) -> Call:
        """From leaving a running call until the worker's slots are all free again."""

        async def call(client: int) -> float:
            asked = _tool_call(mode, {"code": _ENDLESS, "language": "bash"}, client)
            deadline = Deadline.after(CALL_LIMIT_S)
            async with aclosing(self.client.execute(asked, deadline)) as events:
                async for event in events:
                    if isinstance(event, OutputChunk):
                        break
            begun = time.perf_counter()
            while (facts := await self.client.get_info()).free_slots < facts.total_slots:
                if time.perf_counter() - begun > CALL_LIMIT_S:
                    raise RuntimeError("a cancelled call kept its slot")
            return time.perf_counter() - begun

        return call

    async def _result(self, asked: ToolCall) -> ToolResult:
        async with aclosing(self.client.execute(asked, Deadline.after(CALL_LIMIT_S))) as events:
            async for event in events:
                if isinstance(event, ToolResult):
                    return event
        raise RuntimeError("a call ended without a result")


def _tool_call(mode: Isolation, given: dict[str, str], client: int) -> ToolCall:
    return ToolCall(
        tool_use_id=f"toolu_{uuid4().hex[:16]}",
        name=f"bench_{mode}",
        input_json=json.dumps(given).encode(),
        tenant="bench",
        session=f"session-{client}",
    )


@asynccontextmanager
async def worker(modes: tuple[Isolation, ...]) -> AsyncGenerator[Worker, None]:
    """A worker process on a unix socket with its default settings, and its tools per mode."""
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        home = Path(folder)
        for mode in modes:
            _copy_tool(home / "tools" / f"bench_{mode}", mode)
        (home / "auxot.toml").write_text(
            f'[worker]\nlisten = ["unix:{home}/w.sock"]\ntools_dirs = ["{home}/tools"]\n'
            '[log]\nlevel = "warning"\n',
            "utf-8",
        )
        async with (
            _process(home / "auxot.toml") as pid,
            RemoteDispatcher(WorkerTarget(f"unix:{home}/w.sock")) as client,
        ):
            yield Worker(pid, client)


def _copy_tool(folder: Path, mode: Isolation) -> None:
    shutil.copytree(_TOOL, folder)
    declared = json.loads((folder / "tool.json").read_bytes())
    declared["isolation"] = mode
    (folder / "tool.json").write_text(json.dumps(declared), "utf-8")


@asynccontextmanager
async def _process(config: Path) -> AsyncGenerator[int, None]:
    """The worker process, ready; its log goes to our stderr."""
    command = [sys.executable, "-m", "auxot_tools.cli.main", "--config", str(config), "worker"]
    process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=None)
    try:
        if process.stdout is None:
            raise RuntimeError("a child was started without stdout")
        with anyio.fail_after(_START_S):
            async for line in TextReceiveStream(process.stdout):
                if "ready" in line:
                    break
            else:
                raise RuntimeError("the worker did not start")
        yield process.pid
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()
