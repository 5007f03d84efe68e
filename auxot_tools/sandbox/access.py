"""The way to the engine for tasks: the SDK's blocking calls in threads, with bounds.

One job: run calls, remove containers behind the caller's back, and know which containers of ours
may exist. A task that is cancelled does not wait for the engine: its call goes on in its thread.
It knows nothing of what a container is for.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import anyio.to_thread
import docker
from docker.errors import NotFound
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import Timeout

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.engine import connect, engine_errors, remove_container
from auxot_tools.sandbox.image import image_tag
from auxot_tools.sandbox.mounts import Mounts, own_mounts
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.outcome import EngineFacts
from auxot_tools.sandbox.run_dir import place_of

log = logging.getLogger(__name__)

T = TypeVar("T")

_REMOVERS = 2  # threads; more only make the engine's other work slower (measured on two cores)
_ASIDE = 6  # threads beside those of calls: two makers, looks at the engine, questions of people
_CLOSE_LIMIT_S = 20.0  # for all removals together; what is left then is the next reaper's
_RELEASE_LIMIT_S = 10.0  # how long a release waits when removals have piled up
_END_LIMIT_S = 5  # from the death of PID 1 until the engine has noticed it

RUNTIME_UNKNOWN = (
    "The setting `sandbox.runtime` is {runtime}, which this Docker engine does not have. It has: "
    "{known}."
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A connected engine, and what does not change while it is."""

    client: docker.APIClient
    cpus: int
    default_image: str
    mounts: Mounts  # of the container that this process runs in


