"""Makes one living box, ready for its first request; and sees that it is removed.

One job: container, channel, first words, in that order. What is possible on this host is probed,
not guessed: whether the engine can share a folder with us (else its attached stream carries our
frames), and whether a box can make namespaces (else its program is another user instead). What was
found is kept, and a fall to the second best is logged, once.
"""

import asyncio
import dataclasses
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import anyio
import docker
from docker.errors import NotFound
from requests.exceptions import RequestException

from auxot_tools.errors import (
    EngineUnavailable,
    ImageMissing,
    RemoteProtocolError,
    Unavailable,
)
from auxot_tools.sandbox.access import Engine, EngineAccess
from auxot_tools.sandbox.channel import Channel, accept, listen
from auxot_tools.sandbox.engine import engine_errors
from auxot_tools.sandbox.frames import AttachedReader, Frame, FrameReader, hello
from auxot_tools.sandbox.kind import PROTOCOL, BoxKind, Form, Transport
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.outlets import Outlet, Outlets
from auxot_tools.sandbox.profile import BoxPlan, Identity, create_arguments, labels
from auxot_tools.sandbox.run_dir import BoxFolder, RunDir
from auxot_tools.sandbox.seccomp import Profile, profile_of
from auxot_tools.sandbox.uids import UidBoard
from auxot_tools.types import JSON

log = logging.getLogger(__name__)

_CONNECT_LIMIT_S = 10.0  # from the container's start to PID 1's connection: 0.1 s as a rule
_LOOK_S = 1.0  # while waiting for it, how often we look whether the container runs at all
_READY_LIMIT_S = 20.0  # until its interpreters are loaded: 0.3 s as a rule

_TRANSPORTS: dict[str, Transport | None] = {"auto": None, "unix": "unix", "attach": "stdio"}
NOT_READY = "A sandbox container did not become ready. The worker's log says more."

# Namespaces are a property of host and engine; a box in trouble for another reason proves nothing.
_ELSEWHERE = (EngineUnavailable, ImageMissing)


class _FormRefused(Exception):
    """PID 1 cannot work in this form here; the argument says why."""


class _NoChannel(Exception):
    """The container could not be made or reached with this transport; the cause says why."""

    def __init__(self, error: Unavailable) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Lease:
    """What a container's name holds until it is gone."""

    uid: int
    folder: BoxFolder | None = None
    outlet: Outlet | None = None
    start: "Future[_Started] | None" = None
    is_orphan: bool = False  # nobody waits for what `start` gives


@dataclass(frozen=True, slots=True)
class _Started:
    container_id: str
    channel: Channel | None  # the attached stream


