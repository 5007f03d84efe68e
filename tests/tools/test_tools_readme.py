"""What the README of the tools folder says, done as it is printed there."""

import re
import shlex
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support import command
from tests.support.engine import docker_sandbox, sandbox_image

pytestmark = pytest.mark.anyio

README = (share_dir("tools") / "README.md").read_text()
FIVE_MINUTES = README.partition("## Add a tool in five minutes")[2].partition("\n## ")[0]
PLAYED = {"new", "test", "list"}  # the other commands need a worker that runs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with chdir(tmp_path):
        yield tmp_path


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of this language, without their indent."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def auxot_tools(line: str) -> str:
    _, *arguments = shlex.split(line)
    done = command.auxot_tools(*arguments)
    assert done.exit_code == 0, (line, done)
    return done.output


@pytest.mark.engine
def test_the_five_minutes_work_as_they_are_printed() -> None:
    sandbox_image()
    lines = [line for block in blocks(FIVE_MINUTES, "bash") for line in block.splitlines()]
    played = [line for line in lines if line.split()[1] in PLAYED]
    assert [line.split()[1] for line in lines] == ["new", "test", "call"]
    assert auxot_tools(played[0]).startswith("Made tools/word_count")
    assert auxot_tools(played[1]).endswith("1 of 1 passed\n")
    (settings,) = blocks(FIVE_MINUTES, "toml")
    Path("auxot.toml").write_text(settings)
    assert auxot_tools("auxot-tools list").startswith("word_count ")


def test_the_files_that_are_shown_are_those_that_are_made() -> None:
    auxot_tools(blocks(FIVE_MINUTES, "bash")[0].splitlines()[0])
    made = Path("tools/word_count")
    assert blocks(FIVE_MINUTES, "json") == [(made / "tool.json").read_text()]
    assert blocks(FIVE_MINUTES, "python") == [(made / "main.py").read_text()]


@pytest.mark.engine
async def test_the_shell_tool_that_is_shown_greets(tmp_path: Path) -> None:
    (script,), (descriptor,) = blocks(README, "sh"), blocks(README, "jsonc")
    program = tmp_path / "greet.sh"
    program.write_text(script)
    program.chmod(0o755)
    (tmp_path / "greet.tool.json").write_text(descriptor)
    registry = Registry.load([tmp_path])
    assert registry.quarantined == ()
    call = ToolCall("toolu_1", "greet", b'{"name":"Ada"}')
    async with docker_sandbox() as sandbox:
        executor = Executor(registry, sandbox)
        events = [event async for event in executor.execute(call, Deadline.after(60))]
    result = events[-1]
    assert isinstance(result, ToolResult)
    assert (result.status, result.exit_code) == (Status.COMPLETED, 0)
    assert '"text": "Hello, Ada."' in result.content[0]["text"]


def test_every_key_of_a_tool_json_is_explained() -> None:
    (check,) = re.findall(r"## tool\.json\n(.*?)\n## ", README, re.DOTALL)
    declared = (share_dir("tools") / "tool.schema.json").read_text()
    keys = re.findall(r'^    "([a-z_]+)": \{$', declared, re.MULTILINE)
    assert {"network", "session_from_input", "limits"} < set(keys)
    assert [key for key in keys if f"| `{key}` |" not in check] == []
