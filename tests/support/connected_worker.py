"""Our worker for an Auxot router, in this process, over any dispatcher."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from auxot_tools.connect.connection import Times
from auxot_tools.connect.jobs import JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_worker import RouterTarget, RouterWorker
from auxot_tools.ports import ToolDispatcher
from tests.support.auxot_router import TOOLS_KEY, AuxotRouter


@dataclass
class Running:
    """``stop`` begins a stop; ``waits`` are the waits between connections, which take no time."""

    stop: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def connected(
    router: AuxotRouter,
    dispatcher: ToolDispatcher,
    *,
    allowed: Sequence[str] = (),
    deny_by_default: bool = False,
    key: str = TOOLS_KEY,
    address: str = "",
    grace_s: float = 5.0,
    times: Times | None = None,
    **settings: Any,
) -> AsyncGenerator[Running, None]:
    """A worker that is connected (unless the test says it is not to be); leaving ends it."""
    running = Running()
    worker = RouterWorker(
        RouterTarget(address or router.url, key),
        dispatcher,
        Offered(dispatcher, allowed, deny_by_default=deny_by_default),
        JobSettings(**settings),
        times=times,
        sleep=running.sleep,
    )

    async def work() -> None:
        await worker.run(running.stop, grace_s)
        running.ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await router.connected()
        yield running
        tasks.cancel_scope.cancel()
