"""Lets health say what a worker knows of itself: NOT_SERVING while it has a problem.

Must not know what the problem is about. Calls are taken meanwhile, and answered by whoever has the
problem: health is for those who choose between workers.
"""

import logging
from collections.abc import Callable
from typing import Final, NoReturn

import anyio

from auxot_tools.rpc.server import WorkerServer

LOOK_EVERY_S: Final = 1.0  # far below what a load balancer waits between two checks

_log = logging.getLogger(__name__)


async def follow_problem(
    server: WorkerServer, problem: Callable[[], str], look_every_s: float = LOOK_EVERY_S
) -> NoReturn:
    """Ask ``problem`` again and again, until cancelled; empty means that there is none.

    ``problem`` is cheap and never raises. Each change is logged once.
    """
    told = ""
    while True:
        found = problem()
        await server.set_serving(not found)
        if found and found != told:
            _log.warning("health is NOT_SERVING: %s", found)
        if told and not found:
            _log.info("health is SERVING again")
        told = found
        await anyio.sleep(look_every_s)
