"""Reads HTML in processes of its own, which are killed when a page takes too much.

One job: few processes, each for one tenant, with limits on time and memory. It must not know what
is read out of a page, nor tools.
"""

import json
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from auxot_tools.hosted.web_html_process import IDLE_S, SIZE, SIZES
from auxot_tools.hosted.web_pages import Part
from auxot_tools.hosted.web_reading import Reading, ReadingTask
from auxot_tools.types import Deadline

_MODULE = "auxot_tools.hosted.web_html_process"
# More than 100,000 characters in JSON, or 2,000 links with addresses of 2,000.
_READING_BYTES = 8 * 2**20
_MARGIN_S = 5.0  # before the process ends of itself; it may be loaded, and its clock is its own


@dataclass(frozen=True, slots=True)
class HtmlLimits:
    """What reading may take.

    `memory_bytes`, of one process: a page of 5 MiB that is all tags needs about half of it.
    `page_s`: an ordinary page takes 0.02 s, a large one 1 s, and 0.2 s more to start; a quadratic
    one takes for ever.
    `processes` run side by side, and so many are kept ready.
    """

    processes: int = 2
    memory_bytes: int = 2**30
    page_s: float = 10.0


class HtmlReader:
    """Reads pages. A process that is kept for the next page only ever serves one tenant.

    Nothing needs to be closed: what waits for pages ends with this object, or after a minute.
    """

    def __init__(self, limits: HtmlLimits | None = None) -> None:
        self._limits = limits or HtmlLimits()
        self._slots = anyio.CapacityLimiter(self._limits.processes)
        self._ready: deque[_PageProcess] = deque()
        weakref.finalize(self, _end_all, self._ready)

    async def read(
        self, task: ReadingTask, body: bytes, tenant: str, deadline: Deadline
    ) -> Reading | None:
        """The reading; None when the page takes too much time or memory, or crashes the parser."""
        with anyio.move_on_after(deadline.remaining_s()):
            async with self._slots:
                process = self._take(tenant) or _PageProcess(self._limits, tenant)
                return await self._asked(process, task, body)
        return None

    def _take(self, tenant: str) -> "_PageProcess | None":
        """One that waits for this tenant's pages, if there is one that will not end just now."""
        _end_all(self._ready, [process for process in self._ready if not process.is_fresh])
        for process in self._ready:
            if process.tenant == tenant:
                self._ready.remove(process)
                return process
        return None

    async def _asked(
        self, process: "_PageProcess", task: ReadingTask, body: bytes
    ) -> Reading | None:
        answer = b""
        try:
            with anyio.move_on_after(self._limits.page_s):
                # It may be left behind: without its process the thread ends, and tidies up.
                answer = await to_thread.run_sync(
                    process.exchange, task, body, abandon_on_cancel=True
                )
        finally:
            if not answer:
                process.abandon()
        if not answer:
            return None
        self._ready.append(process)
        _end_all(self._ready, list(self._ready)[: -self._limits.processes])
        return _reading(answer)


class _PageProcess:
    """One process, started with its first page. One thread at a time is in `exchange`."""

    def __init__(self, limits: HtmlLimits, tenant: str) -> None:
        self.tenant = tenant
        self._limits = limits
        self._used_at = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of the two below
        self._is_exchanging = False
        self._is_unwanted = False

    @property
    def is_fresh(self) -> bool:
        """Whether it will still be there for a page that is sent at once."""
        is_idle = time.monotonic() - self._used_at > IDLE_S - _MARGIN_S
        return not is_idle and self._process is not None and self._process.poll() is None

    def exchange(self, task: ReadingTask, body: bytes) -> bytes:
        """The answer to one page; when the process ends instead, nothing, and all is tidied up.

        Blocks until then.
        """
        with self._lock:
            self._is_exchanging = not self._is_unwanted
        if not self._is_exchanging:
            return b""
        answer = b""
        try:
            with suppress(OSError):  # a pipe that breaks when the process ends
                answer = self._exchange(json.dumps(asdict(task)).encode(), body)
        finally:
            with self._lock:
                self._is_exchanging = False
                self._used_at = time.monotonic()
                is_over = self._is_unwanted or not answer
            if is_over:
                self.end()
        return answer

    def _exchange(self, task: bytes, body: bytes) -> bytes:
        process = self._process or self._started()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            return b""
        stdin.write(SIZES.pack(len(task), len(body)) + task + body)
        stdin.flush()
        head = stdout.read(SIZE.size)
        size = SIZE.unpack(head)[0] if len(head) == SIZE.size else 0
        answer = stdout.read(size) if size <= _READING_BYTES else b""
        return answer if len(answer) == size else b""

    def _started(self) -> subprocess.Popen[bytes]:
        numbers = (str(self._limits.memory_bytes), str(round(self._limits.page_s)))
        # Whatever a page does to a parser, there are no keys to be found.
        environment = {"PYTHONPATH": ":".join(str(Path(entry).absolute()) for entry in sys.path)}
        process = subprocess.Popen(  # noqa: S603 (this very program, no shell)
            [sys.executable, "-P", "-X", "utf8", "-m", _MODULE, *numbers],
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


def _reading(answer: bytes) -> Reading:
    fields = json.loads(answer)
    part = Part(**fields.pop("part"))
    return Reading(part, **{**fields, "notes": tuple(fields["notes"])})


def _end_all(ready: deque[_PageProcess], ended: list[_PageProcess] | None = None) -> None:
    """End these of the processes that wait; None: all of them."""
    for process in list(ready) if ended is None else ended:
        ready.remove(process)
        process.end()
