"""One call of `POST /api/tools/v1/execute`, from its start to the last byte of its answer.

One job: the answer, whole or as a stream, and the end of a call whose client left. Must not know
keys, allow-lists, nor how a tool is run.

A stream has these events, each with its `type` in its data, and pings while it is silent:

    started   tool_use_id, isolation            at most once: the program runs
    output    tool_use_id, stream, sequence, text   as it comes, whole characters, first 1 MiB
    result    what the whole answer would be, also of a call that failed
    error     instead of `result`: the call has none, through a fault or a stop of the router
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auxot_tools.driver.calls import CallRunner
from auxot_tools.errors import AuxotError, Draining
from auxot_tools.loop.live_output import LiveOutput
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event, event
from auxot_tools.ports import ToolDispatcher
from auxot_tools.router.bodies import LARGE_BODY_BYTES
from auxot_tools.router.execute_answer import ExecuteAnswer, answer_of, payload_bytes
from auxot_tools.router.problems import Problem, tools_problem_of
from auxot_tools.router.pulse import STUCK_S, PulsedStream, until_client_leaves
from auxot_tools.router.services import Services
from auxot_tools.types import (
    CallEvent,
    CallHint,
    Deadline,
    OutputChunk,
    Started,
    ToolCall,
    ToolResult,
    ToolSpec,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

TellStart = Callable[[Started], Awaitable[None]]


class Stops:
    """The calls that run, so that the router can end them when it stops."""

    def __init__(self) -> None:
        self._is_set = False
        self._scopes: set[anyio.CancelScope] = set()

    def give_up(self) -> None:
        """End them all, and what comes."""
        self._is_set = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def holding(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Have `scope` cancelled by `give_up`."""
        self._scopes.add(scope)
        if self._is_set:
            scope.cancel()
        try:
            yield
        finally:
            self._scopes.discard(scope)


@dataclass(eq=False, slots=True)
class OneCall:
    """A call that is let in; `places` bounds those of its key."""

    services: Services
    call: ToolCall
    request_id: str
    places: anyio.CapacityLimiter | None
    stops: Stops
    is_streamed: bool
    has_started: bool = field(default=False, init=False)
    live: LiveOutput = field(default_factory=LiveOutput, init=False)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        """Answer; a client that leaves ends the call. Returns a `Problem` with nothing sent."""
        problem: Problem | None = None
        stream = None
        if self.is_streamed:
            stream = PulsedStream(send, self.services.limits.ping_interval_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_with_client, receive, stream, tasks.cancel_scope)
            if stream is None:
                problem = await self._whole(scope, receive, send)
            else:
                problem = await self._stream(stream)
            tasks.cancel_scope.cancel()
        return problem

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        result = await self._result(self._tell_no_start, self._tell_no_output)
        if result is None:
            return self._stopped()
        response = await _offloaded(self._response, result)
        with anyio.move_on_after(STUCK_S):
            await response(scope, receive, send)
        return None

    async def _stream(self, stream: PulsedStream) -> Problem | None:
        async def tell_start(started: Started) -> None:
            await stream.opened({})
            await stream.emit([self._start_event(started)])

        async def tell_output(tool_use_id: str, chunk: OutputChunk) -> None:
            told = self.live.event_of(tool_use_id, chunk)
            if told is not None:
                await stream.opened({})
                await stream.emit([event(told.data | {"type": "output"})])

        try:
            result = await self._result(tell_start, tell_output)
            last: Event | Problem = self._stopped()
            if result is not None:
                last = await _offloaded(self._result_event, result)
        except Exception:  # the answer may have begun: it must have an end that a client can read
            logger.exception("%s: failed because of a fault of ours", self.request_id)
            fault = AuxotError("Internal error in the router.")
            last = tools_problem_of(fault, self.request_id, may_repeat=False)
        if isinstance(last, Problem):
            if not stream.has_begun:
                return last
            last = event(last.body)
        await stream.opened({})
        await stream.end([last])
        return None

    async def _result(
        self, tell_start: TellStart, tell_output: Callable[[str, OutputChunk], Awaitable[None]]
    ) -> ToolResult | None:
        """The call's result; `None` when the router stopped it."""

        async def note_start(started: Started) -> None:
            self.has_started = True
            await tell_start(started)

        watched = _Watched(self.services.dispatcher, note_start)
        runner = CallRunner(watched, self.services.limits.call_timeout_s, self.places)
        with anyio.CancelScope() as scope, self.stops.holding(scope):
            return await runner.run(self.call, tell_output)
        return None

    async def _tell_no_start(self, _: Started) -> None:
        """A whole answer begins at its end."""

    async def _tell_no_output(self, _tool_use_id: str, _chunk: OutputChunk) -> None:
        """A whole answer has the output in its result."""

    def _response(self, result: ToolResult) -> Response:
        answer = self._answer_of(result)
        body = exact_json.encode(answer.body)
        return Response(body, answer.status, answer.headers, media_type="application/json")

    def _result_event(self, result: ToolResult) -> Event:
        data = {"type": "result"} | self._answer_of(result).body | {"type": "result"}
        return Event("result", data, exact_json.encode(data))

    def _answer_of(self, result: ToolResult) -> ExecuteAnswer:
        return answer_of(self.call.name, result, self.request_id, has_started=self.has_started)

    def _start_event(self, started: Started) -> Event:
        return event(
            {
                "type": "started",
                "tool_use_id": started.tool_use_id,
                "isolation": started.isolation,
            }
        )

    def _stopped(self) -> Problem:
        error = Draining("the router is stopping")
        return tools_problem_of(error, self.request_id, may_repeat=not self.has_started)


class _Watched:
    """The dispatcher of one call, which tells when the program is run."""

    def __init__(self, dispatcher: ToolDispatcher, tell_start: TellStart) -> None:
        self._dispatcher = dispatcher
        self._tell_start = tell_start

    async def list_tools(self) -> Sequence[ToolSpec]:
        return await self._dispatcher.list_tools()

    async def prepare(self, hint: CallHint) -> bool:
        return await self._dispatcher.prepare(hint)

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        async with aclosing(self._dispatcher.execute(call, deadline)) as happenings:
            async for happening in happenings:
                if isinstance(happening, Started):
                    await self._tell_start(happening)
                yield happening


async def _end_with_client(
    receive: Receive, stream: PulsedStream | None, scope: anyio.CancelScope
) -> None:
    await until_client_leaves(receive, stream)
    scope.cancel()


async def _offloaded(work: Callable[[ToolResult], T], result: ToolResult) -> T:
    """What `work` gives; in a thread when the result is so large that others would wait."""
    if payload_bytes(result) < LARGE_BODY_BYTES:
        return work(result)
    return await to_thread.run_sync(work, result)
