"""The worker of one router: connects, stays connected, and stops in good order.

One job: the life between start and stop. It must not know frames, nor how a tool is run.

A connection that ends is made again after a wait with jitter, from 1 s to 60 s; one that did not
last a minute counts as a failed attempt, so that a router which accepts and drops is not asked in a
hot loop. A refusal of the key ends it for good: asking again does not help, and an operator who is
told can.
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from auxot_tools.connect.advice import advice_on_answer, final_advice
from auxot_tools.connect.connection import (
    Connection,
    RouterRefused,
    Socket,
    Times,
)
from auxot_tools.connect.frames import MAX_FRAME_BYTES
from auxot_tools.connect.jobs import Jobs, JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_url import Candidate, candidates, in_clear, shown_address
from auxot_tools.connect.shown import Shown
from auxot_tools.errors import AuxotError, RemoteProtocolError, Unavailable
from auxot_tools.net.websocket import (
    WebSocketClosed,
    WebSocketLimits,
    WebSocketRefused,
    open_websocket,
)
from auxot_tools.ports import ToolDispatcher

logger = logging.getLogger(__name__)

STABLE_S = 60.0  # a connection that lasted so long was a good one
MOST_WAIT_S = 60.0
_MOST_ASKED_WAIT_S = 300.0  # that a router may ask for
_GUESS_S = 5.0  # for TLS where nobody said that it is spoken
_CANCEL_S = (
    45.0  # for jobs that were cancelled to be cleaned up: the executor's own bound, and some
)
_DELIVER_S = 5.0  # for the last results to be confirmed
_LIMITS = WebSocketLimits(max_bytes=MAX_FRAME_BYTES)
_GUESS_LIMITS = WebSocketLimits(connect_s=_GUESS_S, max_bytes=MAX_FRAME_BYTES)

Sleep = Callable[[float], Awaitable[None]]


class _Again(Unavailable):
    """There is no connection (any more); ``wait_s`` is the least to wait."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class RouterTarget:
    """The router, as the operator wrote its address, and the key for it."""

    address: str
    key: str = field(repr=False)


