"""`auxot-tools call` of a tool that is there, and in quarantine."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import KEY, served


def call(name: str, environ: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", "call", name],
        env=os.environ | environ,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.anyio
async def test_an_operator_is_told_where_the_reason_is(tmp_path: Path) -> None:
    (tmp_path / "tools" / "broken").mkdir(parents=True)
    address = f"unix:{tmp_path}/w.sock"
    environ = {
        "AUXOT_ROUTER__WORKER": address,
        "AUXOT_WORKER_KEY": KEY,
        "AUXOT_WORKER__TOOLS_DIRS": "tools",
    }
    async with served(FakeDispatcher(), address, key=KEY):
        broken, other = [
            await anyio.to_thread.run_sync(partial(call, name, environ, tmp_path))
            for name in ("broken", "other")
        ]
    assert "-- broken is in quarantine; `auxot-tools list` says why" in broken.stderr
    assert broken.returncode == other.returncode == 1
    assert "quarantine" not in other.stdout + other.stderr.replace("'broken' is in quarantine", "")
