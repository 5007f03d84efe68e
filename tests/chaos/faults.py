"""Breaks worker, engine and containers at random from a seed, and mends them.

One job: faults, one or two at a time, each written down with its times; and calm times between, in
which all must work again. It knows nothing of the calls that run meanwhile.
"""

import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from subprocess import CalledProcessError, CompletedProcess

import anyio

from tests.chaos.verdict import Calm, Fault
from tests.chaos.worker import ChaosWorker
from tests.support.second_engine import SecondEngine

GAP_S = (0.5, 3.0)  # between two faults
HOLD_S = (1.0, 3.0)  # a freeze, a pause
PAIR_SHARE = 0.25
CALM_AFTER = 8  # faults
CALM_S = 6.0
MENDED_WITHIN_S = 60.0

Break = Callable[[], Awaitable[str]]
Probe = Callable[[], Awaitable[bool]]


@dataclass
class Chaos:
    """``probe`` says whether everything works."""

    seed: int
    engine: SecondEngine
    worker: ChaosWorker
    probe: Probe
    faults: list[Fault] = field(default_factory=list)
    calms: list[Calm] = field(default_factory=list)
    stopping: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        # what is broken -> the ways to break it; two faults at a time are of different things
        self._ways: dict[str, dict[str, Break]] = {
            "worker": {"kill -9 worker": self._kill_worker, "stop worker": self._freeze_worker},
            "engine": {
                "kill -9 engine": self._kill_engine,
                "kill -9 engine, live-restore": self._kill_engine_live,
                "stop engine": self._freeze_engine,
            },
            "container": {
                "docker kill": lambda: self._on_container("kill"),
                "docker rm -f": lambda: self._on_container("rm", "-f"),
                "docker pause": self._pause,
                "docker pause for ever": lambda: self._on_container("pause"),
                "kill -9 of PID 1": self._kill_init,
            },
        }

    async def run(self) -> None:
        """Until `stopping` is set. Raises `AssertionError` when the whole does not mend itself."""
        while not self.stopping.is_set():
            for _ in range(CALM_AFTER):
                if not await self._stops_within(self._chance.uniform(*GAP_S)):
                    await self._break()
            await self.until_mended()
            begun = time.monotonic()
            await self._stops_within(CALM_S)
            self.calms.append(Calm(begun, time.monotonic()))

    async def _stops_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self.stopping.wait()
        return self.stopping.is_set()

    async def until_mended(self) -> None:
        """Wait until everything works again; fails with the end of the worker's log."""
        with anyio.move_on_after(MENDED_WITHIN_S):
            while not await self.probe():  # noqa: ASYNC110
                await anyio.sleep(0.5)  # recovery has no event that could be seen from here
            return
        last = [f"{fault.name} {fault.detail}" for fault in self.faults[-3:]]
        raise AssertionError(f"not mended after {last}:\n{self.worker.log_tail()}")

    async def _break(self) -> None:
        chosen = self._chance.sample(
            list(self._ways), 2 if self._chance.random() < PAIR_SHARE else 1
        )
        async with anyio.create_task_group() as tasks:
            for what in chosen:
                name = self._chance.choice(list(self._ways[what]))
                tasks.start_soon(self._write_down, name, self._ways[what][name])

    async def _write_down(self, name: str, way: Break) -> None:
        begun = time.monotonic()
        # Known before it ends: a call that is hurt by it may end first.
        self.faults.append(Fault(name, begun, begun + MENDED_WITHIN_S))
        place = len(self.faults) - 1
        detail = await way()
        self.faults[place] = Fault(name, begun, time.monotonic(), detail)

    def _hold_s(self) -> float:
        return self._chance.uniform(*HOLD_S)

    async def _kill_worker(self) -> str:
        await self.worker.kill()
        await self.worker.start()
        return f"now pid {self.worker.pid}"

    async def _freeze_worker(self) -> str:
        self.worker.signal(signal.SIGSTOP)
        await anyio.sleep(self._hold_s())
        self.worker.signal(signal.SIGCONT)
        return ""

    async def _kill_engine(self) -> str:
        self.engine.live_restore = False
        await self.engine.kill()
        await self.engine.start()
        return ""

    async def _kill_engine_live(self) -> str:
        self.engine.live_restore = True
        await self.engine.kill()
        await self.engine.start()
        return ""

    async def _freeze_engine(self) -> str:
        self.engine.signal(signal.SIGSTOP)
        await anyio.sleep(self._hold_s())
        self.engine.signal(signal.SIGCONT)
        return ""

    async def _pause(self) -> str:
        container = await self._on_container("pause")
        await anyio.sleep(self._hold_s())
        await self._docker("unpause", container)
        return container

    async def _kill_init(self) -> str:
        container = await self._container()
        pid = await self._docker("inspect", "--format", "{{.State.Pid}}", container)
        number = int(pid.stdout) if pid is not None and pid.stdout.strip().isdigit() else 0
        if number > 1:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return container

    async def _on_container(self, *command: str) -> str:
        container = await self._container()
        if container:
            await self._docker(*command, container)
        return container

    async def _container(self) -> str:
        """A running container, or "" when there is none."""
        listed = await self._docker("ps", "-q", "--no-trunc")
        running = sorted(listed.stdout.decode().split()) if listed is not None else []
        return self._chance.choice(running) if running else ""

    async def _docker(self, *arguments: str) -> CompletedProcess[bytes] | None:
        """An engine that was broken at the same time does not answer: then nothing happens."""
        if "" in arguments:
            return None
        with suppress(CalledProcessError, TimeoutError):
            return await self.engine.docker(*arguments, within_s=10.0, check=False)
        return None
