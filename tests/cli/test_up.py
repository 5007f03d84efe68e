"""`auxot-tools up` and `auxot-tools demo`, as `make up` and `make demo` run them."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest

from auxot_tools.router.serve import Listener, open_socket
from tests.support.engine import sandbox_image

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("AUXOT_")}


async def read_until(process: anyio.abc.Process, words: str) -> str:
    said = ""
    assert process.stdout is not None
    with anyio.fail_after(90):
        while words not in said:
            said += (await process.stdout.receive()).decode()
    return said


def child_named(command: str, parent: int) -> int:
    """The pid of the child of `parent` that runs `auxot-tools COMMAND`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ends = f"{command}\0".encode()
    return next(int(c) for c in children if Path(f"/proc/{c}/cmdline").read_bytes().endswith(ends))


async def test_up_prints_what_to_type_and_it_works(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    (tmp_path / "auxot.toml").write_text(
        '[router]\nlisten = "127.0.0.1:0"\nworker = "127.0.0.1:50961"\n'
        '[worker]\nlisten = ["127.0.0.1:50961"]\n'
    )
    process = await anyio.open_process(
        [sys.executable, "-m", "auxot_tools.cli.main", "up"], cwd=tmp_path, env=ENVIRONMENT
    )
    try:
        said = await read_until(process, "Ctrl-C")
        key_file = tmp_path / ".state/up/key"
        key = key_file.read_text().strip()
        assert key in said
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert "ANTHROPIC_BASE_URL=http://127.0.0.1:" in said
        found = re.search(r"curl -N (\S+)", said)
        assert found is not None
        asked = {
            "model": "demo",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "run this python: print(6 * 7)"}],
        }
        async with (
            aiohttp.ClientSession(headers={"x-api-key": key}) as session,
            session.post(found[1], json=asked) as response,
        ):
            message = await response.json()
        shown = message["content"][2]
        assert json.dumps(shown["content"]) == '[{"type": "text", "text": "42"}]'
    finally:
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(60):
            assert await process.wait() == 0
        await process.aclose()


async def test_up_says_which_process_ended_and_why(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(
        f'[router]\nlisten = "127.0.0.1:0"\nworker = "unix:{tmp_path}/w.sock"\n'
        f'[worker]\nlisten = ["unix:{tmp_path}/w.sock"]\n'
    )
    process = await anyio.open_process(
        [sys.executable, "-m", "auxot_tools.cli.main", "up"], cwd=tmp_path, env=ENVIRONMENT
    )
    await read_until(process, "Ctrl-C")
    os.kill(child_named("worker", process.pid), signal.SIGKILL)
    assert process.stderr is not None
    told = (await process.stderr.receive()).decode()
    with anyio.fail_after(60):
        assert await process.wait() == 1
    await process.aclose()
    assert "the worker has ended" in told


def test_up_says_why_it_cannot_start(tmp_path: Path) -> None:
    with open_socket(Listener("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "auxot.toml").write_text(
            f'[router]\nlisten = "127.0.0.1:{port}"\nworker = "unix:{tmp_path}/w.sock"\n'
            f'[worker]\nlisten = ["unix:{tmp_path}/w.sock"]\n'
        )
        started = subprocess.run(
            [sys.executable, "-m", "auxot_tools.cli.main", "up"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert started.returncode == 1
    assert "in use" in started.stderr
    assert "Traceback" not in started.stderr


def test_demo_shows_two_calls_in_containers_and_exits_0(tmp_path: Path) -> None:
    sandbox_image()
    shown = subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", "demo"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("tool_use  code_executor") == 2
    assert len(set(re.findall(r"container ([0-9a-f]{12})", shown.stdout))) == 2
    assert "[2, 3, 5, 7, 11, 13" in shown.stdout
    assert "no way out" in shown.stdout
    assert "stop_reason end_turn" in shown.stdout
