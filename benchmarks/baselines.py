"""What the sandbox is compared with: bare starts of Python and Node.js, `docker run` and `exec`.

One job: one call of each, timed, blocking. The bare Python is the system's, never a virtual
environment's, whose start costs three times as much. The bare Node.js is the image's own program,
started through `chroot` in a copy of the image's root file system: the same bytes without a box.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from auxot_tools.sandbox.measure import CALL_LIMIT_S, EXPECTED, bare_start_s
from benchmarks.timing import Call

THREADS = CapacityLimiter(64)  # above the most calls in flight
_CODE = ("python3", "-c", "print(6*7)")


async def bare_python(_client: int) -> float:
    return await to_thread.run_sync(bare_start_s, limiter=THREADS)


def docker_run(image: str) -> Call:
    """`docker run --rm` without a network: the command's own time, removal included."""
    command = ("docker", "run", "--rm", "--network", "none", image, *_CODE)

    async def call(_client: int) -> float:
        return await to_thread.run_sync(_docker_s, command, limiter=THREADS)

    return call


@contextmanager
def docker_exec(image: str) -> Iterator[Call]:
    """`docker exec` in one running container."""
    name = f"auxot-bench-{secrets.token_hex(4)}"
    command = ("docker", "run", "-d", "--rm", "--name", name, "--network", "none", image)
    subprocess.run([*command, "sleep", "3600"], check=True, capture_output=True, timeout=60)

    async def call(_client: int) -> float:
        arguments = ("docker", "exec", name, *_CODE)
        return await to_thread.run_sync(_docker_s, arguments, limiter=THREADS)

    try:
        yield call
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True, timeout=60)


def _docker_s(command: tuple[str, ...]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, timeout=CALL_LIMIT_S)
    took_s = time.perf_counter() - begun
    if done.stdout != EXPECTED:
        raise RuntimeError(f"{command[:2]} failed: {done.stderr[-200:]!r}")
    return took_s


@contextmanager
def bare_node(image: str) -> Iterator[tuple[str, Call]]:
    """A bare `node -e`, and how it is started, in words. As root the image's own Node.js."""
    script = ("-e", "console.log(6*7)")
    if os.geteuid() != 0:
        host = shutil.which("node")
        if host is None:
            raise RuntimeError("a bare Node.js to compare with needs root, or node on the PATH")
        yield f"this machine's {host}", _bare((host, *script))
        return
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        _export(image, folder)
        chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")
        command = (chroot or "chroot", folder, "/usr/bin/node", *script)
        yield "the image's own node through chroot", _bare(command)


def _bare(command: tuple[str, ...]) -> Call:
    async def call(_client: int) -> float:
        return await to_thread.run_sync(partial(bare_start_s, command), limiter=THREADS)

    return call


def _export(image: str, folder: str) -> None:
    """The image's root file system in ``folder``."""
    created = subprocess.run(
        ["docker", "create", image, "true"], check=True, capture_output=True, timeout=60
    )
    container = created.stdout.decode().strip()
    tar = Path(folder) / "root.tar"
    try:
        subprocess.run(["docker", "export", "-o", tar, container], check=True, timeout=300)
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True, timeout=60)
    # No device nodes: the copy is read by node only.
    subprocess.run(["tar", "-xf", tar, "-C", folder, "--exclude=dev/*"], check=True, timeout=300)
    tar.unlink()
