"""Runs one call from beginning to end: registry, validation, slot, sandbox, result.

One job: the order of these steps and the clean end of each, whatever happens in between. It must
not know gRPC, Docker or JSON Schema. No log line here holds arguments or output.

    unknown tool ─▶ result      bad input ─▶ result      line full ─▶ result
    turn ▸ slot ▸ box ─▶ Started ─▶ OutputChunk … ─▶ box, slot and turn given back ─▶ result

Nothing is ever yielded inside a cancel scope: whoever reads the events may be another task.
"""

import dataclasses
import logging
import traceback
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    Draining,
    EngineUnavailable,
    ImageMissing,
    Unavailable,
)
from auxot_tools.ports import Box, BoxOwner, BoxSpec, CollectLimits, Sandbox, SandboxOutcome
from auxot_tools.types import (
    CallEvent,
    CallHint,
    Deadline,
    OutputChunk,
    Started,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
    text_result,
)
from auxot_tools.worker.admission import Admitted, admit, expected_spec, ready_specs
from auxot_tools.worker.call_check import call_fault, unknown_tool
from auxot_tools.worker.registry import Registry, Tool
from auxot_tools.worker.result import RunFacts, outcome_result
from auxot_tools.worker.slots import Slots, Turn

logger = logging.getLogger(__name__)

# Of the call's time, kept for reading the outcome and sending the result: 1 s, or a tenth.
_RESULT_MARGIN_S = 1.0
_RESULT_MARGIN_PART = 0.1
_PREPARE_S = 1.0  # the port's promise
_CLEAN_UP_STEP_S = 10.0  # of each of cancel, close, release; an engine that hangs must not keep us
_CLEAN_UP_STEPS = 3
_TRIED_S = 2.0  # for a box while the sandbox has a problem: an answer soon, not a call that hangs
_THREAD_BYTES = 64 * 2**10  # a smaller input is judged in less time than a thread takes to start

_BUSY = "The worker is busy: every slot is taken and the waiting line is full. Try again later."
_NO_SLOT = "No sandbox came free within the time given for this call; nothing was run. Try again."
_CANCELLED = "Cancelled: the worker is stopping, so this call was given up. Try again."
_LOST = (
    "The sandbox was lost while the program ran, and how it ended is not known. What it did up to "
    "then may have taken effect; try again if that is harmless."
)
# What kept the program from being started -> what the model is told.
_NOT_STARTED: dict[type[AuxotError], str] = {
    DeadlineExceeded: _NO_SLOT,
    ImageMissing: (
        "The sandbox image is not on this worker, so nothing was run. The operator has to build it "
        "(`auxot-tools sandbox build`) or name another (`sandbox.image`)."
    ),
    EngineUnavailable: (
        "The sandbox engine of this worker does not answer, so nothing was run. Try again later."
    ),
    Unavailable: "The sandbox is not available now, so nothing was run. Try again later.",
}


