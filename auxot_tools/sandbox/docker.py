"""`ports.Sandbox` on a Docker engine: hands out boxes of three isolations, and takes them back.

One job: join the parts. How a box is made is the launcher's, who waits for one is the pool's, what
outlives a call is kept by `warm` and `session`, what happens in a box is `box.py`'s. Here are the
slots, the tasks, and the end of everything.
"""

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from auxot_tools.errors import AuxotError, ConfigError, DeadlineExceeded, Unavailable
from auxot_tools.net.egress import Connect
from auxot_tools.ports import Box, BoxOwner, BoxSpec
from auxot_tools.sandbox import reaper
from auxot_tools.sandbox.access import Engine, EngineAccess, RuntimeUnknown
from auxot_tools.sandbox.box import DockerBox
from auxot_tools.sandbox.cpus import CpuBoard
from auxot_tools.sandbox.engine import engine_errors
from auxot_tools.sandbox.identity import process_start, this_process
from auxot_tools.sandbox.kind import BoxKind, Transport, kind_of
from auxot_tools.sandbox.launcher import Launcher
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.outlets import Outlets
from auxot_tools.sandbox.pool import CLOSED, Pool
from auxot_tools.sandbox.reaper import ListedBox
from auxot_tools.sandbox.run_dir import RunDir
from auxot_tools.sandbox.seccomp import read_profiles
from auxot_tools.sandbox.session import Sessions
from auxot_tools.sandbox.warm import WarmBoxes
from auxot_tools.sandbox.watch import Watch
from auxot_tools.types import Deadline

log = logging.getLogger(__name__)

_TASKS_LIMIT_S = 5.0  # for our own tasks to end; they wait for nothing when they are cancelled
_SWEEP_S = 5.0  # how exact the ends of idle boxes are
NO_SLOT = "No sandbox became free before the call's deadline."


