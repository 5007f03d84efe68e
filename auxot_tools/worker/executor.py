"""Runs one call from beginning to end: registry, validation, policy, slot, program, result.

One job: the order of these steps and the clean end of each, whatever happens in between. It must
not know gRPC, Docker or JSON Schema. No log line here holds arguments or output.

    unknown tool ─▶ result      bad input ─▶ result      policy ─▶ result      line full ─▶ result
    policy ▸ turn ▸ slot ▸ box ─▶ Started ─▶ OutputChunk … ─▶ all given back ─▶ result ─▶ audit

Nothing is ever yielded inside a cancel scope: whoever reads the events may be another task.
"""

import dataclasses
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import anyio
import anyio.to_thread

from auxot_tools.errors import DeadlineExceeded, Draining, Unavailable
from auxot_tools.ports import Approvals, Box, BoxOwner, BoxSpec, HostedTool, KeptOutputs, Sandbox
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
)
from auxot_tools.worker import ends
from auxot_tools.worker.admission import Admitted, admit, expected_spec, lowered, ready_specs
from auxot_tools.worker.audit import AuditLog
from auxot_tools.worker.boxed_run import BoxedRun
from auxot_tools.worker.call_check import call_fault, unknown_tool
from auxot_tools.worker.ends import refuse
from auxot_tools.worker.gate import Gate
from auxot_tools.worker.hosted_run import HostedRun
from auxot_tools.worker.output_tap import OutputTap
from auxot_tools.worker.places import Places
from auxot_tools.worker.redaction import Redactor
from auxot_tools.worker.running import CLEAN_UP_STEP_S, CLEAN_UP_STEPS, Running
from auxot_tools.worker.tool import Tool

logger = logging.getLogger(__name__)

# Of the call's time, kept for reading the outcome and sending the result: 1 s, or a tenth.
_RESULT_MARGIN_S = 1.0
_RESULT_MARGIN_PART = 0.1
_PREPARE_S = 1.0  # the port's promise
_TRIED_S = 2.0  # for a box while the sandbox has a problem: an answer soon, not a call that hangs
_THREAD_BYTES = 64 * 2**10  # a smaller input is judged in less time than a thread takes to start
# Hosted tools mostly wait for others, so that they have places of their own and more of them.
_HOSTED_SLOTS, _HOSTED_OF_ONE_KEY = 32, 16
_SHARED_LINE = 32
_SLOT, _HOSTED_SLOT = "slot", "hosted slot"


