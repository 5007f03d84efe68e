"""Reading in processes: what they may take, whom they serve and when, and that none is left."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from auxot_tools.hosted.killable_process import IDLE_S
from auxot_tools.hosted.web_html import PAGE_LIMITS, HtmlReader
from auxot_tools.hosted.web_reading import Reading, ReadingTask
from auxot_tools.types import Deadline

pytestmark = pytest.mark.anyio
SMALL = b"<title>T</title><p>Some text"
QUADRATIC = f"<p {' '.join(f'a{n}=1' for n in range(150_000))}>x</p>".encode()
WAIT_S = 30.0


TASK = ReadingTask("https://a.example/", "text/html", is_html=True)


async def read(reader: HtmlReader, body: bytes = SMALL, tenant: str = "ann") -> Reading | None:
    return await reader.read(TASK, body, tenant, Deadline.after(WAIT_S))


def children() -> set[int]:
    """The processes of ours that read pages now."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in listed for pid in path.read_text().split()}
    return {pid for pid in pids if b"web_html_process" in command_line(pid)}


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def environment(pid: int) -> dict[bytes, bytes]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(pair.split(b"=", 1) for pair in pairs if pair)


def open_files(pid: int) -> set[str]:
    return {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


async def until(is_so: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait, bounded, for what the kernel does to processes: nobody tells us."""
    with anyio.fail_after(wait_s):
        while not is_so():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_a_page_is_read_and_its_process_kept_for_the_same_tenant() -> None:
    reader = HtmlReader()
    before = children()
    reading = await read(reader)
    assert reading is not None
    assert (reading.title, reading.part.content) == ("T", "Some text")
    first = children() - before
    assert len(first) == 1
    await read(reader)
    assert children() - before == first


async def test_no_process_serves_two_tenants() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, processes=2))
    before = children()
    served: list[set[int]] = []
    for tenant in ("ann", "bob", "cid", "ann"):
        earlier = children()
        await read(reader, tenant=tenant)
        served.append(children() - earlier)
    # A third tenant's pushes out the first, who then gets a new one.
    assert [len(new) for new in served] == [1, 1, 1, 1]
    assert len(set().union(*served)) == 4
    assert len(children() - before) == 2


async def test_a_process_has_nothing_of_the_workers_environment() -> None:
    reader = HtmlReader()
    before = children()
    await read(reader)
    (pid,) = children() - before
    assert set(environment(pid)) <= {b"PYTHONPATH", b"LC_CTYPE"}
    assert all(name.startswith(("pipe:", "/dev/null")) for name in open_files(pid))


async def test_a_page_that_takes_too_long_ends_its_process_and_the_next_is_read() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, job_s=3))
    before = children()
    assert await read(reader, QUADRATIC) is None
    assert await read(reader) is not None
    await until(lambda: len(children() - before) == 1)


async def test_a_page_that_takes_too_much_memory_is_given_up() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, memory_bytes=220 * 2**20))
    assert await read(reader, b"<i>x</i>" * 600_000) is None
    assert await read(reader) is not None


async def test_waiting_for_a_process_ends_with_the_deadline() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, processes=1, job_s=3))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, reader, QUADRATIC)
        await anyio.lowlevel.checkpoint()  # the first takes the only place
        assert await reader.read(TASK, SMALL, "ann", Deadline.after(0.2)) is None
        tasks.cancel_scope.cancel()


async def test_a_caller_who_leaves_ends_the_process() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, job_s=20))
    before = children()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, reader, QUADRATIC)
        await until(lambda: bool(children() - before))
        tasks.cancel_scope.cancel()
    # Long before its own limits would end it.
    await until(lambda: not children() - before, wait_s=8)


async def test_nothing_is_left_when_the_reader_is_gone() -> None:
    reader = HtmlReader()
    before = children()
    await read(reader)
    assert children() - before
    del reader
    assert children() - before == set()


async def test_a_process_ends_with_the_worker(tmp_path: Path) -> None:
    code = (
        "import anyio, os\n"
        "from auxot_tools.hosted.web_html import HtmlReader\n"
        "from auxot_tools.hosted.web_reading import ReadingTask\n"
        "from auxot_tools.types import Deadline\n"
        "async def main():\n"
        "    reader = HtmlReader()\n"
        "    task = ReadingTask('https://a.example/', 'text/html', True)\n"
        "    await reader.read(task, b'<p>x', 'ann', Deadline.after(30))\n"
        "    print(reader._jobs._ready[0]._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "anyio.run(main)\n"
    )
    done = await anyio.run_process([sys.executable, "-c", code], check=False)
    pid = int(done.stdout)
    await until(lambda: not command_line(pid))
    assert WAIT_S < IDLE_S  # so it was not for want of pages


async def test_nobody_waits_behind_the_pages_of_another() -> None:
    reader = HtmlReader(replace(PAGE_LIMITS, job_s=WAIT_S))
    before = children()
    async with anyio.create_task_group() as tasks:
        for _page in range(8):
            tasks.start_soon(read, reader, QUADRATIC)
        await until(lambda: bool(children() - before))
        # Far sooner than one of those pages is given up.
        assert await reader.read(TASK, SMALL, "bob", Deadline.after(WAIT_S / 2)) is not None
        tasks.cancel_scope.cancel()