class Launcher:
    """Makes boxes, any number at a time; the caller bounds it."""

    def __init__(
        self,
        engine: EngineAccess,
        identity: Identity,
        options: SandboxOptions,
        *,
        profiles: Mapping[Profile, str],
        run_dir: RunDir,
        outlets: Outlets | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._options = options
        self._profiles = profiles
        self._run_dir = run_dir
        self._outlets = outlets or Outlets()
        self._clock = clock
        self._uids = UidBoard(secrets.randbelow(512))
        self._leases: dict[str, _Lease] = {}
        self._probing = anyio.Lock()
        self._transport = _TRANSPORTS[options.channel]
        self._namespaces: bool | None = None

    @property
    def transport(self) -> Transport | None:
        """Which channel is in use; `None` before the first box told."""
        return self._transport

    @property
    def namespaces(self) -> bool | None:
        """Whether warm boxes make namespaces for each call; `None` before the first one told."""
        return self._namespaces

    async def launch(self, kind: BoxKind) -> LiveBox:
        """A box that is ready. Raises `Unavailable` and its kin; then nothing is left behind."""
        self.refuse(kind)
        try:
            if kind.isolation != "warm" or self._namespaces is False:
                return await self._over_a_channel(kind, "uid")
            return await self._with_namespaces(kind)
        except _NoChannel as failed:
            raise failed.error from failed.error.__cause__
        except _FormRefused as refused:
            log.error("a box refused the form `uid`: %s", refused)
            raise Unavailable(NOT_READY) from refused

    def refuse(self, kind: BoxKind) -> None:
        """Raise `Unavailable` when it is clear that a box of this kind cannot be had here."""
        if problem := self._outlets.problem(kind, self._transport):
            raise Unavailable(problem)

    async def _with_namespaces(self, kind: BoxKind) -> LiveBox:
        try:
            box = await self._over_a_channel(kind, "ns")
        except (_FormRefused, _NoChannel) as refused:
            if self._namespaces or isinstance(getattr(refused, "error", None), _ELSEWHERE):
                raise
            box = await self._over_a_channel(kind, "uid")
            if self._namespaces is None:
                self._namespaces = False
                log.warning(
                    "no box can make namespaces here (%s): in boxes of isolation `warm` the "
                    "program is another user than PID 1 instead",
                    refused,
                )
            return box
        if self._namespaces is None:
            self._namespaces = True
            log.info("boxes of isolation `warm` make namespaces of their own for each call")
        return box

    async def _over_a_channel(self, kind: BoxKind, form: Form) -> LiveBox:
        if self._transport is None:
            async with self._probing:
                if self._transport is None:
                    return await self._probe(kind, form)
        return await self._attempt(kind, form, self._transport)

    async def _probe(self, kind: BoxKind, form: Form) -> LiveBox:
        """The first box of all: a unix socket if that can be, else the attached stream."""
        try:
            box = await self._attempt(kind, form, "unix")
        except _FormRefused:
            self._settle("unix")  # it did say so
            raise
        except _NoChannel as failed:
            if isinstance(failed.error, _ELSEWHERE):
                raise
            # One with hosts needs the folder: whether that is what fails, another one tells.
            box = await self._attempt(dataclasses.replace(kind, hosts=()), form, "stdio")
            log.warning("the engine cannot share a folder with this worker: %s", failed)
            self._settle("stdio")
            if kind.hosts:
                self.dispose(box)
                self.refuse(kind)
            return box
        self._settle("unix")
        return box

    def _settle(self, transport: Transport) -> None:
        self._transport = transport
        names = {"unix": "a unix socket", "stdio": "the engine's attached stream"}
        log.info("boxes are reached over %s", names[transport])

    async def _attempt(self, kind: BoxKind, form: Form, transport: Transport) -> LiveBox:
        name = f"auxot-{secrets.token_hex(6)}"
        self._leases[name] = _Lease(self._uids.take())
        try:
            return await self._make(name, kind, form, transport)
        except BaseException:
            self._discard(name)
            raise

    async def _make(self, name: str, kind: BoxKind, form: Form, transport: Transport) -> LiveBox:
        lease = self._leases[name]
        engine = await self._engine.ask(lambda engine: engine)
        # The engine refuses a box with more CPUs than it has.
        fitting = dataclasses.replace(
            kind, image=kind.image or engine.default_image, cpus=min(kind.cpus, engine.cpus)
        )
        listener = None
        if transport == "unix":
            lease.folder, listener = self._open_socket(name, fitting)
        files = None if lease.folder is None else engine.mounts.engine_files(lease.folder.files)
        plan = BoxPlan(fitting, fitting.image, form, lease.uid, files, self._options.runtime)
        try:
            if lease.folder is not None and kind.hosts:
                lease.outlet = self._outlets.open(lease.folder.outlet, kind.hosts)
            started = await self._start(name, plan, is_ours=not kind.image)
            channel = started.channel
            if listener is not None:
                channel = await self._connection(listener, started.container_id)
        finally:
            if listener is not None and lease.folder is not None:
                listener.close()
                lease.folder.socket.unlink(missing_ok=True)  # one connection, and no second
        if channel is None:
            raise AssertionError("a box has a socket or an attached stream")
        reader = FrameReader() if transport == "unix" else AttachedReader()
        live = LiveBox(
            container_id=started.container_id,
            name=name,
            kind=kind,
            form=form,
            uid=lease.uid,
            channel=channel,
            reader=reader,
            made_at=self._clock(),
        )
        try:
            await _greet(live)
        except BaseException:
            live.close()
            raise
        return live

    def _open_socket(self, name: str, kind: BoxKind) -> tuple[BoxFolder, socket.socket]:
        folder = None
        try:
            folder = self._run_dir.make_box(name, kind)
            return folder, listen(folder.socket)
        except OSError as error:
            if folder is not None:
                folder.remove()
            log.warning("the folder for a box's socket cannot be made: %s", error)
            raise _NoChannel(Unavailable(NOT_READY)) from error

    async def _start(self, name: str, plan: BoxPlan, *, is_ours: bool) -> _Started:
        lease = self._leases[name]
        deadline = time.time() + self._options.lease_s
        config = create_arguments(
            plan,
            self._profiles[profile_of(plan.kind, plan.form)],
            labels(self._identity, deadline, plan.kind.isolation, plan.form),
        )

        def start(engine: Engine) -> _Started:
            with engine_errors(plan.image, self._engine.base_url, is_our_image=is_ours):
                return self._create_and_start(engine.client, name, config)

        lease.start = self._engine.submit(start)
        try:
            return await asyncio.wrap_future(lease.start)
        except Unavailable as error:
            raise _NoChannel(error) from error
        except BaseException:
            lease.is_orphan = True
            raise

    def _create_and_start(self, client: docker.APIClient, name: str, config: JSON) -> _Started:
        """Create, attach, start; in that order, so that no output is missed. Blocking."""
        self._engine.may_exist(name)
        try:
            created = client.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
        except RequestException:
            raise  # the engine may have made it, too slow to say so
        except BaseException:
            self._engine.does_not_exist(name)
            raise
        container_id = str(created["Id"])
        channel = None
        try:
            if config["AttachStdin"]:
                channel = _attach(client, container_id)
            client.start(container_id)
        except BaseException as error:
            if channel is not None:
                channel.close()
            if isinstance(error, NotFound):  # removed by somebody else, already
                raise Unavailable(NOT_READY) from error
            raise
        return _Started(container_id, channel)

    async def _connection(self, listener: socket.socket, container_id: str) -> Channel:
        with anyio.move_on_after(_CONNECT_LIMIT_S):
            is_running = True
            while is_running:
                with anyio.move_on_after(_LOOK_S):
                    return await accept(listener)
                is_running = await self._engine.is_running(container_id)
        log.warning("container %s: PID 1 did not connect", container_id[:12])
        raise _NoChannel(Unavailable(NOT_READY))

    # -- the end of a box

    def dispose(self, live: LiveBox) -> None:
        """Close the box and remove its container behind the caller's back; once or again."""
        live.close()
        self._discard(live.name)

    def remove_under(self, live: LiveBox) -> None:
        """Remove the container of a box that somebody still waits on; he will dispose of it."""
        live.spoil("it was closed")
        self._discard(live.name)

    def _discard(self, name: str) -> None:
        lease = self._leases.pop(name, None)
        if lease is None:
            return
        if lease.outlet is not None:
            lease.outlet.close()
        if lease.start is None:
            self._free(lease)
        else:  # at once, when that call has ended already
            lease.start.add_done_callback(lambda start: self._discard_started(name, lease, start))

    def _discard_started(self, name: str, lease: _Lease, start: "Future[_Started]") -> None:
        """In the thread that started the container, or in ours."""
        if lease.is_orphan and not start.cancelled() and start.exception() is None:
            channel = start.result().channel
            if channel is not None:
                channel.close()
        if self._engine.is_known(name):
            self._engine.remove_later(name, lambda: self._free(lease))
        else:
            self._free(lease)

    def _free(self, lease: _Lease) -> None:
        if lease.folder is not None:
            lease.folder.remove()
        self._uids.give_back(lease.uid)


async def _greet(live: LiveBox) -> None:
    """Hear PID 1's first words until it is ready. Bounded."""
    with anyio.move_on_after(_READY_LIMIT_S):
        frame = await live.next_frame()
        if frame is not None and frame.kind != b"n":
            _check(live, frame)
            frame = await live.next_frame()
        if frame is not None and frame.kind == b"n":
            raise _FormRefused(frame.payload.decode(errors="replace")[:200])
        live.is_ready = frame is not None and frame.kind == b"r"
    if not live.is_ready:
        log.warning("box %s: PID 1 did not say that it is ready", live.id)
        raise Unavailable(NOT_READY)


def _check(live: LiveBox, frame: Frame) -> None:
    try:
        said = hello(frame)
    except RemoteProtocolError as error:
        log.error("box %s: %s", live.id, error)
        raise Unavailable(NOT_READY) from error
    if said.get("protocol") != PROTOCOL or said.get("form") != live.form:
        log.error("box %s: PID 1 speaks another protocol than this worker: %s", live.id, said)
        raise Unavailable(NOT_READY)


def _attach(client: docker.APIClient, container_id: str) -> Channel:
    parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = client.attach_socket(container_id, parameters)
    # The SDK gives a socket (TLS) or a file around one, and keeps the HTTP response with it. Its
    # `raw` is closed and not the response itself, which would give the dead connection back to
    # the pool, to be opened again there on top of connections that still live.
    return Channel(getattr(stream, "_sock", stream), stream._response.raw)