class Tools(Protocol):
    """What is known of tools: a ``Registry``, or one that follows its folders."""

    @property
    def tools(self) -> Mapping[str, Tool]: ...

    def specs(self) -> Sequence[ToolSpec]: ...

    async def refresh(self) -> None:
        """Look whether anything changed. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Equipment:
    """What calls run with beside the sandbox; what is left out is not there.

    ``host`` runs programs on this very machine. ``credentials`` gives those of a tool, by name.
    """

    host: Sandbox | None = None
    hosted: Mapping[str, HostedTool] = field(default_factory=dict)
    credentials: Callable[[str], Mapping[str, str]] = lambda _tool: {}
    outputs: KeptOutputs | None = None
    audit: AuditLog | None = None
    gate: Gate = field(default_factory=Gate)


class _Ready(Protocol):
    """A call that has all it needs: a ``BoxedRun`` or a ``HostedRun``."""

    @property
    def started(self) -> Started: ...

    def start(self, deadline: Deadline) -> AsyncGenerator[Any, None]: ...

    def told(self, event: Any) -> OutputChunk | ToolResult | None: ...


class Executor:
    """``ports.ToolDispatcher`` in this process.

    ``slots`` calls run at once, ``max_waiting`` more wait in line; a call beyond that is answered
    with ``UNAVAILABLE``. ``image`` names the sandbox image, empty for the sandbox's own.
    """

    def __init__(
        self,
        registry: Tools,
        sandbox: Sandbox,
        equipment: Equipment | None = None,
        *,
        image: str = "",
        slots: int = 2,
        max_waiting: int = 64,
    ) -> None:
        self._registry = registry
        self._sandbox = sandbox
        self._equipment = equipment or Equipment()
        self._image = image
        self._total_slots = slots
        self._places = Places()
        self._max_accepted = slots + max_waiting
        # The last quarter of a line is for other keys; a short line may be one key's.
        reserved = self._max_accepted // 4 if self._max_accepted >= _SHARED_LINE else 0
        self._max_of_one_key = self._max_accepted - reserved
        self._running: set[Running] = set()  # at most that many, and those that ask
        self._draining = False
        self._idle: anyio.Event | None = None

    @property
    def approvals(self) -> Approvals:
        """The calls that wait for an operator."""
        return self._equipment.gate.desk

    @property
    def total_slots(self) -> int:
        return self._total_slots

    @property
    def free_slots(self) -> int:
        """Calls that could start at once."""
        return self._total_slots - self._places.held(_SLOT)

    @property
    def waiting_calls(self) -> int:
        """Calls accepted that wait for a slot, or for their turn."""
        return self._places.waiting

    @property
    def running_calls(self) -> int:
        """Calls accepted and not yet cleaned up, waiting ones included."""
        return len(self._running)

    @property
    def is_draining(self) -> bool:
        return self._draining

    async def follow_policy(self) -> NoReturn:
        """Tell mistakes in a changed policy file soon, until cancelled."""
        await self._equipment.gate.policy.follow()

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools that can be called, ordered by name."""
        await self._registry.refresh()
        return self._registry.specs()

    def ready_specs(self) -> tuple[BoxSpec, ...]:
        """The kinds of boxes that the sandbox should have ready for these tools."""
        return ready_specs(self._registry.tools.values(), self._image)

    def problem(self) -> str:
        """Why no call can be run now, in a sentence for operators; empty when all is well."""
        return self._sandbox.problem()

    async def prepare(self, hint: CallHint) -> bool:
        """Let the sandbox get ready. Never raises, never waits longer than 1 s."""
        tool = self._registry.tools.get(hint.name)
        if tool is None or self._draining or tool.runs != "box" or tool.hosts:
            return False
        with anyio.move_on_after(_PREPARE_S):
            owner = BoxOwner(hint.tenant, hint.session)
            return await self._sandbox.prepare(expected_spec(tool, self._image), owner)
        return False

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        """Run one call; see ``ports.ToolDispatcher``. Raises ``Draining`` once ``drain`` began."""
        if self._draining:
            raise Draining("this worker is stopping and takes no new calls")
        if busy := self._why_busy(call):
            yield self._ended(Running(call), refuse(call, Status.UNAVAILABLE, busy))
            return
        running = Running(call)
        self._running.add(running)
        result: ToolResult | None = None
        deadline = _earlier(deadline)
        try:
            ready = await self._get_ready(running, deadline)
            if isinstance(ready, ToolResult):
                result = ready
            else:
                running.run = ready.start(deadline)
                yield ready.started
                async for event in running.run:
                    told = ready.told(event)
                    if isinstance(told, ToolResult):
                        running.has_ended = True
                        result = told
                        break
                    if told is not None:
                        yield told
        except Unavailable:
            result = _lost(running)
        except Exception as error:  # the last guard: a bug must not end the conversation
            result = ends.internal(call, error)
        except BaseException:  # the caller left: cancelled, or its events closed
            self._ended(running, _left(running))
            raise
        finally:
            await self._clean_up(running)
        yield self._ended(running, result or _lost(running))

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
                tasks.start_soon(running.stop)
        if not await self._became_idle(CLEAN_UP_STEPS * CLEAN_UP_STEP_S):
            logger.error("%d calls were not cleaned up in time", len(self._running))

    async def _became_idle(self, within_s: float) -> bool:
        if self._running:
            self._idle = self._idle or anyio.Event()
            with anyio.move_on_after(within_s):
                await self._idle.wait()
        return not self._running

    def _why_busy(self, call: ToolCall) -> str:
        """Why one more call cannot be accepted; empty when it can."""
        desk = self._equipment.gate.desk  # calls that wait for a person hold nothing
        if len(self._running) - desk.waiting >= self._max_accepted:
            return ends.BUSY
        own = sum(running.call.tenant == call.tenant for running in self._running)
        own -= desk.waiting_of(call.tenant)
        return ends.BUSY_KEY if own >= self._max_of_one_key else ""

    def _ended(self, running: Running, result: ToolResult) -> ToolResult:
        """The operator's lines about a call that has ended."""
        ends.log_end(running.call, result)
        if self._equipment.audit is not None:
            self._equipment.audit.write(running.call, result, running.decision)
        return result

    async def _get_ready(self, running: Running, deadline: Deadline) -> _Ready | ToolResult:
        """Everything before the program runs; a refusal is a result."""
        call = running.call
        with anyio.CancelScope() as scope:
            running.waiting = scope
            try:
                return await self._admit(running, deadline)
            except (Unavailable, DeadlineExceeded) as error:
                return ends.not_started(call, error)
            finally:
                running.waiting = None
        return refuse(call, Status.CANCELLED, ends.CANCELLED)

    async def _admit(self, running: Running, deadline: Deadline) -> _Ready | ToolResult:
        call = running.call
        await self._registry.refresh()
        tool = self._registry.tools.get(call.name)
        if tool is None:
            text = unknown_tool(call.name, list(self._registry.tools))
            return refuse(call, Status.UNKNOWN_TOOL, text)
        fault = call_fault(call)
        if fault:
            return refuse(call, Status.INVALID_ARGUMENTS, fault)
        credentials = self._credentials(tool, call)
        admitted = await _judge(tool, call, self._image, credentials)
        if isinstance(admitted, str):
            return refuse(call, Status.INVALID_ARGUMENTS, admitted)
        if tool.runs == "box" and self._sandbox.problem() and not self.free_slots:
            raise Unavailable("the sandbox has a problem, and as many calls as may try it already")
        passage = await self._equipment.gate.enter(call, running.held, deadline)
        running.decision = passage.decision
        if passage.refusal:
            return refuse(call, passage.status, passage.refusal)
        return await self._equip(running, tool, lowered(admitted, passage.timeout_s), deadline)

    async def _equip(
        self, running: Running, tool: Tool, admitted: Admitted, deadline: Deadline
    ) -> _Ready | ToolResult:
        """Its turn, its slot, and what it runs in."""
        equipment, call = self._equipment, running.call
        for turn in _turns(tool, call, admitted):  # without a slot, which others can use meanwhile
            await self._take(turn, 1, running, deadline)
        credentials = self._credentials(tool, call)
        if tool.runs == "hosted":
            own = (_HOSTED_SLOT, call.tenant)
            await self._take(own, _HOSTED_OF_ONE_KEY, running, deadline)
            await self._take(_HOSTED_SLOT, _HOSTED_SLOTS, running, deadline)
            hosted = equipment.hosted[tool.spec.name]
            redactor = Redactor(credentials)
            return HostedRun(running, hosted, admitted, credentials, redactor, equipment.outputs)
        await self._take(_SLOT, self._total_slots, running, deadline)
        box = running.box = await self._claim(tool, admitted.spec, call, deadline)
        if running.is_stopping:
            return refuse(call, Status.CANCELLED, ends.CANCELLED)
        tap = OutputTap(Redactor(credentials))
        return BoxedRun(running, tool, admitted, box, tap, equipment.outputs)

    def _credentials(self, tool: Tool, call: ToolCall) -> Mapping[str, str]:
        """The tool's own; those that came with the call win."""
        return {**self._equipment.credentials(tool.spec.name), **call.credentials}

    async def _take(self, key: object, limit: int, running: Running, deadline: Deadline) -> None:
        await self._places.take(key, limit, running, deadline)
        running.held.callback(self._places.give_back, key, running)

    async def _claim(self, tool: Tool, spec: BoxSpec, call: ToolCall, deadline: Deadline) -> Box:
        """A box; while the sandbox has a problem only a short try, as it may be over."""
        owner = BoxOwner(call.tenant, call.session)
        if tool.runs == "host":
            if self._equipment.host is None:
                raise Unavailable("this worker runs no programs on its machine")
            return await self._equipment.host.claim(spec, owner, deadline)
        if not self._sandbox.problem():
            return await self._sandbox.claim(spec, owner, deadline)
        try:
            soon = deadline.sooner(Deadline.after(_TRIED_S))
            return await self._sandbox.claim(spec, owner, soon)
        except DeadlineExceeded:
            raise Unavailable("the sandbox still has its problem") from None

    async def _clean_up(self, running: Running) -> None:
        """Stop what still runs, give everything back. Bounded; never raises."""
        try:
            await running.clean_up()
        finally:
            self._running.discard(running)
            if self._idle is not None and not self._running:
                self._idle.set()


