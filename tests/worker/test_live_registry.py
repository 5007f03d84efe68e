"""When tools are read anew, and what counts meanwhile."""

import json
import logging
import os
import threading
from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.worker.live_registry import LiveRegistry, folders_fingerprint
from auxot_tools.worker.registry import Registry

pytestmark = pytest.mark.anyio

SCRIPT = "#!/bin/bash\necho hello\n"


class Clock:
    """Time that passes only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def write_tool(tools_dir: Path, name: str) -> Path:
    program = tools_dir / f"{name}.sh"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    declared = {"name": name, "description": "Says hello."}
    (tools_dir / f"{name}.tool.json").write_text(json.dumps(declared))
    return program


def live(tools_dir: Path, clock: Clock) -> LiveRegistry:
    return LiveRegistry(
        lambda: Registry.load([tools_dir]), lambda: folders_fingerprint([tools_dir]), clock
    )


async def later(registry: LiveRegistry, clock: Clock) -> list[str]:
    """The names of the tools when a second has passed."""
    clock.now += 1.0
    await registry.refresh()
    assert [spec.name for spec in registry.specs()] == list(registry.tools)
    return list(registry.tools)


async def test_a_tool_that_is_added_changed_or_removed_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    write_tool(tmp_path, "one")
    registry = live(tmp_path, clock)
    program = write_tool(tmp_path, "two")
    assert list(registry.tools) == ["one"]
    with caplog.at_level(logging.INFO):
        assert await later(registry, clock) == ["one", "two"]
    assert "2 tools, 0 in quarantine; new: two" in caplog.text
    program.write_text(SCRIPT.replace("hello", "jello"))  # as long as before
    assert await later(registry, clock) == ["one", "two"]
    (file,) = registry.tools["two"].recipe.tool_files
    assert b"jello" in file.data
    program.unlink()
    (tmp_path / "two.tool.json").unlink()
    assert await later(registry, clock) == ["one"]


async def test_a_tool_in_a_folder_is_seen_too(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "count"
    folder.mkdir()
    (folder / "main.py").write_text("#!/usr/bin/env python3\n")
    registry = live(tmp_path, clock)
    (folder / "tool.json").write_text('{"description": "Counts.", "input_schema": {"type": "obj')
    assert await later(registry, clock) == []
    assert "cut off" in registry.quarantined[0].reason
    declared = {"description": "Counts.", "input_schema": {"type": "object"}}
    (folder / "tool.json").write_text(json.dumps(declared))
    assert await later(registry, clock) == []
    assert "nor is one of its files executable" in registry.quarantined[0].reason
    (folder / "main.py").chmod(0o755)
    assert await later(registry, clock) == ["count"]
    assert registry.quarantined == ()


async def test_it_looks_at_most_once_a_second(tmp_path: Path) -> None:
    clock = Clock()
    looks: list[int] = []
    registry = LiveRegistry(lambda: Registry.load([tmp_path]), lambda: looks.append(1), clock)
    for _ in range(5):
        await registry.refresh()
    assert len(looks) == 1  # the first reading
    clock.now += 1.0
    for _ in range(5):
        await registry.refresh()
    assert len(looks) == 2


async def test_nothing_is_read_when_nothing_changed(tmp_path: Path) -> None:
    clock = Clock()
    write_tool(tmp_path, "one")
    registry = live(tmp_path, clock)
    tool = registry.tools["one"]
    await later(registry, clock)
    assert registry.tools["one"] is tool


async def test_a_folder_that_cannot_be_read_leaves_the_last_tools(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    tools_dir = tmp_path / "tools"
    tools_dir.mkdir()
    write_tool(tools_dir, "one")
    registry = live(tools_dir, clock)
    tools_dir.rename(tmp_path / "away")
    assert await later(registry, clock) == ["one"]
    assert await later(registry, clock) == ["one"]
    assert caplog.text.count("the tools stay as they were: the tools folder") == 1
    (tmp_path / "away").rename(tools_dir)
    write_tool(tools_dir, "two")
    assert await later(registry, clock) == ["one", "two"]


async def test_a_fault_while_reading_leaves_the_last_tools(tmp_path: Path) -> None:
    clock = Clock()
    write_tool(tmp_path, "one")
    readings = iter([Registry.load([tmp_path])])
    registry = LiveRegistry(lambda: next(readings), lambda: os.urandom(8), clock)
    assert await later(registry, clock) == ["one"]


def test_the_first_reading_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        live(tmp_path / "none", Clock())


async def test_a_look_that_hangs_holds_up_one_call_and_not_for_long(tmp_path: Path) -> None:
    clock, answers = Clock(), threading.Event()
    looks: list[int] = []

    def slow() -> int:
        looks.append(1)
        if len(looks) > 1:
            answers.wait(30)
        return 0

    registry = LiveRegistry(lambda: Registry.load([tmp_path]), slow, clock, 0.1)
    try:
        with anyio.fail_after(20):
            clock.now += 1.0
            await registry.refresh()  # gives up after its patience
            clock.now += 1.0
            with anyio.fail_after(1):
                await registry.refresh()  # the look is still under way
    finally:
        answers.set()
    assert len(looks) == 2


async def test_a_new_reading_is_told_once(tmp_path: Path) -> None:
    clock = Clock()
    write_tool(tmp_path, "one")
    registry = live(tmp_path, clock)
    told: list[list[str]] = []
    registry.on_change = lambda: told.append(list(registry.tools))
    await later(registry, clock)
    assert told == []
    write_tool(tmp_path, "two")
    await later(registry, clock)
    await later(registry, clock)
    assert told == [["one", "two"]]


async def test_a_look_that_failed_is_repeated_without_another_change(tmp_path: Path) -> None:
    clock = Clock()
    write_tool(tmp_path, "one")
    faults = [OSError("too many open files")]

    def load() -> Registry:
        if (tmp_path / "two.sh").exists() and faults:
            raise faults.pop()
        return Registry.load([tmp_path])

    registry = LiveRegistry(load, lambda: folders_fingerprint([tmp_path]), clock)
    write_tool(tmp_path, "two")
    assert await later(registry, clock) == ["one"]
    assert await later(registry, clock) == ["one", "two"]
