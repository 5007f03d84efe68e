"""Pumps one tool loop: actions out to the model, the tools and the client; what happens back in.

All the waiting of a message is here, in one task group: closing it stops the upstream and kills
what runs. It must not know how a client is written to (that is its sink) or what actions mean (that
is the loop's).
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from auxot_tools.dialects.anthropic.sse import MAX_FRAME_BYTES, SseDecoder
from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from auxot_tools.loop.actions import (
    NEED_EVENT,
    NEED_RESULTS,
    CallModel,
    Cancel,
    Emit,
    Failed,
    Finished,
    Need,
    Prepare,
    Start,
)
from auxot_tools.loop.loop import ToolLoop
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event, message_events
from auxot_tools.ports import ModelClient, ModelResponse, ToolDispatcher
from auxot_tools.types import CallHint, Deadline, Status, ToolCall, ToolResult, text_result

logger = logging.getLogger(__name__)

# Calls of one message that are with the dispatcher at once; the others wait here. Above a worker's
# slots, so it costs nothing, and a turn of a thousand calls does not open a thousand RPCs.
MAX_CALLS_AT_ONCE = 32
# One turn of an upstream is held in memory, to be sent back with the results; more than this is no
# answer of a model.
MAX_TURN_BYTES = 64 * 2**20
# What an upstream still has for its last answer once the budget is used up. With the default budget
# the whole stays under the 10 minutes after which the official SDKs give up a blocking request.
LAST_ANSWER_S = 300.0


# The actions that end a stretch of work at once.
_Step = CallModel | Finished | Failed | Need


class EventSink(Protocol):
    """Where the client's message goes."""

    async def opened(self, headers: Mapping[str, str]) -> None:
        """The first upstream turn was accepted; `headers` may go back to the client."""
        ...

    async def emit(self, event: Event) -> None:
        """One event of the client's message. May wait for a slow client."""
        ...


@dataclass(frozen=True, slots=True)
class DriverLimits:
    """Seconds. `budget_s` bounds the rounds of a message and is `None` for a streaming one.

    `last_answer_s` is what the upstream still has when the budget is used up.
    """

    call_timeout_s: float = 150.0
    budget_s: float | None = None
    last_answer_s: float = LAST_ANSWER_S


