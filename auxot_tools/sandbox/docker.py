"""`ports.Sandbox` on a Docker engine: one fresh container for every call.

One job: make containers, hand them out as boxes, and see that every one of them is removed. What a
box may do is `profile.py`'s; what happens in it is `box.py`'s.

The SDK blocks, so every call of it runs in a thread, with a time limit of its own. A claim that
is cancelled does not wait for the engine: its thread goes on, finds nobody waiting, and removes
what it made. Removals run behind the caller's back, are counted, and `close` waits for them.
"""

import asyncio
import dataclasses
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import docker
from docker.errors import NotFound
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException, Timeout

from auxot_tools.errors import DeadlineExceeded, Unavailable
from auxot_tools.ports import Box, BoxOwner, BoxSpec
from auxot_tools.sandbox.box import DockerBox
from auxot_tools.sandbox.channel import Channel
from auxot_tools.sandbox.engine import connect, engine_errors, remove_container
from auxot_tools.sandbox.identity import process_start, this_process
from auxot_tools.sandbox.image import image_tag
from auxot_tools.sandbox.outcome import EngineFacts
from auxot_tools.sandbox.profile import create_arguments, labels
from auxot_tools.sandbox.reaper import remove_leftovers
from auxot_tools.share import share_dir
from auxot_tools.types import Deadline

log = logging.getLogger(__name__)

T = TypeVar("T")

_REMOVERS = 2  # threads; more only make the engine's other work slower (measured on two cores)
_CLOSE_LIMIT_S = 20.0  # for all removals together; what is left then is the next reaper's
_RELEASE_LIMIT_S = 10.0  # how long a release waits when removals have piled up
_END_LIMIT_S = 5  # from the death of PID 1 until the engine has noticed it
_LABEL_SLACK_S = 60.0  # a box may outlive its call's deadline by its clean-up


@dataclass(frozen=True, slots=True)
class _Made:
    """A started container and its attached stream."""

    container_id: str
    channel: Channel


