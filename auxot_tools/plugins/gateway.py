"""The tool loop inside a gateway with hooks: before a request goes out, and at its answer.

One job: from a Messages request, changed so that our tools are offered, and the model's first
answer to it, to the message that the client gets. Must not know which gateway it is.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from auxot_tools.dialects.anthropic.sse import PING, encode_event
from auxot_tools.driver.calls import CallRunner
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.driver import Driver, DriverLimits, EventSink, Forwarded
from auxot_tools.driver.ledger import MemoryLedger
from auxot_tools.loop.actions import Failed, Finished
from auxot_tools.loop.loop import LoopSettings, ToolLoop
from auxot_tools.messages import exact_json
from auxot_tools.messages.events import Event, event
from auxot_tools.messages.request import MessagesRequest, parse_request
from auxot_tools.plugins.gateway_model import AskAgain, GatewayModel
from auxot_tools.ports import ToolDispatcher
from auxot_tools.router.kept_history import KeptHistory, Restored
from auxot_tools.router.opening import Asker, keep_hidden, opened_loop
from auxot_tools.router.problems import problem_of
from auxot_tools.router.services import RouterLimits
from auxot_tools.router.session import NewSessions
from auxot_tools.types import JSON

# What a request's loop changes of it.
CHANGED = ("messages", "tools", "tool_choice")
STOP_S = 5.0  # for what a client left behind: its calls are cancelled on the worker


@dataclass(eq=False, slots=True, weakref_slot=True)
class Held:
    """A request whose loop is open: its first turn is being asked for, by the gateway.

    `changes` are to be put into the request; of its messages `sent_messages` are the first ones of
    every later turn. `failure` is what the gateway raised at a later turn.
    """

    tenant: str
    request: MessagesRequest
    restored: Restored
    loop: ToolLoop
    changes: JSON
    our_names: frozenset[str]
    request_id: str
    is_taken: bool = False
    failure: Exception | None = None

    @property
    def sent_messages(self) -> int:
        """How many messages the first turn was asked with."""
        return len(self.changes["messages"])

    def has_call_of_ours(self, message: object) -> bool:
        """Whether a message of the model calls a tool of ours."""
        content = message.get("content") if isinstance(message, dict) else None
        blocks = content if isinstance(content, list) else []
        return any(
            isinstance(block, dict)
            and block.get("type") == "tool_use"
            and block.get("name") in self.our_names
            for block in blocks
        )


@dataclass(slots=True)
class Gateway:
    """One gateway's tools; it lives in one event loop. See also `router.opening.Memory`."""

    dispatcher: ToolDispatcher
    catalogue: Catalogue
    loop_settings: LoopSettings
    limits: RouterLimits
    kept_history: KeptHistory
    sessions: NewSessions = field(default_factory=NewSessions)

    async def hold(self, body: JSON, tenant: str, headers: Mapping[str, str]) -> Held:
        """Open the loop of a request. Raises `RequestError` and `Unavailable`."""
        data = exact_json.encode(body)
        request = parse_request(data)
        request_id = "req_" + token_hex(12)
        offered = await self.catalogue.offered()
        asker = Asker(tenant, headers, request_id)
        loop, restored = await opened_loop(self, asker, request, data, offered)
        asked: JSON = exact_json.decode(loop.body_for_counting())
        declared = {tool.get("name") for tool in request.tools}
        ours = frozenset(tool.name for tool in offered) - declared
        changes = {name: asked[name] for name in CHANGED if name in asked}
        return Held(tenant, request, restored, loop, changes, ours, request_id)

    async def answer(self, held: Held, first: JSON, ask_again: AskAgain) -> JSON | None:
        """The client's message; `None` when the model could not be asked again (`held.failure`
        says why), or did not say anything that can be understood.
        """
        sink = _WholeMessage()
        model = GatewayModel(first, ask_again)
        await self._drive(held, model, sink, self.limits.blocking_budget_s)
        held.failure = model.failure
        return sink.message

    async def stream(
        self, held: Held, first: AsyncIterator[object], ask_again: AskAgain
    ) -> AsyncGenerator[bytes, None]:
        """The client's message as pieces of SSE, with pings while nothing comes."""
        pieces_in, pieces = anyio.create_memory_object_stream[bytes](0)
        model = GatewayModel(first, ask_again)
        # A generator may be left in any task, which ends no task group; this task has its end here.
        pump = asyncio.create_task(self._pump(held, model, pieces_in))
        try:
            with pieces:
                while True:
                    piece = PING
                    with anyio.move_on_after(self.limits.ping_interval_s):
                        try:
                            piece = await pieces.receive()
                        except anyio.EndOfStream:
                            return
                    yield piece
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(pump), STOP_S)

    async def _pump(
        self, held: Held, model: GatewayModel, out: MemoryObjectSendStream[bytes]
    ) -> None:
        with out:
            ended = await self._drive(held, model, _Pieces(out), None)
            if isinstance(ended, Failed):
                told = problem_of(ended.error, held.request_id)
                await out.send(encode_event(event(told.body)))

    async def _drive(
        self, held: Held, model: GatewayModel, sink: EventSink, budget_s: float | None
    ) -> Finished | Failed:
        def keep(finished: Finished) -> None:
            keep_hidden(self, held.tenant, held.request, held.restored, finished)

        calls = CallRunner(self.dispatcher, self.limits.call_timeout_s)
        limits = DriverLimits(budget_s, self.limits.last_answer_s)
        # The first answer is there and cannot be taken back: nothing is remembered for a repeat.
        async with MemoryLedger().attempt("", b"") as attempt, anyio.create_task_group() as tasks:
            driver = Driver(
                held.loop, model, calls, sink, attempt=attempt, limits=limits, on_finished=keep
            )
            ended = await driver.run(tasks, Forwarded({}))
            tasks.cancel_scope.cancel()
        return ended


class _WholeMessage:
    """The sink of a blocking answer."""

    def __init__(self) -> None:
        self.message: JSON | None = None

    async def opened(self, headers: Mapping[str, str]) -> None:
        """Nothing begins before the end."""

    async def emit(self, events: Sequence[Event]) -> None:
        """Nothing is sent before the end."""

    async def finish(self, events: Sequence[Event], message: JSON) -> None:  # noqa: ARG002
        """The whole message."""
        self.message = message


class _Pieces:
    """The sink of a stream. A client that does not read holds us up."""

    def __init__(self, out: MemoryObjectSendStream[bytes]) -> None:
        self._out = out

    async def opened(self, headers: Mapping[str, str]) -> None:
        """The gateway begins the answer itself."""

    async def emit(self, events: Sequence[Event]) -> None:
        await self._out.send(b"".join(map(encode_event, events)))

    async def finish(self, events: Sequence[Event], message: JSON) -> None:  # noqa: ARG002
        """The last events."""
        await self.emit(events)
