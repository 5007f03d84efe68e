"""`auxot-tools sandbox ps` and `reap`: what is on the engine, and what of it nobody owns."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.support.whole import containers_of, until_containers, whole

KINDS = 2  # of boxes, for the languages of `code_executor`


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


def sandbox(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUXOT_")}
    return subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", "sandbox", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def owners(ids: set[str]) -> dict[str, str]:
    """Whether the owners of these containers live, as `ps --json` tells it."""
    listed: list[dict[str, Any]] = json.loads(sandbox("ps", "--json").stdout)
    return {box["id"]: box["owner"] for box in listed if box["id"] in ids}


@pytest.mark.anyio
@pytest.mark.engine
async def test_waiting_boxes_are_listed_and_those_of_a_dead_worker_reaped(home: Path) -> None:
    async with whole(home, ready=1) as product:
        pid = product.stack.worker_process.pid
        await until_containers(pid, KINDS, 60)
        mine = {container[:12] for container in await anyio.to_thread.run_sync(containers_of, pid)}
        alive = await anyio.to_thread.run_sync(owners, mine)
        table = (await anyio.to_thread.run_sync(sandbox, "ps")).stdout.splitlines()
        os.kill(pid, signal.SIGKILL)
        await product.stack.worker_process.wait()
        dead = await anyio.to_thread.run_sync(owners, mine)
        reaped = (await anyio.to_thread.run_sync(sandbox, "reap")).stdout
        left = await anyio.to_thread.run_sync(owners, mine)
    assert alive == dict.fromkeys(mine, "alive")
    assert dead == dict.fromkeys(mine, "dead")
    assert left == {}
    assert table[0].split() == ["CONTAINER", "WORKER", "MODE", "FORM", "STATE", "AGE", "OWNER"]
    rows = {line.split()[0]: line.split() for line in table[1:]}
    assert {(rows[box][2], rows[box][4], rows[box][-1]) for box in mine} == {
        ("call", "running", "alive")
    }
    told = re.fullmatch(r"Removed (\d+) containers of dead workers\.\n", reaped)
    assert told is not None, reaped
    assert int(told[1]) >= KINDS


@pytest.mark.parametrize("command", ["ps", "reap"])
def test_without_an_engine_the_commands_say_so_and_exit_1(command: str) -> None:
    told = sandbox(command, AUXOT_SANDBOX__ENGINE_URL="unix:///nonexistent.sock")
    assert told.returncode == 1
    assert "does not answer" in told.stderr
    assert "Traceback" not in told.stderr