class _Claim:
    """Hands a made container from the thread that makes it to the task that may have left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = False
        self._made: _Made | None = None

    def deliver(self, made: _Made) -> bool:
        """From the thread. False: nobody wants it any more."""
        with self._lock:
            self._made = made
            return not self._left

    def leave(self) -> _Made | None:
        """From the task. What was delivered already, for the task to dispose of."""
        with self._lock:
            self._left = True
            return self._made


class DockerSandbox:
    """Runs programs in Docker containers.

    `base_url` `None` means where Docker's own settings point. `image_base` is the setting that the
    image was built with (see `image.build_image`). `concurrency` boxes exist at once at most; a
    further claim waits. Nothing is asked of the engine before the first call.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        concurrency: int,
        base_url: str | None = None,
        image_base: str = "",
        seccomp_path: Path | None = None,
    ) -> None:
        self.identity = this_process(worker_id)
        self._base_url = base_url
        self._image_base = image_base
        path = seccomp_path or share_dir("sandbox") / "seccomp.json"
        self._seccomp_json = path.read_text()
        self._concurrency = concurrency
        self._slots = anyio.Semaphore(concurrency)
        # A claim that was cancelled keeps its thread until the engine answers; anyio's own threads
        # would then be without a bound. Work that has not begun is dropped with its caller.
        self._callers = ThreadPoolExecutor(concurrency + 2, thread_name_prefix="auxot-engine")
        self._removers = ThreadPoolExecutor(_REMOVERS, thread_name_prefix="auxot-remove")
        self._state = threading.Condition()  # guards the three below; never held for long
        self._removals: set[Future[None]] = set()  # bounded: `release` waits when there are many
        self._making = 0  # threads between create and delivery, also abandoned ones
        self._closed = False
        self._connecting = threading.Lock()  # guards the three below
        self._client: docker.APIClient | None = None
        self._default_image = ""
        self._cpus = 0.0  # what the engine has
        self._boxes: dict[str, DockerBox] = {}

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> Box:
        """Contract: `ports.Sandbox.claim`."""
        with anyio.move_on_after(deadline.remaining_s()):
            await self._slots.acquire()
            try:
                made = await self._make_for_me(spec, deadline)
            except BaseException:
                self._slots.release()
                raise
            box = DockerBox(
                made.container_id,
                made.channel,
                spec.limits,
                owner,
                inspect=lambda: self._inspect(made.container_id),
                give_back=self._give_back,
            )
            self._boxes[made.container_id] = box
            return box
        raise DeadlineExceeded("No sandbox became free before the call's deadline.")

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:  # noqa: ARG002
        """Contract: `ports.Sandbox.prepare`. No box is made ahead in this version."""
        return False

    async def remove_leftovers(self) -> int:
        """Remove what dead workers left on this engine; returns how many containers that were.

        For the start of a worker. Raises `EngineUnavailable`.
        """
        return await self._in_thread(
            lambda: remove_leftovers(self._connected(), self.identity, time.time(), process_start)
        )

    async def check(self, image: str = "") -> str:
        """The image's name, when the engine answers and has it; empty means the default image.

        For the start of a worker and for people. Raises `EngineUnavailable` or `ImageMissing`.
        """

        def ask() -> str:
            client = self._connected()
            name = image or self._default_image
            with engine_errors(name, self._base_url, is_our_image=not image):
                client.inspect_image(name)  # type: ignore[no-untyped-call]
            return name

        return await self._in_thread(ask)

    async def close(self) -> None:
        """Contract: `ports.Sandbox.close`. Boxes still claimed are killed and removed."""
        with self._state:
            self._closed = True
        for box in list(self._boxes.values()):
            box.abandon()
            self._give_up(box)
        with anyio.CancelScope(shield=True):  # bounded by _CLOSE_LIMIT_S
            await anyio.to_thread.run_sync(self._finish_removals)
        if self._client is not None:
            self._client.close()

    async def _make_for_me(self, spec: BoxSpec, deadline: Deadline) -> _Made:
        claim = _Claim()
        try:
            return await self._in_thread(lambda: self._make(spec, deadline, claim))
        except BaseException:
            made = claim.leave()
            if made is not None:
                self._dispose(made)
            raise

    def _make(self, spec: BoxSpec, deadline: Deadline, claim: _Claim) -> _Made:
        """Create, attach, start; in that order, so that no output is missed. Blocking."""
        with self._state:
            if self._closed:
                raise Unavailable("The sandbox has been closed.")
            self._making += 1
        try:
            made = self._start_container(spec, deadline)
            if not claim.deliver(made):
                self._dispose(made)
            return made
        finally:
            with self._state:
                self._making -= 1
                self._state.notify_all()

    def _start_container(self, spec: BoxSpec, deadline: Deadline) -> _Made:
        client = self._connected()
        image = spec.image or self._default_image
        lasts_s = min(deadline.remaining_s(), spec.limits.timeout_s) + _LABEL_SLACK_S
        # The engine refuses a box with more CPUs than it has.
        limits = dataclasses.replace(spec.limits, cpus=min(spec.limits.cpus, self._cpus))
        config = create_arguments(
            image, limits, self._seccomp_json, labels(self.identity, time.time() + lasts_s)
        )
        name = f"auxot-{secrets.token_hex(6)}"
        with engine_errors(image, self._base_url, is_our_image=not spec.image):
            try:
                created = client.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
            except RequestException:
                self._remove_later(name)  # the engine may have made it, too slow to say so
                raise
        container_id = str(created["Id"])
        channel = None
        try:
            with engine_errors(image, self._base_url):
                channel = _attach(client, container_id)
                client.start(container_id)
        except BaseException:
            if channel is not None:
                channel.close()
            self._remove_later(container_id)
            raise
        return _Made(container_id, channel)

    def _connected(self) -> docker.APIClient:
        with self._connecting:
            if self._client is None:
                client = connect(self._base_url)
                with engine_errors(base_url=self._base_url):
                    arch = str(client.version()["Arch"])
                    self._cpus = float(client.info()["NCPU"])
                self._default_image = image_tag(arch, self._image_base)
                self._client = client
            return self._client

    async def _inspect(self, container_id: str) -> EngineFacts | None:
        """What the engine knows of a container that should have ended; `None`: no answer."""
        try:
            return await self._in_thread(lambda: _inspect(self._connected(), container_id))
        except Unavailable:
            return None

    async def _give_back(self, box: DockerBox) -> None:
        self._give_up(box)
        if self._removals_waiting() > self._concurrency:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._wait_for_room)

    def _give_up(self, box: DockerBox) -> None:
        """Remove the box and free its slot, once."""
        if self._boxes.pop(box.container_id, None) is not None:
            self._remove_later(box.container_id)
            self._slots.release()

    def _dispose(self, made: _Made) -> None:
        made.channel.close()
        self._remove_later(made.container_id)

    def _remove_later(self, container: str) -> None:
        """Remove a container behind the caller's back; a failure is logged, and the reaper's."""
        with self._state:
            try:
                removal = self._removers.submit(self._remove, container)
            except RuntimeError:  # closed, after waiting as long as `close` may
                log.warning("sandbox container %s is left to the next start", container[:12])
                return
            self._removals.add(removal)
        removal.add_done_callback(self._removal_done)

    def _removal_done(self, removal: Future[None]) -> None:
        with self._state:
            self._removals.discard(removal)
            self._state.notify_all()

    def _remove(self, container: str) -> None:
        try:
            remove_container(self._connected(), container, self._base_url)
        except Unavailable as error:
            log.warning("sandbox container %s was not removed: %s", container[:12], error)

    def _removals_waiting(self) -> int:
        with self._state:
            return len(self._removals)

    def _wait_for_room(self) -> None:
        with self._state:
            self._state.wait_for(lambda: len(self._removals) <= self._concurrency, _RELEASE_LIMIT_S)

    def _finish_removals(self) -> None:
        give_up_at = time.monotonic() + _CLOSE_LIMIT_S
        with self._state:
            self._state.wait_for(lambda: self._making == 0, _CLOSE_LIMIT_S)
            removals = set(self._removals)
        wait(removals, max(0.0, give_up_at - time.monotonic()))
        for threads in (self._callers, self._removers):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            future = self._callers.submit(call)
        except RuntimeError as error:
            raise Unavailable("The sandbox has been closed.") from error
        return await asyncio.wrap_future(future)


