"""Answers the calls of the contract by asking a ``ToolDispatcher``, and an ``Approvals``.

Must not know listeners, keys, TLS or signals. It counts its own running calls, because a grpc.aio
server says that it has stopped before the clean-ups of its handlers have run.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import grpc

from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    Draining,
    LocalProtocolError,
    NotFound,
    Overloaded,
    RequestError,
)
from auxot_tools.ports import Approvals, ToolDispatcher
from auxot_tools.rpc.convert import (
    UNREADABLE,
    approvals_to_wire,
    event_to_wire,
    hint_from_wire,
    info_to_wire,
    request_from_wire,
    specs_to_wire,
)
from auxot_tools.rpc.info import WorkerInfo
from auxot_tools.rpc.limits import (
    ANSWER_MARGIN_S,
    DEFAULT_EXECUTE_S,
    DEFAULT_OTHER_S,
    MAX_RESPONSE_BYTES,
)
from auxot_tools.rpc.status import (
    INTERNAL_TEXT,
    NOT_RUN_ERRORS,
    NOT_RUN_METADATA,
    NOT_WAITING_TEXT,
    code_of,
)
from auxot_tools.types import Deadline, Status, ToolCall, ToolResult, text_result
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsServicer

# Every call holds its request and one handler. A worker's slots and waiting line are far smaller
# and answer "busy" in better words; this only stops a flood.
MAX_CALLS: Final = 512
# A caller that takes nothing for this long is given up: it holds a slot and a container.
READ_PATIENCE_S: Final = 20.0
_MAX_BY_CHARS: Final = 200  # a name, for a line of a log

_DRAINING_TEXT: Final = "the tools worker is stopping and takes no new calls"
_STOPPED_TEXT: Final = "The tools worker is stopping; this call was ended before it was done."
_CREDENTIALS_TEXT: Final = "The credentials of this call cannot be used. {} This call was not run."
_log = logging.getLogger(__name__)

CredentialFault = Callable[[Mapping[str, str]], str]

_T = TypeVar("_T")
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def takes_none(_credentials: Mapping[str, str]) -> str:
    """The rule of a worker that was given no other."""
    return "This worker takes none from its callers."


class Servicer(ToolsServicer):
    """The contract's service over one dispatcher; without ``approvals`` no call ever waits.

    ``credential_fault`` says, in a sentence without a value, why a call's credentials cannot be
    used; empty when they can. ``running`` counts the ``ExecuteTool`` calls whose clean-up is not
    over.
    """

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        info: WorkerInfo,
        read_patience_s: float = READ_PATIENCE_S,
        approvals: Approvals | None = None,
        credential_fault: CredentialFault = takes_none,
    ) -> None:
        self._credential_fault = credential_fault
        self._dispatcher = dispatcher
        self._approvals = approvals
        self._read_patience_s = read_patience_s
        self._info = info
        self._scopes: set[anyio.CancelScope] = set()
        self._is_draining = False
        self._idle = anyio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        return len(self._scopes)

    def refuse_new(self) -> None:
        """From now on every new ``ExecuteTool`` and ``Prepare`` is refused. For good."""
        self._is_draining = True

    def cancel_running(self) -> None:
        """End every running call; each caller gets a result that says why."""
        for scope in self._scopes:
            scope.cancel()

    async def wait_idle(self, within_s: float) -> bool:
        """Wait until no call runs, clean-ups included; false when that takes too long."""
        with anyio.move_on_after(within_s):
            await self._idle.wait()
        return not self._scopes

    async def GetInfo(  # noqa: N802
        self, _: pb.GetInfoRequest, context: _Context
    ) -> pb.GetInfoResponse:
        return await _told(context, self._get_info())

    async def ListTools(  # noqa: N802
        self, _: pb.ListToolsRequest, context: _Context
    ) -> pb.ListToolsResponse:
        return await _told(context, self._list_tools(context))

    async def Prepare(  # noqa: N802
        self, request: pb.PrepareRequest, context: _Context
    ) -> pb.PrepareResponse:
        return await _told(context, self._prepare(request, context))

    async def ListApprovals(  # noqa: N802
        self, _: pb.ListApprovalsRequest, context: _Context
    ) -> pb.ListApprovalsResponse:
        return await _told(context, self._list_approvals(context))

    async def DecideApproval(  # noqa: N802
        self, request: pb.DecideApprovalRequest, context: _Context
    ) -> pb.DecideApprovalResponse:
        return await _told(context, self._decide(request, context))

    # The generated stub knows only generators here; with one, grpc.aio would leave the closing of
    # the dispatcher's to the garbage collector. Writing ourselves closes it in this very task.
    async def ExecuteTool(  # type: ignore[override]  # noqa: N802
        self, request: pb.ExecuteToolRequest, context: _Context
    ) -> None:
        await _told(context, self._execute(request, context))

    async def _get_info(self) -> pb.GetInfoResponse:
        return info_to_wire(self._info)

    async def _list_tools(self, context: _Context) -> pb.ListToolsResponse:
        with anyio.fail_after(_other_s(context.time_remaining())):
            return specs_to_wire(await self._dispatcher.list_tools())

    async def _prepare(self, request: pb.PrepareRequest, context: _Context) -> pb.PrepareResponse:
        hint = hint_from_wire(request)
        if self._is_draining:
            return pb.PrepareResponse(prepared=False)
        with anyio.fail_after(_other_s(context.time_remaining())):
            return pb.PrepareResponse(prepared=await self._dispatcher.prepare(hint))

    async def _list_approvals(self, context: _Context) -> pb.ListApprovalsResponse:
        if self._approvals is None:
            return pb.ListApprovalsResponse()
        with anyio.fail_after(_other_s(context.time_remaining())):
            return approvals_to_wire(await self._approvals.list_approvals())

    async def _decide(
        self, request: pb.DecideApprovalRequest | None, context: _Context
    ) -> pb.DecideApprovalResponse:
        """Also while the worker drains: what waits is still running, and may yet be allowed."""
        if request is None:
            raise RequestError(UNREADABLE)
        if self._approvals is None:
            raise NotFound(NOT_WAITING_TEXT)
        with anyio.fail_after(_other_s(context.time_remaining())):
            by = request.by[:_MAX_BY_CHARS]
            await self._approvals.decide_approval(request.id, allow=request.allow, by=by)
        return pb.DecideApprovalResponse()

    async def _execute(self, request: pb.ExecuteToolRequest, context: _Context) -> None:
        call = request_from_wire(request)
        if self._is_draining:
            raise Draining(_DRAINING_TEXT)
        if len(self._scopes) >= MAX_CALLS:
            raise Overloaded("the tools worker has too many calls open; try again later")
        if call.credentials and (fault := self._credential_fault(call.credentials)):
            await self._refuse(call, _CREDENTIALS_TEXT.format(fault), context)
            return
        scope = anyio.CancelScope()
        self._enter(scope)
        try:
            await self._run(call, context, scope)
        finally:
            self._leave(scope)

    async def _refuse(self, call: ToolCall, text: str, context: _Context) -> None:
        result = text_result(call.tool_use_id, Status.INVALID_ARGUMENTS, text)
        deadline = Deadline.after(_execute_s(context.time_remaining()))
        await self._write(context, event_to_wire(result), deadline)

    async def _run(self, call: ToolCall, context: _Context, scope: anyio.CancelScope) -> None:
        deadline = Deadline.after(_execute_s(context.time_remaining()))
        is_answered = False
        with scope:
            async with aclosing(self._dispatcher.execute(call, deadline)) as events:
                async for event in events:
                    if is_answered:
                        raise LocalProtocolError("a dispatcher went on after its result")
                    is_answered = isinstance(event, ToolResult)
                    message = _within_limit(event_to_wire(event), call)
                    await self._write(context, message, deadline)
        if is_answered:
            return
        if not scope.cancelled_caught:
            raise LocalProtocolError("a dispatcher ended without a result")
        result = text_result(call.tool_use_id, Status.CANCELLED, _STOPPED_TEXT)
        await self._write(context, event_to_wire(result), deadline)

    async def _write(
        self, context: _Context, message: pb.ExecuteToolResponse, deadline: Deadline
    ) -> None:
        """Send one message. Raises ``DeadlineExceeded`` when the caller does not take it.

        A write is not cut off by a cancelled call: after half a message there could be no other.
        """
        patience_s = min(self._read_patience_s, deadline.remaining_s() + ANSWER_MARGIN_S)
        with anyio.move_on_after(patience_s, shield=True) as writing:
            await context.write(message)
        if writing.cancelled_caught:
            raise DeadlineExceeded("the caller does not read what the tools worker sends")

    def _enter(self, scope: anyio.CancelScope) -> None:
        if not self._scopes:
            self._idle = anyio.Event()
        self._scopes.add(scope)

    def _leave(self, scope: anyio.CancelScope) -> None:
        self._scopes.discard(scope)
        if not self._scopes:
            self._idle.set()


def _execute_s(remaining_s: float | None) -> float:
    """Seconds for the program: the caller's, less what sending the answer may take."""
    if remaining_s is None:
        return DEFAULT_EXECUTE_S
    return max(remaining_s - ANSWER_MARGIN_S, remaining_s / 2)


