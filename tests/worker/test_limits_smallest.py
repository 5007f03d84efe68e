"""The smallest limits that can be written leave a box in which every language still runs."""

import json
from pathlib import Path

import anyio
import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import DefaultIsolation, IsolationPolicy
from auxot_tools.worker.limits import LIMIT_NAMES
from auxot_tools.worker.registry import Registry
from tests.support.engine import docker_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

CODE = {"python": "print(6*7)", "javascript": "console.log(6*7)", "bash": "echo $((6*7))"}
# A part of a core makes nothing impossible, only slow; the time limit has no smallest value.
SLOW = ("cpus", "timeout_s")


def smallest_tool(tools_dir: Path) -> None:
    """`code_executor` with the smallest limits that tool.schema.json takes."""
    shared = share_dir("tools")
    schema = json.loads((shared / "tool.schema.json").read_bytes())
    limits = schema["properties"]["limits"]["properties"]
    declared = json.loads((shared / "code_executor" / "tool.json").read_bytes())
    declared["limits"] = {name: limits[name]["minimum"] for name in LIMIT_NAMES if name not in SLOW}
    (tools_dir / "smallest").mkdir()
    (tools_dir / "smallest" / "tool.json").write_text(json.dumps(declared))


@pytest.mark.parametrize("isolation", ["call", "warm"])
async def test_every_language_runs_within_the_smallest_limits(
    tmp_path: Path, isolation: DefaultIsolation
) -> None:
    smallest_tool(tmp_path)
    registry = Registry.load([tmp_path], policy=IsolationPolicy(isolation))
    assert registry.quarantined == ()
    said = {}
    async with docker_sandbox() as sandbox:
        executor = Executor(registry, sandbox)
        for language, code in CODE.items():
            text = json.dumps({"code": code, "language": language}).encode()
            call = ToolCall("toolu_1", "smallest", text)
            with anyio.fail_after(60):
                events = [event async for event in executor.execute(call, Deadline.after(50))]
            result = events[-1]
            assert isinstance(result, ToolResult)
            said[language] = (result.status, result.content[0]["text"])
    assert said == dict.fromkeys(CODE, (Status.COMPLETED, "42"))
