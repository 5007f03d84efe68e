"""`POST …/messages`: one driven `ToolLoop` for each request, streamed or whole.

One job: the life of one answer, from an admitted request to its last byte. Every failure becomes a
`Problem`. Must not know how tools are run or where the model is: it gets both as ports.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.driver import Driver, DriverLimits, EventSink
from auxot_tools.errors import AuxotError, Draining
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.messages import exact_json
from auxot_tools.messages.digests import request_digest
from auxot_tools.messages.events import Event, event
from auxot_tools.messages.request import parse_request
from auxot_tools.ports import Attempt
from auxot_tools.router.bodies import offloaded, parsed
from auxot_tools.router.conversation import Client, Conversation, keep_hidden, prepared
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.pulse import STUCK_S, PulsedStream, until_client_leaves
from auxot_tools.router.services import Services
from auxot_tools.router.session import session_in
from auxot_tools.types import JSON

logger = logging.getLogger(__name__)


class MessagesEndpoint:
    """Answers requests for messages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = _Stop()

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        self._stop.is_set = True
        for driver in self._stop.drivers:
            driver.give_up()

    async def answer(
        self, client: Client, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> Problem | None:
        """Answer one request. Returns a `Problem`, with nothing sent, when there is no answer."""
        services, key = self._services, client.key
        request = await parsed(body, parse_request)
        session = session_in(client.headers)
        digest = await offloaded(body, request_digest, key.name, session, request)
        is_repeat = services.ledger.knows(key.name, digest)
        with services.admission.request(key, is_repeat=is_repeat) as places:
            conversation = await prepared(
                services, client, request, body, digest, is_repeat=is_repeat
            )
            calls = CallRunner(services.dispatcher, services.limits.call_timeout_s, places)
            answering = _Answering(self._stop, services, client, conversation, calls)
            try:
                return await answering.run(scope, receive, send)
            finally:
                scope["state"]["provider"] = conversation.route.provider  # for the log


@dataclass(eq=False, slots=True)
class _Stop:
    """What is being answered, and whether the router is stopping."""

    drivers: set[Driver] = field(default_factory=set)
    is_set: bool = False


@dataclass(eq=False, slots=True)
class _Answering:
    """One request being answered."""

    stop: _Stop
    services: Services
    client: Client
    conversation: Conversation
    calls: CallRunner
    attempt: Attempt | None = None  # once it has begun

    async def run(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        """Answer; a client that leaves cancels it, and with it the upstream and the tools."""
        problem: Problem | None = None
        stream = None
        if self.conversation.request.stream:
            stream = PulsedStream(send, self.services.limits.ping_interval_s)
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
        if self.attempt is not None:
            await self.attempt.until_unwanted()
        scope.cancel()

    async def _stream(self, stream: PulsedStream, tasks: TaskGroup) -> Problem | None:
        try:
            ended = await self._drive(stream, tasks)
        except Exception:  # the answer may have begun: it must have an end that a client can read
            logger.exception("%s: failed because of a fault of ours", self.client.request_id)
            ended = Failed(AuxotError("Internal error in the router."), tools_ran=True)
        if isinstance(ended, Finished):
            return None
        problem = self._problem_of(ended)
        if not stream.has_begun:
            return problem
        await stream.end([event(problem.body)])
        return None

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
        services, conversation = self.services, self.conversation
        budget_s = None if conversation.request.stream else services.limits.blocking_budget_s
        limits = DriverLimits(budget_s, services.limits.last_answer_s)
        owner = self.client.key.name
        async with services.ledger.attempt(owner, conversation.digest) as attempt:
            self.attempt = attempt
            if self.stop.is_set:
                return Failed(Draining("the router is stopping"), tools_ran=bool(attempt.past))
            if attempt.past:
                text = "%s: going on from %d rounds of an attempt that failed"
                logger.info(text, self.client.request_id, len(attempt.past))
                conversation.route.prefer(attempt.provider)
            driver = Driver(
                conversation.loop,
                conversation.route,
                self.calls,
                sink,
                attempt=attempt,
                limits=limits,
                on_finished=_nothing if attempt.answer is not None else self._keep_hidden,
                served_by=lambda: conversation.route.provider,
            )
            self.stop.drivers.add(driver)
            try:
                return await driver.run(tasks, self.client.forwarded)
            finally:
                self.stop.drivers.discard(driver)

    def _keep_hidden(self, finished: Finished) -> None:
        keep_hidden(self.services, self.client, self.conversation, finished)

    def _problem_of(self, failed: Failed) -> Problem:
        request_id = self.client.request_id
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
