"""What open streams cost a router in memory.

One job: streams that have begun and then say nothing, and the process's size with more and more of
them. The process is fresh: in one that was busy before, new streams would use what was freed.
"""

from collections.abc import Sequence
from functools import partial

import anyio

from benchmarks.report import Report
from benchmarks.router_client import Asker, Connection, Target, body_of, closing, connected
from benchmarks.router_process import Server

_WARM_UP = 50
_AT_ONCE = 16  # streams that are being opened
_PATIENCE_S = 10.0
_SETTLE_S = 0.5
_NAME = 34


async def memory(report: Report, name: str, server: Server, steps: Sequence[int]) -> float:
    """KiB for each stream at the last step that was reached; one row for each step."""
    warm_up = partial(body_of, "text", stream=True)
    with closing({name: Asker(server.target, warm_up)}) as rows:
        for _ in range(_WARM_UP):
            await rows[name](0)
    asked: list[Connection] = []
    each = 0.0
    try:
        await anyio.sleep(_SETTLE_S)
        rss_before, pss_before = server.memory_kib
        for step in (0, *steps):
            await _open(server.target, asked, step)
            await anyio.sleep(_SETTLE_S)
            rss, pss = server.memory_kib
            opened = sum(connection.is_open for connection in asked)
            each = (pss - pss_before) / opened if opened else 0.0
            each_rss = (rss - rss_before) / opened if opened else 0.0
            sizes = f"{rss / 1024:9.1f}{pss / 1024:9.1f}{each_rss:14.1f}{each:10.1f}"
            print(f"{name:{_NAME}}{opened:9}{sizes}", flush=True)
            if opened < step:
                report.note(f"{name}: the next one did not begin within {_PATIENCE_S:.0f} s")
                break
    finally:
        for connection in asked:
            connection.close()
    return each


def tell_heads() -> None:
    heads = f"{'streams':>9}{'RSS MiB':>9}{'PSS MiB':>9}{'RSS KiB each':>14}{'PSS':>10}"
    print(f"{'':{_NAME}}{heads}")


async def _open(target: Target, asked: list[Connection], wanted: int) -> None:
    """Open streams until there are as many as ``wanted``, or one does not begin."""
    left = iter(range(wanted - len(asked)))
    async with anyio.create_task_group() as tasks:

        async def some() -> None:
            for _ in left:
                connection = await connected(target)
                asked.append(connection)  # before it is open: whatever happens, it is closed
                with anyio.move_on_after(_PATIENCE_S):
                    await connection.open(target.request(body_of("stall", stream=True)))
                if not connection.is_open:
                    tasks.cancel_scope.cancel()

        for _ in range(_AT_ONCE):
            tasks.start_soon(some)
