"""Pumps one tool loop: actions out to the model, the tools and the client; what happens back in.

All the waiting of a message is here, in one task group: closing it stops the upstream and kills
what runs. It must not know how a client is written to (that is its sink) or what actions mean (that
is the loop's).
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.turns import turn_of
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
    Record,
    Start,
)
from auxot_tools.loop.loop import ToolLoop
from auxot_tools.messages.events import Event, event, message_events
from auxot_tools.ports import Attempt, ModelClient, PastRound
from auxot_tools.types import JSON, OutputChunk, Status, ToolResult, text_result

logger = logging.getLogger(__name__)

# What an upstream still has for its last answer once the budget is used up. With the default budget
# the whole stays under the 10 minutes after which the official SDKs give up a blocking request.
LAST_ANSWER_S = 300.0
# What the model is told of a call that an earlier attempt at this request had begun.
INTERRUPTED = (
    "The connection broke while this call was running. Whether it had effects is not known; it was "
    "not started again."
)

# The actions that end a stretch of work at once.
_Step = CallModel | Finished | Failed | Need


class EventSink(Protocol):
    """Where the client's message goes."""

    async def opened(self, headers: Mapping[str, str]) -> None:
        """The first upstream turn was accepted; `headers` may go back to the client."""
        ...

    async def emit(self, events: Sequence[Event]) -> None:
        """Events of the client's message, all known by now. May wait for a slow client."""
        ...


@dataclass(frozen=True, slots=True)
class DriverLimits:
    """Seconds. `budget_s` bounds the rounds of a message and is `None` for a streaming one.

    `last_answer_s` is what the upstream still has when the budget is used up.
    """

    budget_s: float | None = None
    last_answer_s: float = LAST_ANSWER_S


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What of the client's HTTP request the upstream sees beside the body."""

    headers: Mapping[str, str]
    query: str = ""


