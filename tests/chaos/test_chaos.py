"""A thousand calls while worker, engine and containers are killed and frozen at random.

`make test-chaos` runs it, with an engine of its own; `make test` does not. The seed is printed;
`CHAOS_SEED`, `CHAOS_CALLS` and `CHAOS_MODES` (with commas) choose another run.
"""

import os
import random
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.sandbox.profile import LABEL_WORKER
from auxot_tools.types import Status
from tests.chaos.calls import Planned, Seen, make, make_all, plan, write_tools
from tests.chaos.faults import Chaos, Probe
from tests.chaos.verdict import problems, table
from tests.chaos.worker import ChaosWorker
from tests.support.engine import sandbox_image
from tests.support.second_engine import FORGOTTEN, Leftovers, SecondEngine, second_engine

CALLS = int(os.environ.get("CHAOS_CALLS", "1000"))
MODES = tuple(os.environ.get("CHAOS_MODES", "call,warm,session").split(","))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
IN_FLIGHT = 6
WHOLE_LIMIT_S = 840.0
CLEAN_WITHIN_S = 60.0
PROBE_S = 20.0

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.timeout(1100)]


@pytest.fixture
async def engine(anyio_backend: str) -> AsyncGenerator[SecondEngine, None]:
    image = await anyio.to_thread.run_sync(sandbox_image)
    async with second_engine(image) as second:
        yield second


@asynccontextmanager
async def running_worker(engine: SecondEngine, home: Path) -> AsyncGenerator[ChaosWorker, None]:
    write_tools(home / "tools", MODES)
    worker = ChaosWorker(home, engine.url, {"image": sandbox_image()})
    try:
        await worker.start()
        yield worker
    finally:
        with anyio.CancelScope(shield=True):  # bounded by its own limit
            await worker.stop()


def probe_of(client: RemoteDispatcher) -> Probe:
    """Whether a quick call of every mode completes."""
    chance = random.Random(SEED + 1)

    async def probe() -> bool:
        for mode in MODES:
            nonce = f"nonce-{chance.getrandbits(64):016x}"
            session = "session-0" if mode == "session" else ""
            call = Planned(-1, nonce, mode, "quick", 0, 0, session, PROBE_S)
            if (await make(client, call)).status != Status.COMPLETED:
                return False
        return True

    return probe


async def under_chaos(chaos: Chaos, client: RemoteDispatcher) -> list[Seen]:
    """All calls, while `chaos` breaks things; at the end everything is mended."""
    seen: list[Seen] = []
    with anyio.fail_after(WHOLE_LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(chaos.run)
            await make_all(client, plan(SEED, CALLS, MODES), IN_FLIGHT, seen)
            chaos.stopping.set()
    return seen


async def workers_with_containers(engine: SecondEngine) -> set[str]:
    """The ids of the workers that have containers on the engine, by the containers' labels."""
    form = f'{{{{.Label "{LABEL_WORKER}"}}}}'
    listed = await engine.docker("ps", "-a", "--format", form)
    return set(listed.stdout.decode().split())


async def what_is_left(engine: SecondEngine, worker: ChaosWorker) -> Leftovers:
    """Leftovers on the engine and of the workers' sockets, after at most `CLEAN_WITHIN_S`."""
    left: Leftovers = {}
    with anyio.move_on_after(CLEAN_WITHIN_S):
        while set(left := await engine.leftovers() | worker.leftovers()) - {FORGOTTEN}:  # noqa: ASYNC110
            await anyio.sleep(0.5)  # removals have no event that could be seen from here
    return left


def parts_of_containers(names: Sequence[str]) -> str:
    """How many parts (shims, cgroups, mounts) of how many containers."""
    containers = {match[0] for name in names if (match := re.search(r"[0-9a-f]{64}", name))}
    return f"{len(names)} parts of {len(containers)} containers"


async def test_each_call_has_one_truthful_outcome_and_nothing_is_left(
    engine: SecondEngine, tmp_path: Path
) -> None:
    print(
        f"\nchaos: CHAOS_SEED={SEED} CHAOS_CALLS={CALLS} CHAOS_MODES={','.join(MODES)}", flush=True
    )
    begun = time.monotonic()
    async with running_worker(engine, tmp_path) as worker:
        async with RemoteDispatcher(WorkerTarget(worker.target)) as client:
            probe = probe_of(client)
            chaos = Chaos(SEED, engine, worker, probe)
            await chaos.until_mended()
            seen = await under_chaos(chaos, client)
            # The last crash: what the dead worker had is the next one's to remove.
            await worker.kill()
            await worker.start()
            await chaos.until_mended()
            living = (await client.get_info()).worker_id
            owners = await workers_with_containers(engine)
        await worker.stop()
        left = await what_is_left(engine, worker)
    wrong = [problem for one in seen for problem in problems(one, chaos.faults, chaos.calms)]
    print(f"chaos: {len(seen)} calls, {len(chaos.faults)} faults, {time.monotonic() - begun:.0f} s")
    print(f"  {FORGOTTEN}: {parts_of_containers(left.get(FORGOTTEN, []))}")
    print("\n".join([*table(seen, chaos.faults), f"  the worker's log: {worker.log}", *wrong]))
    assert len(seen) == CALLS
    assert wrong == []
    assert owners <= {living}, "containers of a dead worker were not removed"
    forgotten = left.pop(FORGOTTEN, [])
    assert left == {}
    was_killed = any(fault.name.startswith("kill -9 engine") for fault in chaos.faults)
    assert was_killed or not forgotten, forgotten