async def _judge(
    tool: Tool, call: ToolCall, image: str, credentials: Mapping[str, str]
) -> Admitted | str:
    env = tuple(credentials.items())
    if len(call.input_json) <= _THREAD_BYTES:
        return admit(tool, call, image, env)
    return await anyio.to_thread.run_sync(admit, tool, call, image, env)


def _turns(tool: Tool, call: ToolCall, admitted: Admitted) -> Iterator[tuple[str, ...]]:
    """What this call must have alone; taken in this order, so that no calls wait in a ring."""
    if not tool.spec.parallel:
        yield ("tool", call.tenant, tool.spec.name)
    if admitted.spec.isolation == "session":
        yield ("session", call.tenant, call.session)


def _earlier(deadline: Deadline) -> Deadline:
    margin_s = min(_RESULT_MARGIN_S, deadline.remaining_s() * _RESULT_MARGIN_PART)
    return Deadline(deadline.at - margin_s)


def _lost(running: Running) -> ToolResult:
    if running.is_stopping:
        return refuse(running.call, Status.CANCELLED, ends.CANCELLED)
    return refuse(running.call, Status.UNAVAILABLE, ends.LOST)


def _left(running: Running) -> ToolResult:
    """What is logged of a call whose caller does not wait for the result."""
    result = refuse(running.call, Status.CANCELLED, "Cancelled by the caller.")
    return dataclasses.replace(result, box_id=running.where)