@dataclass(eq=False, slots=True)
class _Running:
    """One accepted call: what it holds, and what has to be stopped when it must end."""

    call: ToolCall
    held: ExitStack = field(default_factory=ExitStack)  # its turn and its slot
    waiting: anyio.CancelScope | None = None
    box: Box | None = None
    run: AsyncGenerator[OutputChunk | SandboxOutcome, None] | None = None
    is_stopping: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a call that passed every check runs with."""

    box: Box
    admitted: Admitted


class Executor:
    """``ports.ToolDispatcher`` in this process.

    ``slots`` calls run at once, ``max_waiting`` more wait in line; a call beyond that is answered
    with ``UNAVAILABLE``. ``image`` names the sandbox image, empty for the sandbox's own.
    """

    def __init__(
        self,
        registry: Registry,
        sandbox: Sandbox,
        *,
        image: str = "",
        slots: int = 2,
        max_waiting: int = 64,
    ) -> None:
        self._registry = registry
        self._sandbox = sandbox
        self._image = image
        self._slots = Slots(slots)
        self._max_accepted = slots + max_waiting
        self._running: set[_Running] = set()  # at most that many, those being judged included
        self._draining = False
        self._idle: anyio.Event | None = None

    @property
    def total_slots(self) -> int:
        return self._slots.total

    @property
    def free_slots(self) -> int:
        """Calls that could start at once."""
        return self._slots.free

    @property
    def waiting_calls(self) -> int:
        """Calls accepted that wait for a slot, or for their turn."""
        return self._slots.waiting

    @property
    def running_calls(self) -> int:
        """Calls accepted and not yet cleaned up, waiting ones included."""
        return len(self._running)

    @property
    def is_draining(self) -> bool:
        return self._draining

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools that can be called, ordered by name."""
        return self._registry.specs()

    def ready_specs(self) -> tuple[BoxSpec, ...]:
        """The kinds of boxes that the sandbox should have ready for these tools."""
        return ready_specs(self._registry, self._image)

    def problem(self) -> str:
        """Why no call can be run now, in a sentence for operators; empty when all is well."""
        return self._sandbox.problem()

    async def prepare(self, hint: CallHint) -> bool:
        """Let the sandbox get ready. Never raises, never waits longer than 1 s."""
        tool = self._registry.tools.get(hint.name)
        if tool is None or self._draining:
            return False
        with anyio.move_on_after(_PREPARE_S):
            owner = BoxOwner(hint.tenant, hint.session)
            return await self._sandbox.prepare(expected_spec(tool, self._image), owner)
        return False

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        """Run one call; see ``ports.ToolDispatcher``. Raises ``Draining`` once ``drain`` began."""
        if self._draining:
            raise Draining("this worker is stopping and takes no new calls")
        if len(self._running) >= self._max_accepted:
            yield _refuse(call, Status.UNAVAILABLE, _BUSY)
            return
        running = _Running(call)
        self._running.add(running)
        result: ToolResult | None = None
        deadline = _earlier(deadline)
        try:
            ready = await self._get_ready(running, deadline)
            if isinstance(ready, ToolResult):
                result = ready
            else:
                running.run = ready.box.run(ready.admitted.program, deadline)
                yield Started(call.tool_use_id, ready.box.id, ready.box.isolation)
                async for event in running.run:
                    if isinstance(event, SandboxOutcome):
                        running.has_ended = True
                        result = outcome_result(event, _facts(running, ready))
                        break
                    yield event
        except Unavailable:
            if running.is_stopping:
                result = _refuse(call, Status.CANCELLED, _CANCELLED)
            else:
                result = _refuse(call, Status.UNAVAILABLE, _LOST)
        except Exception as error:  # the last guard: a bug must not end the conversation
            result = _internal(call, error)
        except BaseException:  # the caller left: cancelled, or its events closed
            _log_end(call, _left(running))
            raise
        finally:
            await self._clean_up(running)
        result = result or _refuse(call, Status.UNAVAILABLE, _LOST)
        _log_end(call, result)
        yield result

    async def drain(self, grace_s: float) -> None:
        """Take no new calls, let those that run finish for ``grace_s`` seconds, cancel the rest.

        Returns when everything is cleaned up, at the latest 40 s after the grace period. Calling it
        again with a shorter grace period cancels sooner.
        """
        self._draining = True
        if await self._became_idle(grace_s):
            return
        left = tuple(self._running)
        logger.warning("the grace period is over: %d calls are being cancelled", len(left))
        async with anyio.create_task_group() as tasks:
            for running in left:
                tasks.start_soon(self._stop, running)
        if not await self._became_idle(_CLEAN_UP_STEPS * _CLEAN_UP_STEP_S):
            logger.error("%d calls were not cleaned up in time", len(self._running))

    async def _became_idle(self, within_s: float) -> bool:
        if self._running:
            self._idle = self._idle or anyio.Event()
            with anyio.move_on_after(within_s):
                await self._idle.wait()
        return not self._running

    async def _stop(self, running: _Running) -> None:
        running.is_stopping = True
        if running.waiting is not None:
            running.waiting.cancel("the worker is stopping")
        if running.box is not None:
            await _bounded("cancel", running.box.cancel, running.box.id)

    async def _get_ready(self, running: _Running, deadline: Deadline) -> _Ready | ToolResult:
        """Everything before the program runs; a refusal is a result."""
        call = running.call
        with anyio.CancelScope() as scope:
            running.waiting = scope
            try:
                return await self._admit(running, deadline)
            except (Unavailable, DeadlineExceeded) as error:
                text = _NOT_STARTED.get(type(error), _NOT_STARTED[Unavailable])
                return _refuse(call, Status.UNAVAILABLE, text)
            finally:
                running.waiting = None
        return _refuse(call, Status.CANCELLED, _CANCELLED)

    async def _admit(self, running: _Running, deadline: Deadline) -> _Ready | ToolResult:
        call = running.call
        tool = self._registry.tools.get(call.name)
        if tool is None:
            text = unknown_tool(call.name, list(self._registry.tools))
            return _refuse(call, Status.UNKNOWN_TOOL, text)
        fault = call_fault(call)
        if fault:
            return _refuse(call, Status.INVALID_ARGUMENTS, fault)
        admitted = await _judge(tool, call, self._image)
        if isinstance(admitted, str):
            return _refuse(call, Status.INVALID_ARGUMENTS, admitted)
        if self._sandbox.problem() and not self._slots.free:
            raise Unavailable("the sandbox has a problem, and as many calls as may try it already")
        for turn in _turns(tool, call):  # waited for without a slot, which others can use meanwhile
            await self._slots.take_turn(turn, running, deadline)
            running.held.callback(self._slots.end_turn, turn, running)
        await self._slots.take(running, deadline)
        running.held.callback(self._slots.give_back, running)
        owner = BoxOwner(call.tenant, call.session)
        running.box = await self._claim(admitted.spec, owner, deadline)
        if running.is_stopping:
            return _refuse(call, Status.CANCELLED, _CANCELLED)
        return _Ready(running.box, admitted)

    async def _claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> Box:
        """A box; while the sandbox has a problem only a short try, as it may be over."""
        if not self._sandbox.problem():
            return await self._sandbox.claim(spec, owner, deadline)
        try:
            soon = deadline.sooner(Deadline.after(_TRIED_S))
            return await self._sandbox.claim(spec, owner, soon)
        except DeadlineExceeded:
            raise Unavailable("the sandbox still has its problem") from None

    async def _clean_up(self, running: _Running) -> None:
        """Stop what still runs, give box, slot and turn back. Bounded; never raises."""
        box, run = running.box, running.run
        try:
            if box is not None and run is not None and not running.has_ended:
                await _bounded("cancel", box.cancel, box.id)
            if box is not None and run is not None:
                await _bounded("close", run.aclose, box.id)
            if box is not None:
                await _bounded("release", box.release, box.id)
        finally:
            running.held.close()
            self._running.discard(running)
            if self._idle is not None and not self._running:
                self._idle.set()


