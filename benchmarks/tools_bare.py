"""The bare work of tools: programs as plain subprocesses, kept interpreters, files.

One job: one timed call of each, as somebody would write it who wants nothing else. No limits, no
box, no checks.
"""

import contextlib
import io
import itertools
import os
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread

from auxot_tools.sandbox.measure import CALL_LIMIT_S
from benchmarks.timing import Call
from benchmarks.tools_calls import Expected, is_expected

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_END = b"\x04end\x04"


def program(command: Sequence[str], expected: Expected, stdin: bytes = b"") -> Call:
    """The program's start and end, read to its end."""
    work = partial(_run_s, command, expected, stdin)

    async def call(_client: int) -> float:
        return await anyio.to_thread.run_sync(work)

    return call


def _run_s(command: Sequence[str], expected: Expected, stdin: bytes) -> float:
    begun = time.perf_counter()
    # close_fds=False lets the kernel's cheapest way of starting be used (vfork).
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        env=_ENVIRONMENT,
        cwd="/",
        close_fds=False,
        check=False,
        timeout=CALL_LIMIT_S,
    )
    took_s = time.perf_counter() - begun
    if not is_expected(done.stdout.decode(), expected):
        raise RuntimeError(f"{command[0]} printed {done.stdout[:80]!r} {done.stderr[:200]!r}")
    return took_s


@asynccontextmanager
async def kept_bash(line: str, expected: str) -> AsyncGenerator[Call, None]:
    """One command written to a bash that is kept."""
    process = await anyio.open_process(["bash"], env=_ENVIRONMENT, cwd="/")
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("a child was started without pipes")
    text = f"{line}\nprintf '\\004end\\004'\n".encode()

    async def call(_client: int) -> float:
        begun = time.perf_counter()
        said = b""
        with anyio.fail_after(CALL_LIMIT_S):
            await stdin.send(text)
            while not said.endswith(_END):
                said += await stdout.receive()
        took_s = time.perf_counter() - begun
        if expected.encode() not in said:
            raise RuntimeError(f"the kept bash said {said[:80]!r}")
        return took_s

    try:
        yield call
    finally:
        with anyio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.aclose()


def running_python(code: str, expected: str) -> Call:
    """``exec`` in this very interpreter, its output caught."""
    names: dict[str, object] = {}

    async def call(_client: int) -> float:
        begun = time.perf_counter()
        caught = io.StringIO()
        with contextlib.redirect_stdout(caught):
            exec(compile(code, "<code>", "exec"), names)
        took_s = time.perf_counter() - begun
        if expected not in caught.getvalue():
            raise RuntimeError("exec printed something else")
        return took_s

    return call


def blocking(work: Callable[[], object]) -> Call:
    """A function called directly."""

    async def call(_client: int) -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return call


def get(session: aiohttp.ClientSession, url: str, then: Callable[[bytes], object] = len) -> Call:
    """A GET on a connection that is kept; ``then`` is done with the body, and must find some."""

    async def call(_client: int) -> float:
        begun = time.perf_counter()
        async with session.get(url) as response:
            body = await response.read()
        found = then(body)
        took_s = time.perf_counter() - begun
        if response.status != 200 or not found:
            raise RuntimeError(f"GET {url} was answered {response.status}")
        return took_s

    return call


def written(path: Path, text: str) -> None:
    """A file with this text, which is on the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replacing(path: Path, old: str, new: str) -> Callable[[], None]:
    """Puts one text in place of another in a file, and the next time back."""
    turns = itertools.count()

    def replace() -> None:
        text = path.read_text("utf-8")
        is_back = next(turns) % 2 == 1
        written(path, text.replace(new, old) if is_back else text.replace(old, new))

    return replace


def awaited(work: Callable[[], Awaitable[object]]) -> Call:
    """An async function called directly."""

    async def call(_client: int) -> float:
        begun = time.perf_counter()
        await work()
        return time.perf_counter() - begun

    return call
