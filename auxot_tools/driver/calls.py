"""Runs the calls of one message on the dispatcher: side by side, bounded, each with one result.

One job: a place for each call, its deadline, and a result whatever the dispatcher does. It must not
know loops or clients.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing

import anyio

from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import (
    CallHint,
    Deadline,
    OutputChunk,
    Status,
    ToolCall,
    ToolResult,
    text_result,
)

logger = logging.getLogger(__name__)

# Calls of one message that are with the dispatcher at once; the others wait here. Above a worker's
# slots, so it costs nothing, and a turn of a thousand calls does not open a thousand RPCs.
MAX_CALLS_AT_ONCE = 32

TellOutput = Callable[[str, OutputChunk], Awaitable[None]]

# True of a router and of a program that has the library: neither knows how far the call came.
_FAULT = "There is no result, because of a fault on the way to the tool. The call may have run."
_NO_PLACE = (
    "Not run: too many calls of this key were running for the whole time given to this call. Try "
    "again, or make fewer calls at once."
)


class CallRunner:
    """The way from one message to the dispatcher.

    `call_timeout_s` counts from the call's start, its waiting included. `key_places` bounds the
    calls of all messages of one key together.
    """

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        call_timeout_s: float,
        key_places: anyio.CapacityLimiter | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._call_timeout_s = call_timeout_s
        self._places = anyio.CapacityLimiter(MAX_CALLS_AT_ONCE)
        self._key_places = key_places

    async def prepare(self, hint: CallHint) -> None:
        """Pass a hint on, unless it would have to wait."""
        if self._places.available_tokens:
            async with self._places:
                await self._dispatcher.prepare(hint)

    async def run(self, call: ToolCall, tell_output: TellOutput) -> ToolResult:
        """The result of `call`; never raises for what a tool or a worker does."""
        deadline = Deadline.after(self._call_timeout_s)
        async with AsyncExitStack() as held:
            if not await self._has_place(held, deadline):
                return text_result(call.tool_use_id, Status.UNAVAILABLE, _NO_PLACE)
            return await self._result_of(call, deadline, tell_output)

    async def _has_place(self, held: AsyncExitStack, deadline: Deadline) -> bool:
        with anyio.move_on_after(deadline.remaining_s()):
            await held.enter_async_context(self._places)
            if self._key_places is not None:
                await held.enter_async_context(self._key_places)
            return True
        return False

    async def _result_of(
        self, call: ToolCall, deadline: Deadline, tell_output: TellOutput
    ) -> ToolResult:
        try:
            async with aclosing(self._dispatcher.execute(call, deadline)) as happenings:
                async for happening in happenings:
                    if isinstance(happening, ToolResult):
                        return happening
                    if isinstance(happening, OutputChunk):
                        await tell_output(call.tool_use_id, happening)
        except Exception:
            logger.exception("the dispatcher failed at a call of %s", call.name)
        return text_result(call.tool_use_id, Status.INTERNAL, _FAULT)