async def _bounded(step: str, do: Callable[[], Awaitable[None]], box_id: str) -> None:
    """One step of a clean-up: shielded, at most 10 s, its failure logged."""
    try:
        with anyio.move_on_after(_CLEAN_UP_STEP_S, shield=True) as scope:
            await do()
    except Exception as error:  # the next steps must come, whatever this one did
        logger.error("box %s: %s failed with %s", box_id, step, type(error).__name__)
    if scope.cancelled_caught:
        logger.error("box %s: %s took longer than %g s", box_id, step, _CLEAN_UP_STEP_S)


async def _judge(tool: Tool, call: ToolCall, image: str) -> Admitted | str:
    if len(call.input_json) <= _THREAD_BYTES:
        return admit(tool, call, image)
    return await anyio.to_thread.run_sync(admit, tool, call, image)


def _turns(tool: Tool, call: ToolCall) -> Iterator[Turn]:
    """What this call must have alone; taken in this order, so that no calls wait in a ring."""
    if not tool.spec.parallel:
        yield ("tool", call.tenant, tool.spec.name)
    if tool.isolation == "session":
        yield ("session", call.tenant, call.session)


def _earlier(deadline: Deadline) -> Deadline:
    margin_s = min(_RESULT_MARGIN_S, deadline.remaining_s() * _RESULT_MARGIN_PART)
    return Deadline(deadline.at - margin_s)


def _facts(running: _Running, ready: _Ready) -> RunFacts:
    box, program = ready.box, ready.admitted.program
    return RunFacts(
        running.call.tool_use_id,
        ready.admitted.spec.limits,
        box.id,
        box.isolation,
        running.is_stopping,
        box.notice,
        program.collect or CollectLimits(),
    )


def _left(running: _Running) -> ToolResult:
    """What is logged of a call whose caller does not wait for the result."""
    result = _refuse(running.call, Status.CANCELLED, "Cancelled by the caller.")
    return dataclasses.replace(result, box_id=running.box.id if running.box else "")


def _refuse(call: ToolCall, status: Status, text: str) -> ToolResult:
    return text_result(call.tool_use_id, status, text)


def _internal(call: ToolCall, error: Exception) -> ToolResult:
    """Our own fault: the log gets where it happened, the model an id to be found there by.

    The exception's text is not logged: it may quote arguments or output.
    """
    error_id = uuid.uuid4().hex[:12]
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("error %s: %s\n%s", error_id, type(error).__name__, where)
    text = f"The worker made a mistake of its own (error {error_id}); the operator's log has more."
    return _refuse(call, Status.INTERNAL, text)


def _log_end(call: ToolCall, result: ToolResult) -> None:
    """One line for the operator: whose call, how it ended, where it ran. Nothing of its content."""
    facts = {
        "tool_use_id": call.tool_use_id[:200],
        "tool": call.name[:64],
        "status": str(result.status),
        "box_id": result.box_id,
        "duration_s": round(result.duration_s, 4),
    }
    text = "call %(tool_use_id)r of %(tool)r: %(status)s, container %(box_id).12s, %(duration_s)s s"
    logger.info(text, facts, extra=facts)