class EngineAccess:
    """Runs calls of the SDK. Nothing is asked of the engine before the first of them."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self.base_url = options.engine_url or None
        # A task that was cancelled leaves its thread to the engine; anyio's own threads would then
        # be without a bound. Work that has not begun is dropped with its caller.
        self._callers = ThreadPoolExecutor(
            options.concurrency + _ASIDE, thread_name_prefix="auxot-engine"
        )
        self._removers = ThreadPoolExecutor(_REMOVERS, thread_name_prefix="auxot-remove")
        self._state = threading.Condition()  # guards the three below; never held for long
        self._removals: set[Future[None]] = set()  # bounded: `make_room` waits when there are many
        self._known: set[str] = set()  # names of containers that may exist
        self._closed = False
        self._connecting = threading.Lock()  # guards the one below
        self._engine: Engine | None = None

    def connected(self) -> Engine:
        """The engine, reached when it was not yet. Blocking. Raises `Unavailable` and its kin."""
        with self._connecting:
            if self._engine is None:
                self._engine = self._connect()
            return self._engine

    def _connect(self) -> Engine:
        client = connect(self.base_url)
        try:
            with engine_errors(base_url=self.base_url):
                arch = str(client.version()["Arch"])
                info = client.info()
                mounts = own_mounts(client, place_of(self._options.run_dir))
            _check_runtime(self._options.runtime, sorted(info.get("Runtimes") or {}))
        except BaseException:
            client.close()
            raise
        options = self._options
        tag = image_tag(arch, options.image_base, packages=options.image_packages)
        return Engine(client, int(info["NCPU"]), tag, mounts)

    @property
    def cpus(self) -> int:
        """Of the engine's machine; 1 while it has not been reached."""
        return 1 if self._engine is None else self._engine.cpus

    async def ask(self, call: Callable[[Engine], T]) -> T:
        """The result of `call`, made in a thread. Raises what it raises, or `Unavailable`."""
        return await asyncio.wrap_future(self.submit(call))

    def submit(self, call: Callable[[Engine], T]) -> "Future[T]":
        """Begin `call` in a thread. Raises `Unavailable` when this has been closed."""
        with self._state:
            if self._closed:
                raise Unavailable("The sandbox has been closed.")
            return self._callers.submit(lambda: call(self.connected()))

    async def inspect(self, container: str) -> EngineFacts | None:
        """What the engine knows of a container that should have ended; `None`: no answer."""
        try:
            return await self.ask(lambda engine: _inspect(engine.client, container))
        except Unavailable:
            return None

    async def is_running(self, container: str) -> bool:
        """Whether a container runs now. Raises `Unavailable`."""

        def look(engine: Engine) -> bool:
            try:
                with engine_errors(base_url=self.base_url):
                    state = engine.client.inspect_container(container)["State"]
            except NotFound:
                return False
            return bool(state["Running"])

        return await self.ask(look)

    # -- what may exist, and its removal

    def may_exist(self, name: str) -> None:
        """A container of this name is about to be made. Raises `Unavailable` after `finish`."""
        with self._state:
            if self._closed:
                raise Unavailable("The sandbox has been closed.")
            self._known.add(name)

    def does_not_exist(self, name: str) -> None:
        """The engine refused to make it, or it has been removed."""
        with self._state:
            self._known.discard(name)
            self._state.notify_all()

    def is_known(self, name: str) -> bool:
        with self._state:
            return name in self._known

    def remove_later(self, name: str, on_gone: Callable[[], None]) -> None:
        """Remove a container behind the caller's back, from any thread; then call `on_gone`, in a
        thread. A failure is logged, and the container is the reconciliation's.
        """

        def remove() -> None:
            try:
                remove_container(self.connected().client, name, self.base_url)
            except Unavailable as error:
                log.warning("sandbox container %s was not removed: %s", name, error)
            finally:
                self.does_not_exist(name)
                on_gone()

        with self._state:
            try:
                removal = self._removers.submit(remove)
            except RuntimeError:  # closed, after waiting as long as `finish` may
                log.warning("sandbox container %s is left to the next start", name)
                return
            self._removals.add(removal)
        removal.add_done_callback(self._removal_done)

    def _removal_done(self, removal: "Future[None]") -> None:
        with self._state:
            self._removals.discard(removal)
            self._state.notify_all()

    async def make_room(self) -> None:
        """Wait, bounded, when more removals are due than boxes may be in use."""
        with self._state:
            if len(self._removals) <= self._options.concurrency:
                return
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._wait_for_room)

    def _wait_for_room(self) -> None:
        limit = self._options.concurrency
        with self._state:
            self._state.wait_for(lambda: len(self._removals) <= limit, _RELEASE_LIMIT_S)

    def finish(self) -> None:
        """The end: no container is made any more, and those that were are gone. Bounded, blocking.

        To be called when every container's removal has been asked for, or will be by a call that
        still goes on.
        """
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: not self._known, _CLOSE_LIMIT_S)
        for threads in (self._callers, self._removers):
            threads.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None:
            self._engine.client.close()


class RuntimeUnknown(Unavailable):
    """The engine has no such runtime as the setting names. Its text says which it has."""


def _check_runtime(runtime: str, known: list[str]) -> None:
    if runtime and runtime not in known:
        raise RuntimeUnknown(RUNTIME_UNKNOWN.format(runtime=runtime[:100], known=", ".join(known)))


def _inspect(client: docker.APIClient, container: str) -> EngineFacts:
    """Waits a little for the end, so that the facts are final. Blocking."""
    try:
        with engine_errors():
            _wait_for_the_end(client, container)
            state = client.inspect_container(container)["State"]
    except NotFound:
        return EngineFacts(found=False)
    return EngineFacts(
        running=bool(state["Running"]),
        exit_code=int(state["ExitCode"]),
        oom_killed=bool(state["OOMKilled"]),
    )


def _wait_for_the_end(client: docker.APIClient, container: str) -> None:
    """At most `_END_LIMIT_S`: a container that was paused, for example, does not end."""
    try:
        client.wait(container, timeout=_END_LIMIT_S)
    except (Timeout, RequestsConnectionError):  # the SDK's words for "it took too long"
        log.warning("container %s did not end in time", container[:12])
