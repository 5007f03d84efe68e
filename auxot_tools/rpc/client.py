"""A worker used from afar: ``RemoteDispatcher`` is a ``ToolDispatcher`` and ``Approvals`` by gRPC.

Must not know what a worker does with a call, nor where settings come from. Every RPC carries a
deadline. No unary call of grpc.aio is awaited where a cancel scope could end the waiting: it would
answer with a ``CancelledError`` of its own, which no scope recognises.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from auxot_tools.errors import LocalProtocolError, NotFound, RemoteProtocolError, Unavailable
from auxot_tools.ports import WaitingCall
from auxot_tools.rpc.convert import (
    approvals_from_wire,
    decision_to_wire,
    event_from_wire,
    hint_to_wire,
    info_from_wire,
    request_to_wire,
    specs_from_wire,
)
from auxot_tools.rpc.info import WorkerFacts
from auxot_tools.rpc.limits import ANSWER_MARGIN_S, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from auxot_tools.rpc.status import (
    NOT_RUN_KEY,
    NOT_WAITING_TEXT,
    OLDER_TEXT,
    call_failure,
    unavailable_text,
)
from auxot_tools.rpc.target import WorkerTarget, channel_credentials
from auxot_tools.types import (
    CallEvent,
    CallHint,
    Deadline,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
    text_result,
)
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import ToolsStub

if TYPE_CHECKING:  # known to the generated stub file alone
    from auxot_tools.v1.tools_pb2_grpc import ToolsAsyncStub

LIST_S: Final = 5.0  # a worker answers from memory
HEALTH_S: Final = 1.0  # the same, and who asks is a probe that waits for few seconds
PREPARE_S: Final = 1.0  # a hint is worth no more waiting; the port's promise
REACH_S: Final = 2.5  # longer than the longest pause between two attempts to connect
_MAX_ID_CHARS = 100  # of an approval; ours have 12
_END_S: Final = 1.0  # for the stream to end by itself after its result

_OPTIONS: Final = (
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also the least time that one attempt is given
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A worker machine that vanished without a word is noticed within 20 s, while calls run.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),  # a worker is ours: never asked for through the web's proxy
    ("grpc.use_local_subchannel_pool", 1),  # pauses between attempts are of this channel alone
)

_UNREACHABLE_TEXT: Final = "The tools worker cannot be reached. This call was not run."
_LATE_TEXT: Final = "This call's time had run out before it began. This call was not run."
_ODD_TEXT: Final = "The tools worker sent an answer that cannot be read."
_UNSENDABLE_TEXT: Final = "This call cannot be sent to the tools worker. This call was not run."
_OPEN_WAY_TEXT: Final = "The credentials of this call cannot be sent. {} This call was not run."
_NOT_SHOWN: Final = "(not shown: the call brought credentials)"
_EOF: Final[Any] = grpc.aio.EOF  # type: ignore[attr-defined]
_log = logging.getLogger(__name__)


class RemoteDispatcher:
    """The worker at one target. Used in one event loop; ``async with`` closes it.

    The channel is made at the first use, and again by itself when the worker comes back (pauses of
    at most 2 s). Raises ``ConfigError`` at construction when a PEM file cannot be used.
    """

    def __init__(self, target: WorkerTarget) -> None:
        self._target = target
        self._credentials = channel_credentials(target)
        self._metadata = (("authorization", f"Bearer {target.key}"),) if target.key else ()
        self._channel: grpc.aio.Channel | None = None
        self._is_closed = False

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The worker's tools. Raises ``Unavailable``, within ``LIST_S`` seconds."""
        answer = await self._asked("ListTools", pb.ListToolsRequest())
        try:
            return specs_from_wire(answer)
        except RemoteProtocolError as error:
            raise self._unavailable(grpc.StatusCode.INTERNAL) from error

    async def get_info(self) -> WorkerFacts:
        """What the worker is and has free. Raises ``Unavailable``, within ``LIST_S`` seconds."""
        return info_from_wire(await self._asked("GetInfo", pb.GetInfoRequest()))

    async def is_serving(self) -> bool:
        """Whether the worker says that it can run calls now, by gRPC's health protocol.

        One that does not speak it counts as serving. Raises ``Unavailable``, within ``HEALTH_S``.
        """
        stub = HealthStub(self._open())
        try:
            answer = await self._unary("Check", HealthCheckRequest(), HEALTH_S, stub=stub)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return True
            raise self._unavailable(error.code()) from None
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def list_approvals(self) -> Sequence[WaitingCall]:
        """See ``Approvals``. Raises ``Unavailable``, within ``LIST_S`` seconds."""
        answer = await self._asked("ListApprovals", pb.ListApprovalsRequest())
        try:
            return approvals_from_wire(answer)
        except RemoteProtocolError as error:
            raise self._unavailable(grpc.StatusCode.INTERNAL) from error

    async def decide_approval(self, approval_id: str, *, allow: bool, by: str = "") -> None:
        """See ``Approvals``. Raises ``NotFound``, or ``Unavailable`` within ``LIST_S`` seconds."""
        if len(approval_id) > _MAX_ID_CHARS:  # an error that repeats it could not be sent
            raise NotFound(NOT_WAITING_TEXT)
        try:
            request = decision_to_wire(approval_id, allow=allow, by=by)
            await self._unary("DecideApproval", request, LIST_S)
        except LocalProtocolError:  # a text that no message can hold is the id of no call
            raise NotFound(NOT_WAITING_TEXT) from None
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise NotFound(NOT_WAITING_TEXT) from None
            self._log_failure(error)
            raise self._unavailable(error.code()) from None

    async def prepare(self, hint: CallHint) -> bool:
        """See ``ToolDispatcher``: a hint that is lost is no failure."""
        try:
            answer = await self._unary("Prepare", hint_to_wire(hint), PREPARE_S)
        except (grpc.aio.AioRpcError, LocalProtocolError, Unavailable) as error:
            _log.debug("a hint was lost: %s", type(error).__name__)
            return False
        return bool(answer.prepared)

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        """See ``ToolDispatcher``. A worker's failure is the result's status too.

        A result that the worker did not give says whether the call may have run.
        """
        refusal, request = await self._ready(call, deadline)
        if refusal is not None:
            yield refusal
            return
        timeout_s = deadline.remaining_s() + ANSWER_MARGIN_S
        rpc = self._stub().ExecuteTool(request, timeout=timeout_s, metadata=self._metadata)
        try:
            while True:
                event = await self._next(rpc, call)
                if isinstance(event, ToolResult):
                    await _end(rpc)  # before the yield: readers stop at the result
                    yield event
                    return
                yield event
        finally:
            rpc.cancel()  # nothing to do when it has ended

    async def close(self) -> None:
        """Drop the connection; running calls end as ``UNAVAILABLE``. For good, and repeatable."""
        self._is_closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            with anyio.CancelScope(shield=True):  # bounded: without grace it waits for nobody
                await channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ready(
        self, call: ToolCall, deadline: Deadline
    ) -> tuple[ToolResult | None, pb.ExecuteToolRequest]:
        """The message for ``call`` once the worker is reached, or why the call is not sent."""
        request = pb.ExecuteToolRequest()
        if deadline.remaining_s() <= 0:
            return text_result(call.tool_use_id, Status.TIMED_OUT, _LATE_TEXT), request
        if call.credentials and (refusal := self._target.credentials_refusal):
            text = _OPEN_WAY_TEXT.format(refusal)
            return text_result(call.tool_use_id, Status.DENIED, text), request
        try:
            request = request_to_wire(call)
        except LocalProtocolError:
            return text_result(call.tool_use_id, Status.INTERNAL, _UNSENDABLE_TEXT), request
        size_bytes = request.ByteSize()
        if size_bytes > MAX_REQUEST_BYTES:
            text = (
                f"The input and files of this call are {size_bytes} bytes; at most "
                f"{MAX_REQUEST_BYTES} can be sent. This call was not run."
            )
            return text_result(call.tool_use_id, Status.INVALID_ARGUMENTS, text), request
        return await self._reached(call, deadline), request

    async def _reached(self, call: ToolCall, deadline: Deadline) -> ToolResult | None:
        """Make sure of a connection, so that a call that fails here was certainly not run."""
        try:
            if self._open().get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                return None
            within_s = min(REACH_S, deadline.remaining_s())
            await self._unary("GetInfo", pb.GetInfoRequest(), within_s, wait=True)
        except Unavailable:
            return text_result(call.tool_use_id, Status.UNAVAILABLE, _UNREACHABLE_TEXT)
        except grpc.aio.AioRpcError as error:
            self._log_failure(error)
            if error.code() in _NOT_CONNECTED:
                return text_result(call.tool_use_id, Status.UNAVAILABLE, _UNREACHABLE_TEXT)
            return _failed(call, error.code(), was_refused=True)
        return None

    async def _next(self, rpc: Any, call: ToolCall) -> CallEvent:
        """The next event; what breaks the stream becomes the call's result."""
        try:
            while True:
                message = await rpc.read()
                if message is _EOF:
                    _log.warning("the worker at %s ended a call without a result", self._target)
                    return _failed(call, grpc.StatusCode.UNAVAILABLE)
                event = event_from_wire(message)
                if isinstance(event, ToolResult) and event.tool_use_id != call.tool_use_id:
                    raise RemoteProtocolError("the result of another call")
                if event is not None:
                    return event
        except grpc.aio.AioRpcError as error:
            self._log_failure(error, hides_words=bool(call.credentials))
            metadata: Any = error.trailing_metadata() or ()
            return _failed(call, error.code(), was_refused=NOT_RUN_KEY in metadata)
        except RemoteProtocolError as error:
            _log.warning("the worker at %s broke the contract: %s", self._target, error)
            return text_result(call.tool_use_id, Status.INTERNAL, _ODD_TEXT)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _failed(call, grpc.StatusCode.CANCELLED)  # the channel was closed under us

    async def _asked(self, method: str, request: Any) -> Any:
        try:
            return await self._unary(method, request, LIST_S)
        except grpc.aio.AioRpcError as error:
            self._log_failure(error)
            raise self._unavailable(error.code()) from None

    async def _unary(
        self, method: str, request: Any, within_s: float, *, wait: bool = False, stub: Any = None
    ) -> Any:
        """One unary call, safe to cancel. Raises ``AioRpcError``; ``Unavailable`` when closed."""
        rpc = getattr(stub or self._stub(), method)(
            request, timeout=within_s, metadata=self._metadata, wait_for_ready=wait
        )
        done = anyio.Event()
        rpc.add_done_callback(lambda _: done.set())
        try:
            await done.wait()  # bounded by the RPC's own deadline
        finally:
            rpc.cancel()  # nothing to do when it is done
        with anyio.CancelScope(shield=True):  # the answer is here already
            return await rpc

    def _open(self) -> grpc.aio.Channel:
        if self._is_closed:
            raise Unavailable("the connection to the tools worker was closed on this side")
        if self._channel is None:
            address = str(self._target.address)
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
            else:
                self._channel = grpc.aio.secure_channel(address, self._credentials, _OPTIONS)
        return self._channel

    def _stub(self) -> "ToolsAsyncStub":
        return ToolsStub(self._open())

    def _unavailable(self, code: grpc.StatusCode) -> Unavailable:
        return Unavailable(unavailable_text(code, str(self._target)))

    def _log_failure(self, error: grpc.aio.AioRpcError, *, hides_words: bool = False) -> None:
        """``hides_words``: the worker was told what no log may hold, and could repeat it."""
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            _log.error(
                "the worker at %s refuses our key: set AUXOT_WORKER_KEY to the same value on both "
                "sides",
                self._target,
            )
            return
        _log.warning(
            "a call to the worker at %s failed: %s: %s",
            self._target,
            error.code().name,
            _NOT_SHOWN if hides_words else error.details(),
        )


_NOT_CONNECTED: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)


def _failed(call: ToolCall, code: grpc.StatusCode, *, was_refused: bool = False) -> ToolResult:
    status, text = call_failure(code, was_refused=was_refused)
    if call.credentials and was_refused and code is grpc.StatusCode.INVALID_ARGUMENT:
        text = OLDER_TEXT
    return text_result(call.tool_use_id, status, text)


async def _end(rpc: Any) -> None:
    """Let the stream end by itself, so that the worker does not take our leaving for a cancel."""
    try:
        with anyio.move_on_after(_END_S):
            while not rpc.done() and await rpc.read() is not _EOF:
                pass
    except grpc.aio.AioRpcError as error:
        _log.debug("after its result a call ended with %s", error.code().name)
