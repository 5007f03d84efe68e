"""`auxot-tools up` and `auxot-tools demo`, as `make up` and `make demo` run them."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from anyio.abc import Process

from auxot_tools.cli.up import kept_key
from auxot_tools.router.key_file import KeyEntry, append_key, hint_of, read_key_file, remove_key
from auxot_tools.router.serve import Listener, open_socket
from tests.support.engine import sandbox_image
from tests.support.running import CHEAP

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

AUXOT = (sys.executable, "-m", "auxot_tools.cli.main")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("AUXOT_")}


async def read_until(process: Process, words: str) -> str:
    said = ""
    assert process.stdout is not None
    with anyio.fail_after(90):
        while words not in said:
            said += (await process.stdout.receive()).decode()
    return said


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def child_named(command: str, parent: int) -> int:
    """The pid of the child of `parent` that runs `auxot-tools COMMAND`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ends = f"{command}\0".encode()
    return next(int(c) for c in children if Path(f"/proc/{c}/cmdline").read_bytes().endswith(ends))


@asynccontextmanager
async def up(home: Path) -> AsyncGenerator[Process, None]:
    """`auxot-tools up` in `home`; stopped, with its children, whatever happens."""
    process = await anyio.open_process([*AUXOT, "up"], cwd=home, env=ENVIRONMENT)
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            for _ in range(2):  # the second signal does not wait for running calls
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    await anyio.lowlevel.checkpoint()
            with anyio.move_on_after(30):
                await process.wait()
            await process.aclose()


async def test_a_second_signal_does_not_wait_for_running_calls(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(
        f'[router]\nlisten = "127.0.0.1:0"\nworker = "unix:{tmp_path}/w.sock"\n'
        f'[worker]\nlisten = ["unix:{tmp_path}/w.sock"]\n'
    )
    async with up(tmp_path) as process:
        await read_until(process, "Ctrl-C")
        worker = child_named("worker", process.pid)
        os.kill(worker, signal.SIGSTOP)  # it will not stop by itself
        process.send_signal(signal.SIGINT)
        await read_until(process, "Stopping")
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            assert await process.wait() == 0
        assert not is_alive(worker)


async def test_up_prints_what_to_type_and_it_works(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    (tmp_path / "auxot.toml").write_text(
        '[router]\nlisten = "127.0.0.1:0"\nworker = "127.0.0.1:50961"\n'
        '[worker]\nlisten = ["127.0.0.1:50961"]\n'
    )
    async with up(tmp_path) as process:
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
        worker_key = (tmp_path / ".state/up/worker.key").read_text().strip()
        called = await anyio.run_process(
            [*AUXOT, "call", "code_executor", "--input", '{"code": "print(6 * 9)"}'],
            cwd=tmp_path,
            env=ENVIRONMENT | {"AUXOT_WORKER_KEY": worker_key},
        )
        assert called.stdout == b"54\n"
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(60):
            assert await process.wait() == 0


async def test_up_says_which_process_ended_and_why(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(
        f'[router]\nlisten = "127.0.0.1:0"\nworker = "unix:{tmp_path}/w.sock"\n'
        f'[worker]\nlisten = ["unix:{tmp_path}/w.sock"]\n'
    )
    async with up(tmp_path) as process:
        await read_until(process, "Ctrl-C")
        os.kill(child_named("worker", process.pid), signal.SIGKILL)
        assert process.stderr is not None
        told = (await process.stderr.receive()).decode()
        with anyio.fail_after(60):
            assert await process.wait() == 1
    assert "the worker was ended by signal 9" in told


def test_up_says_why_it_cannot_start(tmp_path: Path) -> None:
    with open_socket(Listener("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "auxot.toml").write_text(
            f'[router]\nlisten = "127.0.0.1:{port}"\nworker = "unix:{tmp_path}/w.sock"\n'
            f'[worker]\nlisten = ["unix:{tmp_path}/w.sock"]\n'
        )
        started = subprocess.run(
            [*AUXOT, "up"],
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
        [*AUXOT, "demo"],
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


def test_up_makes_a_new_key_when_its_own_is_gone_and_leaves_others_alone(tmp_path: Path) -> None:
    key_file, keys_file = tmp_path / "key", tmp_path / "keys.toml"
    append_key(keys_file, KeyEntry(name="other", hash=CHEAP.hash("k")))
    first = kept_key(key_file, keys_file)
    assert kept_key(key_file, keys_file) == first
    remove_key(keys_file, "local")
    second = kept_key(key_file, keys_file)
    assert second != first
    key_file.unlink()
    third = kept_key(key_file, keys_file)
    assert third not in (first, second)
    names = [entry.name for entry in read_key_file(keys_file).keys]
    assert sorted(names) == ["local", "other"]
    assert read_key_file(keys_file).keys[-1].hint == hint_of(third)
