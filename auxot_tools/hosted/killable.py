"""Work on hostile text, in processes of its own that are killed when it takes too much.

One job: few processes, each for one tenant, with limits on time and memory, and turns between the
tenants. It must not know what the work is, nor tools.
"""

import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from auxot_tools.hosted.killable_process import IDLE_S, SIZE, SIZES
from auxot_tools.hosted.turns import Turns
from auxot_tools.types import Deadline

# More than 100,000 characters in JSON, or 2,000 links with addresses of 2,000.
_ANSWER_BYTES = 8 * 2**20
_MARGIN_S = 5.0  # before the process ends of itself; it may be loaded, and its clock is its own


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What jobs may take: memory of one process, and time of one job with the start of a process.

    `processes` run side by side, at most one for each tenant, and so many are kept ready.
    """

    processes: int
    memory_bytes: int
    job_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked (JSON), and the text that it is asked of; a `str` is sent as UTF-8."""

    task: bytes
    body: bytes | str


class Killable:
    """Does jobs. A process that is kept for the next job only ever serves one tenant.

    `module` is run as `python -m`, and calls `killable_process.serve`. Nothing needs to be closed:
    what waits for jobs ends with this object, or after a minute.
    """

    def __init__(self, module: str, limits: JobLimits) -> None:
        self._module = module
        self._limits = limits
        self._turns = Turns(limits.processes)
        self._ready: deque[_Process] = deque()
        weakref.finalize(self, _end_all, self._ready)

    async def answer(self, job: Job, tenant: str, deadline: Deadline) -> bytes:
        """The answer (JSON); empty when there is none in time, or the job took too much memory or
        crashed. A job that waits for its turn at the deadline is not begun.
        """
        with anyio.move_on_after(deadline.remaining_s()):
            async with self._turns.turn(tenant):
                process = self._take(tenant) or _Process(self._module, self._limits, tenant)
                return await self._asked(process, job)
        return b""

    def _take(self, tenant: str) -> "_Process | None":
        """One that waits for this tenant's jobs, if there is one that will not end just now."""
        _end_all(self._ready, [process for process in self._ready if not process.is_fresh])
        for process in self._ready:
            if process.tenant == tenant:
                self._ready.remove(process)
                return process
        return None

    async def _asked(self, process: "_Process", job: Job) -> bytes:
        answer = b""
        try:
            with anyio.move_on_after(self._limits.job_s):
                # It may be left behind: without its process the thread ends, and tidies up.
                answer = await to_thread.run_sync(process.exchange, job, abandon_on_cancel=True)
        finally:
            if not answer:
                process.abandon()
        if answer:
            self._ready.append(process)
            _end_all(self._ready, list(self._ready)[: -self._limits.processes])
        return answer


class _Process:
    """One process, started with its first job. One thread at a time is in `exchange`."""

    def __init__(self, module: str, limits: JobLimits, tenant: str) -> None:
        self.tenant = tenant
        self._module = module
        self._limits = limits
        self._used_at = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of the two below
        self._is_exchanging = False
        self._is_unwanted = False

    @property
    def is_fresh(self) -> bool:
        """Whether it will still be there for a job that is sent at once."""
        is_idle = time.monotonic() - self._used_at > IDLE_S - _MARGIN_S
        return not is_idle and self._process is not None and self._process.poll() is None

    def exchange(self, job: Job) -> bytes:
        """The answer to one job; when the process ends instead, nothing, and all is tidied up.

        Blocks until then.
        """
        with self._lock:
            self._is_exchanging = not self._is_unwanted
        if not self._is_exchanging:
            return b""
        answer = b""
        try:
            with suppress(OSError):  # a pipe that breaks when the process ends
                answer = self._exchange(job)
        finally:
            with self._lock:
                self._is_exchanging = False
                self._used_at = time.monotonic()
                is_over = self._is_unwanted or not answer
            if is_over:
                self.end()
        return answer

    def _exchange(self, job: Job) -> bytes:
        task, body = job.task, job.body
        if isinstance(body, str):
            body = body.encode("utf-8", "replace")
        process = self._process or self._started()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            return b""
        stdin.write(SIZES.pack(len(task), len(body)) + task + body)
        stdin.flush()
        head = stdout.read(SIZE.size)
        size = SIZE.unpack(head)[0] if len(head) == SIZE.size else 0
        answer = stdout.read(size) if size <= _ANSWER_BYTES else b""
        return answer if len(answer) == size else b""

    def _started(self) -> subprocess.Popen[bytes]:
        numbers = (str(self._limits.memory_bytes), str(round(self._limits.job_s)))
        # Whatever a text does to a library, there are no keys to be found.
        environment = {"PYTHONPATH": ":".join(str(Path(entry).absolute()) for entry in sys.path)}
        process = subprocess.Popen(  # noqa: S603 (this very program, no shell)
            [sys.executable, "-P", "-X", "utf8", "-m", self._module, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in the worker's terminal is not for it
        )
        with self._lock:
            self._process = process
            if self._is_unwanted:
                process.kill()
        return process

    def abandon(self) -> None:
        """Nobody waits for its answer any more: end it, whatever it does."""
        with self._lock:
            self._is_unwanted = True
            if self._is_exchanging and self._process is not None:
                self._process.kill()
            is_left_to_the_thread = self._is_exchanging
        if not is_left_to_the_thread:
            self.end()

    def end(self) -> None:
        """End it and free what it held here. Waits for the kernel, which takes milliseconds."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what could not be written any more
                    pipe.close()


def _end_all(ready: deque[_Process], ended: list[_Process] | None = None) -> None:
    """End these of the processes that wait; None: all of them."""
    for process in list(ready) if ended is None else ended:
        ready.remove(process)
        process.end()