def _other_s(remaining_s: float | None) -> float:
    return DEFAULT_OTHER_S if remaining_s is None else remaining_s


def _within_limit(message: pb.ExecuteToolResponse, call: ToolCall) -> pb.ExecuteToolResponse:
    size_bytes = message.ByteSize()
    if size_bytes <= MAX_RESPONSE_BYTES:
        return message
    text = (
        f"The call ended, but its answer of {size_bytes} bytes is larger than the "
        f"{MAX_RESPONSE_BYTES} bytes that can be sent."
    )
    return event_to_wire(text_result(call.tool_use_id, Status.OUTPUT_LIMIT, text))


async def _told(context: _Context, work: Coroutine[Any, Any, _T]) -> _T:
    """``work``; whatever it raises becomes a status and a text of ours.

    A call that its caller cancelled stays cancelled. One whose dispatcher raises ``CancelledError``
    on its own account does not: grpc.aio would leave the caller waiting.
    """
    try:
        return await work
    except AuxotError as error:
        failure: BaseException = error
    except TimeoutError:
        failure = DeadlineExceeded("the tools worker did not answer in the time given")
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        failure = error
    except Exception as error:
        failure = error
    is_ours = not isinstance(failure, AuxotError) or isinstance(failure, LocalProtocolError)
    if is_ours:
        _log.error("a call failed for a reason of our own", exc_info=failure)
    return await context.abort(
        code_of(failure),
        INTERNAL_TEXT if is_ours else str(failure),
        NOT_RUN_METADATA if isinstance(failure, NOT_RUN_ERRORS) else (),
    )
