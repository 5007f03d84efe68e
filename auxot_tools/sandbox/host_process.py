"""One program on the host: started with a clean environment, in a process group of its own.

One job: the process, its pipes, its end. It must not know boxes, limits of output or clocks. Linux
only: the group is killed while its leader is dead and not yet waited for, so that the number of the
group cannot be another's by then.
"""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio

from auxot_tools.ports import BoxLimits, Program
from auxot_tools.sandbox.host_files import TEMPORARY, TOOL, WORK
from auxot_tools.types import StreamName

PATH = "/usr/local/bin:/usr/bin:/bin"
_IN_BOX = "/tool/"  # how a tool's command names its own files
_PIECE_BYTES = 64 * 2**10  # what a pipe holds
# A shell that sets the limits and becomes the program; the words of the command are its arguments.
_START = 'ulimit -c 0 && ulimit -n {open_files} && ulimit -f {blocks} && exec "$@"'
_BLOCK_BYTES = 512  # POSIX: the unit of `ulimit -f`


class NoSuchProgram(Exception):
    """There is nothing to be started under the command's first word."""


class HostProcess:
    """A program that runs, or ran."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        self._is_reaped = False
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)

    def outputs(self) -> dict[StreamName, IO[bytes]]:
        """Its two pipes to us."""
        named: dict[StreamName, IO[bytes] | None] = {
            "stdout": self._process.stdout,
            "stderr": self._process.stderr,
        }
        return {name: stream for name, stream in named.items() if stream is not None}

    def kill(self) -> None:
        """SIGKILL to the whole group; nothing once it was waited for."""
        if self._is_reaped:
            return
        # All may be gone, or be another user's by now (a setuid program).
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the program itself has ended. Its group may live on, and can be killed."""
        await anyio.wait_readable(self._pidfd)

    def reap(self) -> int | None:
        """Close the pipes and forget the process: its exit code, or minus the signal's number.

        ``None`` when it has not ended, because nothing can end it now.
        """
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._pidfd)
        code = self._process.poll()
        self._is_reaped = True
        return code

    async def feed(self, data: bytes) -> None:
        """Give it its standard input, and the end of it. It may go before it has read all."""
        stdin = self._process.stdin
        if stdin is None:
            return
        left = memoryview(data)
        try:
            while left:
                await anyio.wait_writable(stdin)
                left = left[os.write(stdin.fileno(), left[:_PIECE_BYTES]) :]
        except (BrokenPipeError, ConnectionResetError):
            pass
        stdin.close()


async def read_some(stream: IO[bytes]) -> bytes:
    """The next bytes of a pipe; empty at its end."""
    while True:
        await anyio.wait_readable(stream)
        try:
            return os.read(stream.fileno(), _PIECE_BYTES)
        except BlockingIOError:
            continue


def start(program: Program, root: Path, limits: BoxLimits) -> HostProcess:
    """Start ``program``, whose files lie in ``root``. Blocks for some milliseconds.

    Raises ``NoSuchProgram``, or ``OSError`` when the machine has no room for a process.
    """
    env = _environment(program, root)
    words = [_mapped(word, root) for word in program.command]
    if not words or shutil.which(words[0], path=env.get("PATH", PATH)) is None:
        raise NoSuchProgram
    script = _START.format(
        open_files=_within(limits.open_files, resource.RLIMIT_NOFILE),
        blocks=max(1, _within(limits.disk_bytes, resource.RLIMIT_FSIZE) // _BLOCK_BYTES),
    )
    process = subprocess.Popen(  # noqa: S603 - the operator named this tool
        ["/bin/sh", "-c", script, "sh", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=root / WORK,
        env=dict(env),
        start_new_session=True,
        umask=0o077,
    )
    return HostProcess(process)


def _environment(program: Program, root: Path) -> Mapping[str, str]:
    """Nothing of the worker's: that holds its keys."""
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": str(root / WORK),
        "TMPDIR": str(root / TEMPORARY),
        **dict(program.env),
    }


def _mapped(word: str, root: Path) -> str:
    return f"{root / TOOL}/{word.removeprefix(_IN_BOX)}" if word.startswith(_IN_BOX) else word


def _within(wanted: int, kind: int) -> int:
    """No more than this process may have itself."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
