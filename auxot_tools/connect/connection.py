"""One connection to a router, from hello to its end.

One job: the order of frames on it, and its time limits. It must not know how a connection is made,
when the next one is, nor how jobs are run.

    hello ─▶ hello_ack ─▶ reader: jobs, policy, cancel     sender: results, each run of them and a
                          heartbeat: every 30 s                    ping whose pong confirms it
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from auxot_tools.connect.frames import (
    HEARTBEAT,
    Cancel,
    ErrorFrame,
    Frame,
    HeartbeatAck,
    HelloAck,
    Policy,
    ReloadPolicy,
    ToolJob,
    Unknown,
    ValidateConfiguration,
    configuration_refused,
    decode,
    hello,
    policy_reloaded,
)
from auxot_tools.connect.jobs import Jobs
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.shown import Shown
from auxot_tools.errors import AuxotError, RemoteProtocolError, Unavailable
from auxot_tools.net.websocket import Message, Pong, WebSocketClosed

logger = logging.getLogger(__name__)

MAX_BAD_FRAMES = 16  # frames that cannot be read, of one connection; more are no accident
MAX_SAYINGS = 20  # of a router that are logged, of one connection; of the others the number
RESULTS_OF_A_PING = 32  # where results never stop, they are to be confirmed all the same
# Results that were sent and not confirmed; who answers no ping while taking so many never will.
MAX_OWED = 4096

_NO_MCP = (
    "MCP servers are not supported by this worker yet, so their configuration cannot be tried. "
    "Leave them out of the tool policy."
)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. Auxot's worker waits as long for hello_ack, and sends a heartbeat as often. A router
    says something every 15 s by itself and answers each heartbeat: one that is silent for
    ``silence_s`` is gone.
    """

    hello_ack_s: float = 30.0
    heartbeat_s: float = 30.0
    silence_s: float = 95.0


class RouterRefused(AuxotError):
    """The router does not want this worker. ``error`` is what it said."""

    def __init__(self, error: str, wait_s: float = 0.0) -> None:
        super().__init__(f"the router refuses this worker: {error or 'it did not say why'}")
        self.error = error
        self.wait_s = wait_s


class Socket(Protocol):
    """What is needed of a WebSocket; all of it may raise `WebSocketClosed`."""

    async def send(self, data: bytes) -> None: ...

    async def ping(self, data: bytes) -> None: ...

    async def receive(self) -> Message | Pong: ...