def _attach(client: docker.APIClient, container_id: str) -> Channel:
    parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = client.attach_socket(container_id, parameters)
    # The SDK gives a socket (TLS) or a file around one, and keeps the HTTP response with it. Its
    # `raw` is closed and not the response itself, which would give the dead connection back to
    # the pool, to be opened again there on top of connections that still live.
    return Channel(getattr(stream, "_sock", stream), stream._response.raw)


def _inspect(client: docker.APIClient, container_id: str) -> EngineFacts:
    """Waits a little for the end, so that the facts are final. Blocking."""
    try:
        with engine_errors():
            _wait_for_the_end(client, container_id)
            state = client.inspect_container(container_id)["State"]
    except NotFound:
        return EngineFacts(found=False)
    return EngineFacts(
        running=bool(state["Running"]),
        exit_code=int(state["ExitCode"]),
        oom_killed=bool(state["OOMKilled"]),
    )


def _wait_for_the_end(client: docker.APIClient, container_id: str) -> None:
    """At most `_END_LIMIT_S`: a container that was paused, for example, does not end."""
    try:
        client.wait(container_id, timeout=_END_LIMIT_S)
    except (Timeout, RequestsConnectionError):  # the SDK's words for "it took too long"
        log.warning("container %s did not end in time", container_id[:12])
