"""`POST …/messages`: one driven `ToolLoop` for each request, streamed or whole.

One job: the life of one answer, from an admitted request to its last byte. Every failure becomes a
`Problem`. Must not know how tools are run or where the model is: it gets both as ports.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.driver import Driver, DriverLimits, EventSink
from auxot_tools.errors import Draining
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event
from auxot_tools.messages.request import parse_request
from auxot_tools.ports import Attempt
from auxot_tools.router.bodies import parsed
from auxot_tools.router.conversation import Client, Conversation, keep_hidden, prepared
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.pulse import stream_answer
from auxot_tools.router.services import Services

logger = logging.getLogger(__name__)


class MessagesEndpoint:
    """Answers requests for messages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._driven: set[anyio.CancelScope] = set()

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        for scope in self._driven:
            scope.cancel()

    async def answer(
        self, client: Client, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> Problem | None:
        """Answer one request. Returns a `Problem`, with nothing sent, when there is no answer."""
        services = self._services
        with services.admission.request(client.key) as places:
            request = await parsed(body, parse_request)
            conversation = await prepared(services, client, request)
            calls = CallRunner(services.dispatcher, services.limits.call_timeout_s, places)
            answering = _Answering(self._driven, services, client, conversation, calls)
            return await answering.run(scope, receive, send)


@dataclass(eq=False)
class _Answering:
    """One request being answered. `driven` holds the scopes of all that are, for the stop."""

    driven: set[anyio.CancelScope]
    services: Services
    client: Client
    conversation: Conversation
    calls: CallRunner
    attempt: Attempt | None = None  # once it has begun

    async def run(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        return await self._unless_client_leaves(receive, lambda: self._send(scope, receive, send))

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        if self.conversation.request.stream:
            interval_s = self.services.limits.ping_interval_s
            return await stream_answer(send, self._drive, self._problem_of, interval_s)
        sink = _HeadersOnly()
        ended = await self._drive(sink)
        if isinstance(ended, Failed):
            return self._problem_of(ended)
        body = exact_json.encode(ended.message)
        response = Response(body, headers=dict(sink.headers), media_type="application/json")
        await response(scope, receive, send)
        return None

    async def _drive(self, sink: EventSink) -> Finished | Failed:
        with anyio.CancelScope() as scope:
            self.driven.add(scope)
            try:
                return await self._attempt(sink)
            finally:
                self.driven.discard(scope)
        return Failed(Draining("the router is stopping"), tools_ran=True)

    async def _attempt(self, sink: EventSink) -> Finished | Failed:
        """Drive the loop, going on from what earlier attempts at this request did."""
        services, conversation = self.services, self.conversation
        budget_s = None if conversation.request.stream else services.limits.blocking_budget_s
        limits = DriverLimits(budget_s, services.limits.last_answer_s)
        async with services.ledger.attempt(conversation.digest) as attempt:
            self.attempt = attempt
            if attempt.past:
                text = "%s: going on from %d rounds of an attempt that failed"
                logger.info(text, self.client.request_id, len(attempt.past))
            is_joined = attempt.answer is not None
            driver = Driver(
                conversation.loop,
                conversation.route,
                self.calls,
                sink,
                attempt=attempt,
                limits=limits,
            )
            ended = await driver.run(self.client.forwarded)
            if isinstance(ended, Finished) and not is_joined:
                keep_hidden(services, self.client, conversation, ended.message, ended.whole_content)
        return ended

    def _problem_of(self, failed: Failed) -> Problem:
        request_id = self.client.request_id
        logger.warning("%s: the message cannot be completed: %s", request_id, failed.error)
        is_safe = self.attempt is not None and self.attempt.can_be_repeated
        return problem_of(failed.error, request_id, may_repeat=is_safe or not failed.tools_ran)

    async def _unless_client_leaves(
        self, receive: Receive, work: Callable[[], Awaitable[Problem | None]]
    ) -> Problem | None:
        """Do `work`; a client that leaves cancels it, and with it the upstream and the tools.

        When tools have run it goes on for a moment, and for as long as the client's own repeat
        waits for it.
        """
        result: Problem | None = None
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    continue
                if self.attempt is not None:
                    await self.attempt.until_unwanted()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            result = await work()
            tasks.cancel_scope.cancel()
        return result


class _HeadersOnly:
    """The sink of a blocking answer: its message comes whole at the end."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    async def opened(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    async def emit(self, events: Sequence[Event]) -> None:
        """Nothing is sent before the end."""