class Connection:
    """Use once. ``number`` rises from one connection to the next."""

    def __init__(
        self, socket: Socket, jobs: Jobs, offered: Offered, number: int, times: Times
    ) -> None:
        self._socket = socket
        self._jobs = jobs
        self._offered = offered
        self._number = number
        self._times = times
        self._bad_frames = 0
        self._sayings = 0
        self._shown = Shown()

    async def greet(self, key: str) -> HelloAck:
        """Say hello. Raises `RouterRefused`, `RemoteProtocolError`, or `WebSocketClosed`.

        The router knows the key from then on; where it says it again, nobody is shown that.
        """
        self._shown = Shown(key)
        await self._socket.send(hello(key, self._offered.names))
        within_s = self._times.hello_ack_s
        try:
            with anyio.fail_after(within_s):
                ack = await self._hello_ack()
        except TimeoutError:
            raise WebSocketClosed(f"it sent no hello_ack for {within_s:g} s") from None
        if not ack.success:
            raise RouterRefused(ack.error, ack.reconnect_in_s)
        if ack.policy is not None:
            await self._apply(ack.policy)
        return ack

    async def _hello_ack(self) -> HelloAck:
        while True:
            message = await self._socket.receive()
            frame = self._decoded(message)
            if isinstance(frame, HelloAck):
                return frame
            if isinstance(frame, ErrorFrame):
                raise RouterRefused(frame.error)
            if not isinstance(frame, HeartbeatAck):
                raise RemoteProtocolError("the router sent something else in place of hello_ack")

    def _decoded(self, message: Message | Pong) -> Frame:
        return HeartbeatAck() if isinstance(message, Pong) else decode(message.data, self._shown)

    async def serve(self) -> None:
        """Take jobs and send results until the connection ends: always raises, `WebSocketClosed` or
        `RemoteProtocolError`.
        """
        try:
            await _until_one_fails(self._read, self._send, self._beat)
        finally:
            in_doubt = self._jobs.deliveries.connection_lost()
            if in_doubt:
                logger.info("%d results were sent and not confirmed", in_doubt)
            if self._sayings > MAX_SAYINGS:
                logger.warning("the router said %d more", self._sayings - MAX_SAYINGS)

    def _said(self, text: str, *values: object) -> None:
        """Log what the router said or asked for, which it may do without end."""
        self._sayings += 1
        if self._sayings <= MAX_SAYINGS:
            logger.warning(text, *values)

    async def _read(self) -> None:
        while True:
            try:
                with anyio.fail_after(self._times.silence_s):
                    message = await self._socket.receive()
            except TimeoutError:
                text = f"nothing came for {self._times.silence_s:g} s"
                raise WebSocketClosed(text) from None
            if isinstance(message, Pong):
                self._confirm(message.data)
            else:
                await self._received(message.data)

    def _confirm(self, data: bytes) -> None:
        if data.isdigit() and len(data) < 20:
            self._jobs.deliveries.confirm(int(data))
            self._jobs.changes.note()

    async def _received(self, data: bytes) -> None:
        try:
            frame = decode(data, self._shown)
        except RemoteProtocolError as error:
            self._bad_frames += 1
            logger.warning("the router sent %s, which was ignored", error)
            if self._bad_frames >= MAX_BAD_FRAMES:
                text = f"the router sent {MAX_BAD_FRAMES} frames that cannot be read"
                raise RemoteProtocolError(text) from None
            return
        await self._act(frame)

    async def _act(self, frame: Frame) -> None:
        """What a frame asks for. One at a time, so that no two policies are applied at once."""
        if isinstance(frame, ToolJob):
            await self._jobs.take(frame, self._number)
            if self._jobs.deliveries.owed > MAX_OWED:
                raise WebSocketClosed(f"it confirms none of {MAX_OWED} results")
        elif isinstance(frame, ReloadPolicy):
            if frame.fault:
                self._said("the policy that came allows nothing, as %s", frame.fault)
            await self._apply(frame.policy)
        elif isinstance(frame, ValidateConfiguration):
            self._said("the router asks to try an MCP server, which this worker cannot")
            await self._socket.send(configuration_refused(frame.request_id, _NO_MCP))
        elif isinstance(frame, Cancel):
            self._jobs.cancel(frame.job_id)
        elif isinstance(frame, ErrorFrame):
            self._said("the router says: %s", frame.error)
        elif isinstance(frame, Unknown):
            logger.debug('a frame of the type "%s" was ignored', frame.type)

    async def _apply(self, policy: Policy) -> None:
        """From now on exactly the tools of this policy."""
        try:
            await self._offered.refresh()
        except Unavailable as error:
            logger.warning("the tools cannot be looked at again: %s", error)
        names = self._offered.apply(policy)
        logger.info("the policy of this key is in force: tools=%s", ",".join(names))
        missing = self._offered.missing(policy)
        if missing:
            named = ", ".join(self._shown.id(name) for name in missing[:20])
            logger.warning("the policy names tools that are not here: %s", named)
        if policy.mcp_servers:
            logger.warning(
                "the policy names %d MCP servers, which this worker does not support yet",
                policy.mcp_servers,
            )
        await self._socket.send(policy_reloaded(names))

    async def _send(self) -> None:
        """Send what is due, and a ping at the end of each run of results."""
        changes = self._jobs.changes
        while True:
            last = await self._send_run()
            if last:
                await self._socket.ping(str(last).encode())
            else:
                await changes.next()

    async def _send_run(self) -> int:
        """Some of the results that are due; the number of the last one, 0 for none."""
        last = 0
        for _ in range(RESULTS_OF_A_PING):
            due = self._jobs.deliveries.next_to_send(self._number)
            if due is None:
                break
            last, frame = due
            await self._socket.send(frame)
            self._jobs.changes.note()  # whoever waits for room
        return last

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self._times.heartbeat_s)
            await self._socket.send(HEARTBEAT)
            await self._look_for_new_tools()

    async def _look_for_new_tools(self) -> None:
        """A router knows the tools of hello only: those that came later need another one."""
        before = self._offered.names
        try:
            after = await self._offered.refresh()
        except Unavailable:
            return  # jobs are answered with that meanwhile
        if before != after:
            raise WebSocketClosed("the tools here have changed, and are to be offered anew")


async def _until_one_fails(*works: Callable[[], Awaitable[None]]) -> None:
    """Run all of them until one raises an error of ours; that one is raised."""
    errors: list[AuxotError] = []

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AuxotError as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(run, work)
    if errors:
        raise errors[0]