class Driver:
    """Runs one message to its end. Not reusable."""

    def __init__(
        self,
        loop: ToolLoop,
        model: ModelClient,
        dispatcher: ToolDispatcher,
        sink: EventSink,
        limits: DriverLimits,
    ) -> None:
        self._loop = loop
        self._model = model
        self._dispatcher = dispatcher
        self._sink = sink
        self._limits = limits
        self._is_opened = False
        self._next: _Step | None = None  # what ended the reading of a turn
        self._running: dict[str, anyio.CancelScope] = {}
        self._places = anyio.CapacityLimiter(MAX_CALLS_AT_ONCE)
        self._results_in: MemoryObjectSendStream[ToolResult | None]
        self._results: MemoryObjectReceiveStream[ToolResult | None]
        # No buffer: a result waits in its own task until the loop asks for it.
        self._results_in, self._results = anyio.create_memory_object_stream(0)

    async def run(self, headers: Mapping[str, str]) -> Finished | Failed:
        """Drive the loop to its end. Cancelling stops the upstream and every running call."""
        ended: Finished | Failed | None = None
        with self._results_in, self._results:
            async with anyio.create_task_group() as tasks:
                budget_s = self._limits.budget_s
                if budget_s is not None:
                    tasks.start_soon(self._watch_budget, budget_s)
                    ends_in_s = budget_s + self._limits.last_answer_s
                    tasks.cancel_scope.deadline = anyio.current_time() + ends_in_s
                ended = await self._pump(tasks, headers)
                tasks.cancel_scope.cancel()
        if ended is None:
            error = DeadlineExceeded("the upstream did not end its answer in time")
            return Failed(error, tools_ran=True)
        return ended

    async def _pump(self, tasks: TaskGroup, headers: Mapping[str, str]) -> Finished | Failed:
        while True:
            action, self._next = self._next or await self._perform(tasks), None
            if isinstance(action, CallModel):
                await self._take_turn(tasks, action.body, headers)
            elif isinstance(action, Finished | Failed):
                return action
            elif action is NEED_RESULTS:
                result = await self._results.receive()
                if result is not None:
                    self._loop.receive_result(result)
            else:
                raise LocalProtocolError("the loop waits for an event although no turn is open")

    async def _perform(self, tasks: TaskGroup) -> "_Step":
        """Do what can be done at once; return the first action that needs more than that."""
        while True:
            action = self._loop.next_action()
            if isinstance(action, Emit):
                await self._sink.emit(action.event)
            elif isinstance(action, Prepare):
                tasks.start_soon(self._prepare, action.hint)
            elif isinstance(action, Start):
                scope = self._running[action.call.tool_use_id] = anyio.CancelScope()
                tasks.start_soon(self._run_call, action.call, scope)
            elif isinstance(action, Cancel):
                self._running[action.tool_use_id].cancel()
            else:
                return action

    async def _take_turn(self, tasks: TaskGroup, body: bytes, headers: Mapping[str, str]) -> None:
        """One request to the model, from its first byte to the end of its turn."""
        try:
            async with self._model.send(body, headers) as response:
                if not self._is_opened:
                    self._is_opened = True
                    await self._sink.opened(response.headers)
                await self._read_turn(tasks, response)
        except RemoteProtocolError as error:
            self._loop.receive_end(error)
        except AuxotError as error:
            self._loop.model_failed(error)

    async def _read_turn(self, tasks: TaskGroup, response: ModelResponse) -> None:
        async with aclosing(_events(response)) as received:
            async for event in received:
                self._loop.receive_event(event)
                action = await self._perform(tasks)
                if action is not NEED_EVENT:
                    self._next = action
                    return
        self._loop.receive_end()

    async def _watch_budget(self, budget_s: float) -> None:
        await anyio.sleep(budget_s)
        self._loop.budget_spent()
        try:
            self._results_in.send_nowait(None)
        except anyio.WouldBlock:
            return  # nobody waits for results; the loop looks at its budget when the turn ends

    async def _prepare(self, hint: CallHint) -> None:
        if self._places.available_tokens:  # a hint is not worth waiting for
            async with self._places:
                await self._dispatcher.prepare(hint)

    async def _run_call(self, call: ToolCall, scope: anyio.CancelScope) -> None:
        with scope:
            async with self._places:
                result = await self._result_of(call)
            await self._results_in.send(result)

    async def _result_of(self, call: ToolCall) -> ToolResult:
        deadline = Deadline.after(self._limits.call_timeout_s)
        try:
            async with aclosing(self._dispatcher.execute(call, deadline)) as happenings:
                async for happening in happenings:
                    if isinstance(happening, ToolResult):
                        return happening
        except Exception:
            logger.exception("the dispatcher failed at a call of %s", call.name)
        text = "The tool could not be run because of a fault in the tools router."
        return text_result(call.tool_use_id, Status.INTERNAL, text)


async def _events(response: ModelResponse) -> AsyncGenerator[Event, None]:
    """The events of an answer, whether it streams or not. Raises `RemoteProtocolError`."""
    size = 0
    media_type = response.content_type.partition(";")[0].strip().lower()
    if media_type == "text/event-stream":
        decoder = SseDecoder()
        async with aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_TURN_BYTES:
                    raise RemoteProtocolError("the upstream's answer is larger than 64 MiB")
                for event in decoder.feed(chunk):
                    yield event
        return
    if media_type != "application/json":
        kind = media_type[:80] or "something without a content type"
        raise RemoteProtocolError(f"the upstream answered with {kind}, not with an event stream")
    for event in message_events(await _json_body(response)):
        yield event


async def _json_body(response: ModelResponse) -> dict[str, object]:
    body = b""
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_FRAME_BYTES:
                raise RemoteProtocolError("the upstream's answer is larger than 32 MiB")
    try:
        value = exact_json.decode(body)
    except exact_json.InvalidJSON:
        raise RemoteProtocolError("the upstream's answer is not JSON") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("the upstream's answer is not a JSON object")
    return value
