"""A worker's life between its start and its last signal.

Must not know what the worker serves. The first SIGTERM or SIGINT drains; a second one exits at
once, and what then lies about is removed by the next start.
"""

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio

from auxot_tools.rpc.server import WorkerServer
from auxot_tools.types import Deadline

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SIGNALLED: Final = 128  # shells report death by signal N as 128 + N

_log = logging.getLogger(__name__)


async def run_until_stopped(
    server: WorkerServer,
    on_drain: Callable[[], Awaitable[None]],
    grace_s: float,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Wait for a signal, then stop the started ``server``; returns when all clean-ups have run.

    In order: health NOT_SERVING and new calls refused; ``on_drain()``, which may use the grace
    period to let calls finish; the rest of ``grace_s`` for what still runs; cancelled then. A
    second signal ends the process at once with status 128 + its number. ``on_ready()`` is called
    when signals are ours to handle.
    """
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        on_ready()
        first = await anext(signals)
        _log.info("%s: finishing running calls, at most %g s", first.name, grace_s)
        grace = Deadline.after(grace_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_exit_on_next, signals)
            await server.begin_drain()
            await on_drain()
            await server.stop(grace.remaining_s())
            tasks.cancel_scope.cancel()


async def _exit_on_next(signals: AsyncIterator[signal.Signals]) -> None:
    second = await anext(signals)
    _log.warning("%s again: exiting at once", second.name)
    os._exit(_SIGNALLED + second)