class RouterWorker:
    """Use once. ``sleep`` waits between attempts to connect."""

    def __init__(
        self,
        target: RouterTarget,
        dispatcher: ToolDispatcher,
        offered: Offered,
        settings: JobSettings,
        *,
        times: Times | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self._target = target
        self._dispatcher = dispatcher
        self._offered = offered
        self._settings = settings
        self._times = times or Times()
        self._sleep = sleep
        self._connections = 0
        self._candidates = candidates(target.address)
        self._address = shown_address(target.address)

    async def run(self, stop: anyio.Event, grace_s: float) -> None:
        """Work until ``stop`` is set and what runs then has ended, for at most ``grace_s``.

        Raises `RouterRefused` with advice when the router does not want this worker at all.
        """
        refusal: list[AuxotError] = []
        async with anyio.create_task_group() as tasks:
            shown = Shown(self._target.key)
            jobs = Jobs(self._dispatcher, self._offered, self._settings, tasks, shown)
            tasks.start_soon(_stop_when, stop, grace_s, jobs, tasks.cancel_scope)
            try:
                await self._stay_connected(jobs)
            except RouterRefused as error:
                refusal.append(error)
                tasks.cancel_scope.cancel()
        if refusal:
            raise refusal[0]

    async def _stay_connected(self, jobs: Jobs) -> None:
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(_Again), wait=_wait_s, sleep=self._sleep
            )
            await retrying(self._connected_once, jobs)
            await self._sleep(_jittered(RetryCallState(retrying, None, (), {})))

    async def _connected_once(self, jobs: Jobs) -> None:
        """One connection, to its end. Raises `_Again` unless it was a good one."""
        await self._look_at_tools()
        begun_at = time.monotonic()
        try:
            async with self._opened() as (socket, url):
                begun_at = time.monotonic()
                await self._served(socket, url, jobs)
        except RouterRefused as refused:
            self._raise_if_final(refused)
            logger.warning("%s", refused)
            raise _Again(str(refused), refused.wait_s) from None
        except (Unavailable, RemoteProtocolError) as error:
            lasted_s = time.monotonic() - begun_at
            advice = advice_on_answer(error.headers) if isinstance(error, WebSocketRefused) else ""
            told = f"{error}. {advice}" if advice else str(error)
            logger.warning("no connection to the router at %s: %s", self._address, told)
            if lasted_s < STABLE_S:
                raise _Again(str(error)) from None

    async def _look_at_tools(self) -> None:
        """Know what to offer. Raises `_Again` while those who run the tools are away."""
        try:
            await self._offered.refresh()
        except Unavailable as error:
            logger.warning("not connecting to the router, as there are no tools yet: %s", error)
            raise _Again(str(error)) from None

    async def _served(self, socket: Socket, url: str, jobs: Jobs) -> None:
        self._connections += 1
        connection = Connection(socket, jobs, self._offered, self._connections, self._times)
        ack = await connection.greet(self._target.key)
        names = self._offered.names
        logger.info(
            "connected to router id=%s url=%s tools=%s", ack.worker_id, url, ",".join(names)
        )
        _tell_clients_own(self._offered.clients_own)
        await connection.serve()

    def _raise_if_final(self, refused: RouterRefused) -> None:
        advice = final_advice(refused.error, self._target.key, self._address)
        if advice and not refused.wait_s:
            raise RouterRefused(f"{refused.error}. {advice}")

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[tuple[Socket, str], None]:
        """A connection to the first URL that works. Raises `WebSocketRefused`."""
        for candidate in self._candidates:
            limits = _GUESS_LIMITS if candidate.is_guess else _LIMITS
            # A guess in clear goes to where it can be seen to go, which is not beyond a proxy.
            use_proxies = candidate.is_secure or not candidate.is_guess
            try:
                opening = open_websocket(candidate.url, limits, use_proxies=use_proxies)
                async with opening as socket:
                    self._accept(candidate, socket.peer_address)
                    yield socket, candidate.url
                    return
            except WebSocketRefused as refused:
                if not (candidate.is_guess and candidate.is_secure and refused.may_speak_plain):
                    raise
                logger.info("%s: %s; trying without TLS", candidate.url, refused)

    def _accept(self, candidate: Candidate, peer_address: str) -> None:
        """Whether the key may go there. Raises `WebSocketClosed`."""
        refusal, warning = in_clear(candidate, peer_address)
        if refusal:
            raise WebSocketClosed(refusal)
        if warning:
            logger.warning("%s", warning)
        elif candidate.is_guess and not candidate.is_secure:
            logger.info(
                "using %s: no TLS is spoken there, and its address is private", candidate.url
            )


def _tell_clients_own(names: tuple[str, ...]) -> None:
    """A router gives its callers' own tools of the names that a worker offers to the worker."""
    if names:
        logger.warning(
            "%s: tools of these names that API callers declare as their own will be run here, as "
            "the router passes every offered name on. To offer some tools only, name them in "
            "AUXOT_ALLOWED_TOOLS",
            ", ".join(names),
        )


async def _stop_when(
    stop: anyio.Event, grace_s: float, jobs: Jobs, scope: anyio.CancelScope
) -> None:
    """Finish what runs, give up what does not end, deliver; then end all."""
    await stop.wait()
    jobs.stop_taking()
    with anyio.move_on_after(grace_s):
        await jobs.until_idle()
    if jobs.running:
        logger.warning("the grace period is over: %d jobs are cancelled", jobs.running)
        jobs.cancel_all()
        with anyio.move_on_after(_CANCEL_S):
            await jobs.until_idle()
    with anyio.move_on_after(_DELIVER_S):
        await jobs.until_delivered()
    if jobs.deliveries.owed:
        logger.error("%d results are not known to have arrived", jobs.deliveries.owed)
    scope.cancel()


_jittered = wait_random_exponential(multiplier=2, min=1, max=MOST_WAIT_S)


def _wait_s(state: RetryCallState) -> float:
    """The wait before the next attempt: at random, longer each time, or what the router asks."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.wait_s if isinstance(error, _Again) else 0.0
    return max(min(asked_s, _MOST_ASKED_WAIT_S), _jittered(state))
