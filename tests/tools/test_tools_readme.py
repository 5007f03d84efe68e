"""The README's five-minute tool works as it is printed there."""

import re
from pathlib import Path

import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.engine import docker_sandbox

pytestmark = pytest.mark.anyio


def block(language: str) -> str:
    """The README's code block of this language, without its indent."""
    text = (share_dir("tools") / "README.md").read_text()
    found = re.search(rf"   ```{language}\n(.*?)   ```", text, re.DOTALL)
    assert found is not None
    return re.sub(r"^   ", "", found.group(1), flags=re.MULTILINE)


@pytest.mark.engine
async def test_the_tool_of_the_readme_counts_words(tmp_path: Path) -> None:
    folder = tmp_path / "word_count"
    folder.mkdir()
    (folder / "tool.json").write_text(block("json"))
    (folder / "main.py").write_text(block("python"))
    registry = Registry.load([tmp_path])
    assert registry.quarantined == ()
    call = ToolCall("toolu_1", "word_count", b'{"text":"two words"}')
    async with docker_sandbox() as sandbox:
        executor = Executor(registry, sandbox)
        events = [event async for event in executor.execute(call, Deadline.after(60))]
    result = events[-1]
    assert isinstance(result, ToolResult)
    assert (result.status, result.content[0]["text"]) == (Status.COMPLETED, "2")
