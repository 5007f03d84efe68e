"""Pumps one tool loop: actions out to the model, the tools and the client; what happens back in.

All the waiting of a message is here. Its calls run in a task group that it is given: closing that
kills what runs. It must not know how a client is written to (that is its sink) or what actions mean
(that is the loop's).
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
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
    Draining,
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

    async def finish(self, events: Sequence[Event], message: JSON) -> None:
        """The last events of the message, and the whole of it."""
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
        on_finished: Callable[[Finished], None],
        served_by: Callable[[], str] = str,
    ) -> None:
        """`on_finished` is told the whole message before its end leaves for the client;
        `served_by` names the provider that has answered so far.
        """
        self._served_by = served_by
        self._loop = loop
        self._model = model
        self._calls = calls
        self._sink = sink
        self._attempt = attempt
        self._limits = limits
        self._on_finished = on_finished
        self._is_opened = False
        self._is_finished = False
        self._out: list[Event] = []  # events that have not left
        self._next: _Step | None = None  # what ended the reading of a turn
        self._running: dict[str, anyio.CancelScope] = {}
        self._past: deque[PastRound] = deque(attempt.past)
        self._replayed: PastRound | None = None  # the past round that is being gone through
        self._known: deque[ToolResult] = deque()  # results that no call has to be run for
        budget_s = limits.budget_s
        self._is_given_up = False
        self._spent_at = math.inf if budget_s is None else anyio.current_time() + budget_s
        self._scope = anyio.CancelScope(deadline=self._spent_at + limits.last_answer_s)
        self._results_in: MemoryObjectSendStream[ToolResult]
        self._results: MemoryObjectReceiveStream[ToolResult]
        # No buffer: a result waits in its own task until the loop asks for it.
        self._results_in, self._results = anyio.create_memory_object_stream(0)

    async def run(self, tasks: TaskGroup, forwarded: Forwarded) -> Finished | Failed:
        """Drive the loop to its end; calls run in `tasks`, and what is left of them when this
        returns is of no use: cancel it. Cancelling this stops the upstream.
        """
        ended: Finished | Failed | None = None
        with self._results_in, self._results:
            with self._scope:
                ended = self._known_answer() or await self._pump(tasks, forwarded)
            if ended is None:
                return Failed(self._why_ended(), tools_ran=True)
            if isinstance(ended, Finished):
                await self._finish(ended)
            return ended

    def give_up(self) -> None:
        """Come to an end now: the router is stopping."""
        self._is_given_up = True
        self._scope.cancel()

    def _why_ended(self) -> AuxotError:
        if self._is_given_up:
            return Draining("the router is stopping")
        return DeadlineExceeded("the upstream did not end its answer in time")

    def _known_answer(self) -> Finished | None:
        """What another attempt at the same request gave while this one waited for it."""
        message = self._attempt.answer
        if message is None:
            return None
        self._out.extend(message_events(message))
        return Finished(message)

    async def _pump(self, tasks: TaskGroup, forwarded: Forwarded) -> Finished | Failed:
        while True:
            action, self._next = self._next or self._perform(tasks), None
            if isinstance(action, Finished):
                return action
            await self._flush()
            if isinstance(action, CallModel):
                if self._past:
                    self._replay_turn(tasks, self._past.popleft())
                else:
                    self._replayed = None
                    await self._take_turn(tasks, action.body, forwarded)
            elif isinstance(action, Failed):
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
                self._out.extend(action.events)
            elif isinstance(action, Prepare):
                if self._replayed is None:
                    tasks.start_soon(self._calls.prepare, action.hint)
            elif isinstance(action, Start):
                self._start(tasks, action)
            elif isinstance(action, Record):
                if self._replayed is None:
                    turn = [each.data for each in action.events]
                    self._attempt.note_turn(turn, self._served_by())
            elif isinstance(action, Cancel):
                scope = self._running.get(action.tool_use_id)
                if scope is not None:  # else its result was known
                    scope.cancel()
            else:
                return action

    async def _open(self, headers: Mapping[str, str]) -> None:
        """The answer can begin: nothing that would have to be taken back can come any more."""
        if not self._is_opened:
            self._is_opened = True
            await self._sink.opened(headers)

    async def _finish(self, ended: Finished) -> None:
        """The message is whole: make sure that its end has left."""
        if self._is_finished:
            return
        self._is_finished = True
        self._attempt.complete(ended.message)
        self._on_finished(ended)  # before the client has it, and may go on
        await self._open({})
        await self._sink.finish(self._out, ended.message)
        self._attempt.delivered()

    async def _flush(self) -> None:
        """Send what there is, in one piece. Before the answer has begun it is held."""
        if self._out and self._is_opened and not self._is_finished:
            leaving, self._out = self._out, []
            await self._sink.emit(leaving)

    # -- the model ---------------------------------------------------------------------------

    async def _take_turn(self, tasks: TaskGroup, body: bytes, forwarded: Forwarded) -> None:
        """One request to the model, from its first byte to the end of its turn."""
        try:
            async with self._model.send(body, forwarded.headers, forwarded.query) as response:
                await self._open(response.headers)
                await self._flush()
                async with aclosing(turn_of(response)) as pieces:
                    async for events in pieces:
                        has_ended = self._take_events(tasks, events)
                        if isinstance(self._next, Finished):
                            await self._finish(self._next)
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
        if self._is_out_of_time:
            self._loop.budget_spent()
        self._loop.receive_events(events)
        action = self._perform(tasks)
        if action is NEED_EVENT:
            return False
        self._next = action
        return True

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
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await self._results_in.send(result)  # nobody takes it when the message has failed

    async def _tell_output(self, tool_use_id: str, chunk: OutputChunk) -> None:
        told = self._loop.receive_output(tool_use_id, chunk)
        if told is not None and self._is_opened:
            await self._sink.emit([told])

    async def _take_result(self) -> None:
        if self._known:
            self._loop.receive_result(self._known.popleft())
            return
        with anyio.CancelScope(deadline=self._spent_at):
            result = await self._results.receive()
            self._attempt.note_result(result)
            self._loop.receive_result(result)
        if self._is_out_of_time:
            self._loop.budget_spent()

    @property
    def _is_out_of_time(self) -> bool:
        """Whether the budget is used up: no call is run any more, and what runs is stopped."""
        return self._spent_at != math.inf and anyio.current_time() >= self._spent_at
