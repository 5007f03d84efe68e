"""The life of one answer: a driven `ToolLoop`, streamed with pings or whole, until its last byte.

One job: from a loop that is ready to an answered client, or a `Problem` with nothing sent. A client
that leaves ends it, and with it the model's call and the tools. Must not know keys, providers, nor
how the request was made ready.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.driver import Driver, DriverLimits, EventSink, Forwarded
from auxot_tools.errors import AuxotError, Draining
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.loop.loop import ToolLoop
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event, event
from auxot_tools.ports import Attempt, Ledger, ModelClient
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.pulse import STUCK_S, PulsedStream, until_client_leaves
from auxot_tools.router.services import RouterLimits
from auxot_tools.types import JSON

logger = logging.getLogger(__name__)

LAST_WORDS_S = 1.0  # for an error event when the server stops; a client that reads has it at once


@dataclass(eq=False, slots=True)
class Stopping:
    """What is being answered, and whether the process is stopping."""

    drivers: set[Driver] = field(default_factory=set)
    is_set: bool = False

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        self.is_set = True
        for driver in self.drivers:
            driver.give_up()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ready to be answered.

    `owner` and `digest` say to which other requests it is a repeat. `on_finished` is told the whole
    message before its end leaves, unless an earlier attempt made it. `served_by` names the provider
    that answers, and `prefer` is told which one an earlier attempt had. Without `may_begin` no ping
    begins the answer.
    """

    loop: ToolLoop
    model: ModelClient
    calls: CallRunner
    request_id: str
    owner: str
    digest: bytes
    is_streamed: bool
    forwarded: Forwarded
    on_finished: Callable[[Finished], None]
    served_by: Callable[[], str] = str
    prefer: Callable[[str], object] = str
    may_begin: Callable[[], bool] = lambda: True


@dataclass(eq=False, slots=True)
class Answering:
    """One request being answered."""

    asked: Asked
    limits: RouterLimits
    ledger: Ledger
    stopping: Stopping
    attempt: Attempt | None = None  # once it has begun
    client_has_left: bool = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        """Answer; a client that leaves cancels it, and with it the upstream and the tools.

        Returns a `Problem`, with nothing sent, when there is no answer.
        """
        problem: Problem | None = None
        stream = None
        if self.asked.is_streamed:
            interval_s = self.limits.ping_interval_s
            stream = PulsedStream(send, interval_s, self.asked.may_begin)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._attend, receive, stream, tasks.cancel_scope)
            if stream is not None:
                problem = await self._stream(stream, tasks)
            else:
                problem = await self._whole(tasks, scope, receive, send)
            tasks.cancel_scope.cancel()
        return problem

    async def _attend(
        self, receive: Receive, stream: PulsedStream | None, scope: anyio.CancelScope
    ) -> None:
        """When the client has left and tools have run, work goes on for a moment, and for as long
        as the client's own repeat waits for it.
        """
        await until_client_leaves(receive, stream)
        self.client_has_left = True
        if self.attempt is not None:
            await self.attempt.until_unwanted()
        scope.cancel()

    async def _stream(self, stream: PulsedStream, tasks: TaskGroup) -> Problem | None:
        try:
            ended = await self._drive(stream, tasks)
        except anyio.get_cancelled_exc_class():
            await self._say_stopped(stream)
            raise
        except Exception:  # the answer may have begun: it must have an end that a client can read
            logger.exception("%s: failed because of a fault of ours", self.asked.request_id)
            ended = Failed(AuxotError("Internal error in the router."), tools_ran=True)
        if isinstance(ended, Finished):
            return None
        problem = self._problem_of(ended)
        if not stream.has_begun:
            return problem
        await stream.end([event(problem.body)])
        return None

    async def _say_stopped(self, stream: PulsedStream) -> None:
        """The server has cancelled us, which it does when it stops: its client is still there."""
        if self.client_has_left or not stream.has_begun:
            return
        problem = problem_of(Draining("the server is stopping"), self.asked.request_id)
        with anyio.move_on_after(LAST_WORDS_S, shield=True):
            await stream.end([event(problem.body)])

    async def _whole(
        self, tasks: TaskGroup, scope: Scope, receive: Receive, send: Send
    ) -> Problem | None:
        async def respond(body: bytes, headers: Mapping[str, str]) -> None:
            response = Response(body, headers=dict(headers), media_type="application/json")
            with anyio.move_on_after(STUCK_S):
                await response(scope, receive, send)

        ended = await self._drive(_WholeAnswer(respond), tasks)
        return self._problem_of(ended) if isinstance(ended, Failed) else None

    async def _drive(self, sink: EventSink, tasks: TaskGroup) -> Finished | Failed:
        """Drive the loop, going on from what earlier attempts at this request did."""
        asked = self.asked
        budget_s = None if asked.is_streamed else self.limits.blocking_budget_s
        limits = DriverLimits(budget_s, self.limits.last_answer_s)
        async with self.ledger.attempt(asked.owner, asked.digest) as attempt:
            self.attempt = attempt
            if self.stopping.is_set:
                return Failed(Draining("the router is stopping"), tools_ran=bool(attempt.past))
            if attempt.past:
                text = "%s: going on from %d rounds of an attempt that failed"
                logger.info(text, asked.request_id, len(attempt.past))
                asked.prefer(attempt.provider)
            driver = Driver(
                asked.loop,
                asked.model,
                asked.calls,
                sink,
                attempt=attempt,
                limits=limits,
                on_finished=_nothing if attempt.answer is not None else asked.on_finished,
                served_by=asked.served_by,
            )
            self.stopping.drivers.add(driver)
            try:
                return await driver.run(tasks, asked.forwarded)
            finally:
                self.stopping.drivers.discard(driver)

    def _problem_of(self, failed: Failed) -> Problem:
        request_id = self.asked.request_id
        logger.warning("%s: the message cannot be completed: %s", request_id, failed.error)
        is_safe = self.attempt is not None and self.attempt.can_be_repeated
        return problem_of(failed.error, request_id, may_repeat=is_safe or not failed.tools_ran)


def _nothing(_finished: Finished) -> None:
    """An answer that another attempt gave was kept by that one."""


class _WholeAnswer:
    """The sink of a blocking answer: its message comes whole at the end."""

    def __init__(self, respond: Callable[[bytes, Mapping[str, str]], Awaitable[None]]) -> None:
        self._respond = respond
        self._headers: Mapping[str, str] = {}

    async def opened(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def emit(self, events: Sequence[Event]) -> None:
        """Nothing is sent before the end."""

    async def finish(self, events: Sequence[Event], message: JSON) -> None:  # noqa: ARG002
        """The same as all events together."""
        await self._respond(exact_json.encode(message), self._headers)
