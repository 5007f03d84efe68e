"""Files that a call leaves behind reach the person who called."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread
import pytest

from tests.support.whole import Whole, whole

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

INPUT = '{"language":"bash","code":"printf data > /work/out/a.txt"}'


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


def call(product: Whole, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["call", "code_executor", "--input", INPUT, "--save", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", *arguments],
        env=os.environ | product.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_files_are_saved_and_none_is_overwritten(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    async with whole(home) as product:
        first = await anyio.to_thread.run_sync(call, product, folder)
        (folder / "a.txt").write_text("mine")
        second = await anyio.to_thread.run_sync(call, product, folder)
    assert first.returncode == 0, first.stderr
    assert "Files: a.txt (4 bytes)" in first.stdout
    assert f"-- saved {folder}/a.txt" in first.stderr
    assert second.returncode == 1
    assert "is there already; it was kept" in second.stderr
    assert (folder / "a.txt").read_text() == "mine"