class DockerSandbox:
    """Runs programs in Docker containers; used as `async with DockerSandbox(...) as sandbox`.

    ``connect`` is the checked way out that boxes with hosts share; without it claims for such raise
    `Unavailable`. Leaving the context closes it. Before it is entered nothing is asked of the
    engine, and nothing can be claimed.
    """

    def __init__(
        self,
        options: SandboxOptions | None = None,
        *,
        worker_id: str,
        connect: Connect | None = None,
    ) -> None:
        self.options = options or SandboxOptions()
        self.identity = this_process(worker_id)
        self._run_dir = RunDir(self.identity, self.options.run_dir)
        self._engine = EngineAccess(self.options)
        self._outlets = Outlets(connect)
        self._launcher = Launcher(
            self._engine,
            self.identity,
            self.options,
            profiles=read_profiles(),
            run_dir=self._run_dir,
            outlets=self._outlets,
        )
        self._slots = anyio.Semaphore(self.options.concurrency)
        self._cpus = CpuBoard()
        self._pool = Pool(self._make, self._launcher.dispose, self.options)
        self._watch = Watch(self._engine, self._needed_images, self.options.watch_s)
        self._open: dict[DockerBox, BoxOwner] = {}  # bounded by the slots
        self._closed = False
        self._outer = anyio.create_task_group()
        self._tasks: TaskGroup | None = None  # ends with `close`, and not what runs around it
        self._tasks_ended = anyio.Event()
        self._warm: WarmBoxes | None = None
        self._sessions: Sessions | None = None

    async def __aenter__(self) -> Self:
        await self._outer.__aenter__()
        try:
            await self._outer.start(self._run_tasks)
        except BaseException:  # nobody leaves what was not entered
            self._outer.cancel_scope.cancel()
            await self._outer.__aexit__(*sys.exc_info())
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        finally:
            # Not told of the body's error, which goes on as it is and not in a group of one.
            await self._outer.__aexit__(None, None, None)

    async def _run_tasks(self, *, task_status: TaskStatus[None]) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._outlets.begin(tasks)
                self._warm = WarmBoxes(self._pool, tasks)
                self._sessions = Sessions(self._pool, tasks)
                for task in (self._pool.run, self._watch.run, self._sweep, self._reconcile):
                    tasks.start_soon(task)
                task_status.started()
        finally:
            self._tasks_ended.set()

    # -- the port

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> Box:
        """Contract: `ports.Sandbox.claim`."""
        if self._closed:
            raise Unavailable(CLOSED)
        kind = kind_of(spec)
        self._launcher.refuse(kind)
        with anyio.move_on_after(deadline.remaining_s()):
            await self._slots.acquire()
            try:
                live, notice = await self._take(kind, owner)
                self._refuse_if_closed(live)
            except BaseException:
                self._slots.release()
                raise
            box = DockerBox(
                live,
                spec.limits,
                inspect=lambda: self._engine.inspect(live.container_id),
                give_back=self._give_back,
                cpu=self._cpus.take(),
                notice=notice,
            )
            self._open[box] = owner
            return box
        raise DeadlineExceeded(NO_SLOT)

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:
        """Contract: `ports.Sandbox.prepare`. A box waits `hint_s` for the call."""
        if self._closed or self._tasks is None or self.problem():
            return False
        kind = kind_of(spec)
        if self._outlets.problem(kind, self.transport):
            return False
        warm, sessions = self._kept()
        if kind.isolation == "warm" and warm.has(owner.tenant, kind):
            return True
        if kind.isolation == "session" and sessions.has(owner, kind):
            return True
        return self._pool.hint(kind)

    def problem(self) -> str:
        """Contract: `ports.Sandbox.problem`."""
        return CLOSED if self._closed else self._watch.problem()

    async def close(self) -> None:
        """Contract: `ports.Sandbox.close`. Boxes still claimed are killed and removed."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        for box in list(self._open):
            box.abandon()
            self._launcher.remove_under(box.live)
        if self._tasks is not None:
            warm, sessions = self._kept()
            warm.close()
            sessions.close()
            self._tasks.cancel_scope.cancel()
        with anyio.move_on_after(_TASKS_LIMIT_S, shield=True):
            if self._tasks is not None:
                await self._tasks_ended.wait()
        with anyio.CancelScope(shield=True):  # bounded by the limit of `finish`
            await anyio.to_thread.run_sync(self._finish)

    # -- for the worker's start, and for people

    def keep_ready(self, specs: Iterable[BoxSpec]) -> None:
        """Boxes for these wait from now on, also when no call has come for long."""
        self._pool.keep(kind_of(spec) for spec in specs)

    async def check(self, image: str = "") -> str:
        """The image's name, when the engine answers and has it; empty means the default image.

        Raises `EngineUnavailable`, `ImageMissing`, or `ConfigError` for an unknown runtime.
        """

        def ask(engine: Engine) -> str:
            name = image or engine.default_image
            with engine_errors(name, self._engine.base_url, is_our_image=not image):
                engine.client.inspect_image(name)  # type: ignore[no-untyped-call]
            return name

        try:
            return await self._engine.ask(ask)
        except RuntimeUnknown as error:  # at any other time than the start nobody can correct it
            raise ConfigError([str(error)]) from error

    async def remove_leftovers(self) -> int:
        """Remove what dead workers left on this engine; returns how many containers that were.

        Raises `EngineUnavailable`.
        """

        def remove(engine: Engine) -> int:
            self._run_dir.remove_leftovers(process_start)
            return reaper.remove_leftovers(engine.client, self.identity, time.time(), process_start)

        return await self._engine.ask(remove)

    async def list_boxes(self) -> Sequence[ListedBox]:
        """Every container of every worker on this engine. Raises `EngineUnavailable`."""
        return await self._engine.ask(
            lambda engine: reaper.list_boxes(engine.client, self.identity, process_start)
        )

    @property
    def transport(self) -> Transport | None:
        """Which channel boxes are reached over; `None` before the first one told."""
        return self._launcher.transport

    @property
    def namespaces(self) -> bool | None:
        """Whether warm boxes make namespaces; `None` before the first one told."""
        return self._launcher.namespaces

    # -- boxes out and back

    async def _make(self, kind: BoxKind) -> LiveBox:
        try:
            box = await self._launcher.launch(kind)
        except AuxotError as error:
            self._watch.launch_failed(error)
            raise
        self._watch.launched()
        self._cpus.resize(self._engine.cpus)
        return box

    def _refuse_if_closed(self, live: LiveBox) -> None:
        """`close` may have come between a box and the claim that waited for it."""
        if self._closed:
            self._launcher.dispose(live)
            raise Unavailable(CLOSED)

    async def _take(self, kind: BoxKind, owner: BoxOwner) -> tuple[LiveBox, str]:
        warm, sessions = self._kept()
        if kind.isolation == "warm":
            return await warm.take(owner.tenant, kind), ""
        if kind.isolation == "session":
            taken = await sessions.take(owner, kind)
            return taken.box, taken.notice
        return await self._pool.take(kind), ""

    async def _give_back(self, box: DockerBox) -> None:
        self._put_back(box)
        await self._engine.make_room()

    def _put_back(self, box: DockerBox) -> None:
        """Free the box's slot and part with the box, once."""
        owner = self._open.pop(box, None)
        if owner is None:
            return
        self._slots.release()
        self._cpus.give_back(box.cpu)
        warm, sessions = self._kept()
        live = box.live
        if live.kind.isolation == "warm":
            warm.put_back(owner.tenant, live)
        elif live.kind.isolation == "session":
            sessions.put_back(owner, live)
        else:
            self._launcher.dispose(live)

    def _kept(self) -> tuple[WarmBoxes, Sessions]:
        if self._warm is None or self._sessions is None:
            raise RuntimeError("the sandbox is not running: enter it with `async with`")
        return self._warm, self._sessions

    # -- tasks

    async def _sweep(self) -> None:
        warm, sessions = self._kept()
        while True:
            await anyio.sleep(_SWEEP_S)
            self._pool.sweep()
            warm.sweep()
            sessions.sweep()

    async def _reconcile(self) -> None:
        """Compare the engine's containers with ours, now and then; until cancelled."""
        while True:
            await anyio.sleep(self.options.reconcile_s)
            try:
                await self.reconcile()
            except Unavailable as error:
                log.info("containers were not reconciled: %s", error)

    async def reconcile(self) -> int:
        """Remove what no living worker knows of; how many containers. Raises `Unavailable`."""
        strangers = await self._engine.ask(
            lambda engine: reaper.remove_strangers(
                engine.client, self.identity, self._engine.is_known
            )
        )
        return strangers + await self.remove_leftovers()

    def _needed_images(self) -> list[str]:
        return [kind.image for kind in self._pool.kept()] or [self.options.image]

    def _finish(self) -> None:
        self._engine.finish()
        self._watch.close()
        self._run_dir.remove()