class Driver:
    """Runs one message to its end. Not reusable."""

    def __init__(
        self,
        loop: ToolLoop,
        model: ModelClient,
        calls: CallRunner,
        sink: EventSink,
        *,
        attempt: Attempt,
        limits: DriverLimits,
    ) -> None:
        self._loop = loop
        self._model = model
        self._calls = calls
        self._sink = sink
        self._attempt = attempt
        self._limits = limits
        self._is_opened = False
        self._out: list[Event] = []  # events that have not left
        self._next: _Step | None = None  # what ended the reading of a turn
        self._running: dict[str, anyio.CancelScope] = {}
        self._past: deque[PastRound] = deque(attempt.past)
        self._replayed: PastRound | None = None  # the past round that is being gone through
        self._known: deque[ToolResult] = deque()  # results that no call has to be run for
        self._results_in: MemoryObjectSendStream[ToolResult | None]
        self._results: MemoryObjectReceiveStream[ToolResult | None]
        # No buffer: a result waits in its own task until the loop asks for it.
        self._results_in, self._results = anyio.create_memory_object_stream(0)

    async def run(self, forwarded: Forwarded) -> Finished | Failed:
        """Drive the loop to its end. Cancelling stops the upstream and every running call."""
        if self._attempt.answer is not None:
            return await self._give_known_answer(self._attempt.answer)
        ended: Finished | Failed | None = None
        with self._results_in, self._results:
            async with anyio.create_task_group() as tasks:
                budget_s = self._limits.budget_s
                if budget_s is not None:
                    tasks.start_soon(self._watch_budget, budget_s)
                    ends_in_s = budget_s + self._limits.last_answer_s
                    tasks.cancel_scope.deadline = anyio.current_time() + ends_in_s
                ended = await self._pump(tasks, forwarded)
                tasks.cancel_scope.cancel()
        if ended is None:
            error = DeadlineExceeded("the upstream did not end its answer in time")
            return Failed(error, tools_ran=True)
        if isinstance(ended, Finished):
            await self._open({})
            self._attempt.complete(ended.message)
        return ended

    async def _give_known_answer(self, message: JSON) -> Finished:
        """Another attempt at the same request has completed it while this one waited."""
        self._results_in.close()
        self._results.close()
        self._out.extend(message_events(message))
        await self._open({})
        self._attempt.complete(message)
        return Finished(message)

    async def _pump(self, tasks: TaskGroup, forwarded: Forwarded) -> Finished | Failed:
        while True:
            action, self._next = self._next or self._perform(tasks), None
            if self._out:
                await self._flush()
            if isinstance(action, CallModel):
                if self._past:
                    self._replay_turn(tasks, self._past.popleft())
                else:
                    self._replayed = None
                    await self._take_turn(tasks, action.body, forwarded)
            elif isinstance(action, Finished | Failed):
                return action
            elif action is NEED_RESULTS:
                await self._take_result()
            else:
                raise LocalProtocolError("the loop waits for an event although no turn is open")

    def _perform(self, tasks: TaskGroup) -> _Step:
        """Do what can be done at once; return the first action that needs more than that."""
        while True:
            action = self._loop.next_action()
            if isinstance(action, Emit):
                self._out.append(action.event)
            elif isinstance(action, Prepare):
                if self._replayed is None:
                    tasks.start_soon(self._calls.prepare, action.hint)
            elif isinstance(action, Start):
                self._start(tasks, action)
            elif isinstance(action, Record):
                if self._replayed is None:
                    self._attempt.note_turn([each.data for each in action.events])
            elif isinstance(action, Cancel):
                self._running[action.tool_use_id].cancel()
            else:
                return action

    async def _open(self, headers: Mapping[str, str]) -> None:
        """The answer can begin: nothing that would have to be taken back can come any more."""
        if not self._is_opened:
            self._is_opened = True
            await self._sink.opened(headers)
        await self._flush()

    async def _flush(self) -> None:
        """Send what there is, in one piece. Before the answer has begun it is held."""
        if self._out and self._is_opened:
            leaving, self._out = self._out, []
            await self._sink.emit(leaving)

    # -- the model ---------------------------------------------------------------------------

    async def _take_turn(self, tasks: TaskGroup, body: bytes, forwarded: Forwarded) -> None:
        """One request to the model, from its first byte to the end of its turn."""
        try:
            async with self._model.send(body, forwarded.headers, forwarded.query) as response:
                await self._open(response.headers)
                async with aclosing(turn_of(response)) as pieces:
                    async for events in pieces:
                        has_ended = self._take_events(tasks, events)
                        await self._flush()
                        if has_ended:
                            return
                self._loop.receive_end()
        except RemoteProtocolError as error:
            self._loop.receive_end(error)
        except AuxotError as error:
            self._loop.model_failed(error)

    def _take_events(self, tasks: TaskGroup, events: Sequence[Event]) -> bool:
        """Feed events to the loop; whether the turn has ended with them."""
        for each in events:
            self._loop.receive_event(each)
            action = self._perform(tasks)
            if action is not NEED_EVENT:
                self._next = action
                return True
        return False

    def _replay_turn(self, tasks: TaskGroup, past: PastRound) -> None:
        """A turn that an earlier attempt at this request got, without asking for it again."""
        self._replayed = past
        if not self._take_events(tasks, [event(data) for data in past.turn]):
            self._loop.receive_end()

    # -- the calls ---------------------------------------------------------------------------

    def _start(self, tasks: TaskGroup, start: Start) -> None:
        """Run a call, unless an earlier attempt did and running it again is not harmless."""
        call = start.call
        if self._replayed is not None:
            result = self._replayed.results.get(call.tool_use_id)
            if result is not None:
                self._known.append(result)
                return
            if not start.idempotent:
                self._known.append(text_result(call.tool_use_id, Status.CANCELLED, INTERRUPTED))
                return
        scope = self._running[call.tool_use_id] = anyio.CancelScope()
        tasks.start_soon(self._run_call, start, scope)

    async def _run_call(self, start: Start, scope: anyio.CancelScope) -> None:
        with scope:
            result = await self._calls.run(start.call, self._tell_output)
            await self._results_in.send(result)

    async def _tell_output(self, tool_use_id: str, chunk: OutputChunk) -> None:
        told = self._loop.receive_output(tool_use_id, chunk)
        if told is not None and self._is_opened:
            await self._sink.emit([told])

    async def _take_result(self) -> None:
        if self._known:
            self._loop.receive_result(self._known.popleft())
            return
        result = await self._results.receive()
        if result is not None:
            self._attempt.note_result(result)
            self._loop.receive_result(result)

    async def _watch_budget(self, budget_s: float) -> None:
        await anyio.sleep(budget_s)
        self._loop.budget_spent()
        try:
            self._results_in.send_nowait(None)
        except anyio.WouldBlock:
            return  # nobody waits for results; the loop looks at its budget when the turn ends
