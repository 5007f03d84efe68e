"""Values to wire messages and back; pure.

Must not know channels, servers, status codes or clocks. Content blocks and schemas cross as JSON
text and come out equal: large integers and lone surrogates included.

Errors: a request that breaks the contract raises ``RequestError`` (the caller is told), a response
that does raises ``RemoteProtocolError`` (the worker broke it), and a value of ours that no message
can hold raises ``LocalProtocolError``.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from auxot_tools.errors import LocalProtocolError, RemoteProtocolError, RequestError
from auxot_tools.messages.exact_json import InvalidJSON, decode, encode
from auxot_tools.ports import WaitingCall
from auxot_tools.rpc.info import CONTRACT_VERSION, WorkerFacts, WorkerInfo
from auxot_tools.types import (
    JSON,
    Artifact,
    CallEvent,
    CallHint,
    CallLimits,
    InputFile,
    OutputChunk,
    Started,
    Status,
    StreamName,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from auxot_tools.v1 import tools_pb2 as pb

_STATUS_TO_WIRE: Final[dict[Status, "pb.Status.ValueType"]] = {
    Status.COMPLETED: pb.STATUS_COMPLETED,
    Status.UNKNOWN_TOOL: pb.STATUS_UNKNOWN_TOOL,
    Status.INVALID_ARGUMENTS: pb.STATUS_INVALID_ARGUMENTS,
    Status.TIMED_OUT: pb.STATUS_TIMED_OUT,
    Status.OUT_OF_MEMORY: pb.STATUS_OUT_OF_MEMORY,
    Status.PROCESS_LIMIT: pb.STATUS_PROCESS_LIMIT,
    Status.OUTPUT_LIMIT: pb.STATUS_OUTPUT_LIMIT,
    Status.CANCELLED: pb.STATUS_CANCELLED,
    Status.UNAVAILABLE: pb.STATUS_UNAVAILABLE,
    Status.INTERNAL: pb.STATUS_INTERNAL,
    Status.DENIED: pb.STATUS_DENIED,
}
_STATUS_FROM_WIRE: Final = {wire: status for status, wire in _STATUS_TO_WIRE.items()}

_STREAM_TO_WIRE: Final[dict[StreamName, "pb.OutputStream.ValueType"]] = {
    "stdout": pb.OUTPUT_STREAM_STDOUT,
    "stderr": pb.OUTPUT_STREAM_STDERR,
}
_STREAM_FROM_WIRE: Final = {wire: stream for stream, wire in _STREAM_TO_WIRE.items()}

_FILE_NAME_BYTES: Final = 255  # what Linux file systems hold
_SHOWN_INPUT_BYTES: Final = 4096  # of a waiting call's input: what a person reads; the contract's
MAX_CREDENTIALS: Final = 64  # of a call; the contract's, as many as a program can be given


UNREADABLE: Final = "the message is not the one that auxot_tools/v1/tools.proto has for this call"


def request_to_wire(call: ToolCall) -> pb.ExecuteToolRequest:
    """The message for ``call``. With credentials the tool's name stands beside them alone: a worker
    that does not know them then finds none, and refuses.
    """
    with _must_fit("call"):
        return pb.ExecuteToolRequest(
            tool_use_id=call.tool_use_id,
            tool_name="" if call.credentials else call.name,
            input_json=call.input_json,
            idempotency_key=call.idempotency_key,
            tenant=call.tenant,
            session=call.session,
            limits=pb.CallLimits(
                timeout_s=call.limits.timeout_s, output_bytes=call.limits.output_bytes
            ),
            files=[pb.InputFile(name=file.name, data=file.data) for file in call.files],
            trace_context=dict(call.trace_context),
            request_id=call.request_id,
            credentials=_credentials_to_wire(call),
        )


def request_from_wire(message: pb.ExecuteToolRequest | None) -> ToolCall:
    """The call in ``message``; ``None``: it was no protobuf. Raises ``RequestError``.

    Of credentials at most one more than ``MAX_CREDENTIALS`` comes along; whoever takes the call
    judges them.
    """
    if message is None:
        raise RequestError(UNREADABLE)
    tool_name = _tool_name(message)
    for field, value in (("tool_use_id", message.tool_use_id), ("tool_name", tool_name)):
        if not value:
            raise RequestError(f"`{field}` is empty; every call must carry it")
    return ToolCall(
        tool_use_id=message.tool_use_id,
        name=tool_name,
        input_json=message.input_json,
        idempotency_key=message.idempotency_key,
        tenant=message.tenant,
        session=message.session,
        limits=_limits_from_wire(message.limits),
        files=tuple(_file_from_wire(file) for file in message.files),
        trace_context=dict(message.trace_context),
        request_id=message.request_id,
        credentials=dict(islice(message.credentials.values.items(), MAX_CREDENTIALS + 1)),
    )


def hint_to_wire(hint: CallHint) -> pb.PrepareRequest:
    """The message for ``hint``."""
    with _must_fit("hint"):
        return pb.PrepareRequest(tool_name=hint.name, tenant=hint.tenant, session=hint.session)


def hint_from_wire(message: pb.PrepareRequest | None) -> CallHint:
    """The hint in ``message``; ``None``: it was no protobuf. Raises ``RequestError``."""
    if message is None:
        raise RequestError(UNREADABLE)
    if not message.tool_name:
        raise RequestError("`tool_name` is empty; a hint must name the tool it is about")
    return CallHint(message.tool_name, message.tenant, message.session)


def specs_to_wire(specs: Sequence[ToolSpec]) -> pb.ListToolsResponse:
    """The message that lists ``specs``, in their order."""
    with _must_fit("list of tools"):
        return pb.ListToolsResponse(
            tools=[
                pb.ToolSpec(
                    name=spec.name,
                    title=spec.title,
                    description=spec.description,
                    input_schema_json=json_to_wire(spec.input_schema),
                    idempotent=spec.idempotent,
                    parallel=spec.parallel,
                    stateful=spec.stateful,
                )
                for spec in specs
            ]
        )


def specs_from_wire(message: pb.ListToolsResponse) -> tuple[ToolSpec, ...]:
    """The tools in ``message``, in its order. Raises ``RemoteProtocolError``."""
    return tuple(
        ToolSpec(
            name=tool.name,
            description=tool.description,
            input_schema=json_from_wire(tool.input_schema_json),
            title=tool.title,
            idempotent=tool.idempotent,
            parallel=tool.parallel,
            stateful=tool.stateful,
        )
        for tool in message.tools
    )


def info_to_wire(info: WorkerInfo) -> pb.GetInfoResponse:
    """The message that tells ``info``."""
    with _must_fit("worker information"):
        return pb.GetInfoResponse(
            contract_version=CONTRACT_VERSION,
            capabilities=info.capabilities,
            free_slots=info.free_slots,
            total_slots=info.total_slots,
            waiting_calls=info.waiting_calls,
            worker_id=info.worker_id,
            software_version=info.software_version,
        )


def info_from_wire(message: pb.GetInfoResponse) -> WorkerFacts:
    """What ``message`` tells of a worker."""
    return WorkerFacts(
        worker_id=message.worker_id,
        software_version=message.software_version,
        capabilities=tuple(message.capabilities),
        free_slots=message.free_slots,
        total_slots=message.total_slots,
        waiting_calls=message.waiting_calls,
        contract_version=message.contract_version,
    )


def approvals_to_wire(waiting: Sequence[WaitingCall]) -> pb.ListApprovalsResponse:
    """The message that lists ``waiting``, in their order."""
    with _must_fit("list of approvals"):
        return pb.ListApprovalsResponse(
            approvals=[
                pb.Approval(
                    id=call.id,
                    tool_name=call.tool_name,
                    tenant=call.tenant,
                    input_json=call.input_json[:_SHOWN_INPUT_BYTES],
                    waited_s=call.waited_s,
                    left_s=call.left_s,
                )
                for call in waiting
            ]
        )


def approvals_from_wire(message: pb.ListApprovalsResponse) -> tuple[WaitingCall, ...]:
    """The waiting calls in ``message``, in its order. Raises ``RemoteProtocolError``."""
    return tuple(_waiting_from_wire(approval) for approval in message.approvals)


def _waiting_from_wire(message: pb.Approval) -> WaitingCall:
    if not (math.isfinite(message.waited_s) and math.isfinite(message.left_s)):
        raise RemoteProtocolError("the worker sent a time that is no number of seconds")
    return WaitingCall(
        id=message.id,
        tool_name=message.tool_name,
        tenant=message.tenant,
        input_json=message.input_json,
        waited_s=message.waited_s,
        left_s=message.left_s,
    )


def decision_to_wire(approval_id: str, *, allow: bool, by: str) -> pb.DecideApprovalRequest:
    """The message for an operator's answer."""
    with _must_fit("decision"):
        return pb.DecideApprovalRequest(id=approval_id, allow=allow, by=by)


def event_to_wire(event: CallEvent) -> pb.ExecuteToolResponse:
    """The message for ``event``."""
    with _must_fit("event"):
        if isinstance(event, Started):
            started = pb.Started(
                tool_use_id=event.tool_use_id, box_id=event.box_id, isolation=event.isolation
            )
            return pb.ExecuteToolResponse(started=started)
        if isinstance(event, OutputChunk):
            stream = _STREAM_TO_WIRE[event.stream]
            output = pb.Output(stream=stream, data=event.data, sequence=event.sequence)
            return pb.ExecuteToolResponse(output=output)
        return pb.ExecuteToolResponse(completed=_result_to_wire(event))


def event_from_wire(message: pb.ExecuteToolResponse) -> CallEvent | None:
    """The event in ``message``; ``None`` for one that a newer worker knows and we do not.

    Raises ``RemoteProtocolError``.
    """
    kind = message.WhichOneof("event")
    if kind == "started":
        started = message.started
        return Started(started.tool_use_id, started.box_id, started.isolation)
    if kind == "output":
        stream = _STREAM_FROM_WIRE.get(message.output.stream)
        if stream is None:
            return None
        return OutputChunk(stream, message.output.data, message.output.sequence)
    if kind == "completed":
        return _result_from_wire(message.completed)
    return None


def json_to_wire(value: JSON) -> bytes:
    """``value`` as UTF-8 JSON text, keys in their order. Raises ``LocalProtocolError``."""
    try:
        return encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError("a value of ours cannot be written as JSON") from error


def json_from_wire(data: bytes) -> JSON:
    """The JSON object in ``data``, integers exact. Raises ``RemoteProtocolError``."""
    try:
        value = decode(data)
    except InvalidJSON as error:
        raise RemoteProtocolError(f"the worker sent text that is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RemoteProtocolError("the worker sent JSON that is not an object")
    return value


def _credentials_to_wire(call: ToolCall) -> pb.CallCredentials | None:
    if not call.credentials:
        return None
    return pb.CallCredentials(tool_name=call.name, values=dict(call.credentials))


def _tool_name(message: pb.ExecuteToolRequest) -> str:
    if not message.HasField("credentials"):
        return message.tool_name
    if message.tool_name:
        raise RequestError(
            "`tool_name` must be empty in a call with `credentials`, which names its tool in "
            "`credentials.tool_name`; an older worker would run it without them"
        )
    return message.credentials.tool_name


def _limits_from_wire(message: pb.CallLimits) -> CallLimits:
    timeout_s = message.timeout_s if message.HasField("timeout_s") else None
    if timeout_s is not None and not (math.isfinite(timeout_s) and timeout_s > 0):
        raise RequestError("`limits.timeout_s` must be a number of seconds above 0")
    return CallLimits(timeout_s, message.output_bytes if message.HasField("output_bytes") else None)


def _file_from_wire(message: pb.InputFile) -> InputFile:
    name = message.name
    is_plain = name not in {"", ".", ".."} and not {"/", "\0"}.intersection(name)
    if not is_plain or len(name.encode()) > _FILE_NAME_BYTES:
        raise RequestError(
            f"`files.name` must be a plain name without a folder, of 1 to {_FILE_NAME_BYTES} bytes"
        )
    return InputFile(name, message.data)


def _result_to_wire(result: ToolResult) -> pb.Completed:
    return pb.Completed(
        tool_use_id=result.tool_use_id,
        status=_STATUS_TO_WIRE[result.status],
        content_json=[json_to_wire(block) for block in result.content],
        exit_code=result.exit_code,
        signal=result.signal,
        omitted_bytes=result.omitted_bytes,
        isolation=result.isolation,
        artifacts=[
            pb.Artifact(name=artifact.name, media_type=artifact.media_type, data=artifact.data)
            for artifact in result.artifacts
        ],
        output_handle=result.output_handle,
        duration_s=result.duration_s,
        box_id=result.box_id,
    )


def _result_from_wire(message: pb.Completed) -> ToolResult:
    if not message.content_json:
        raise RemoteProtocolError("the worker sent a result without content")
    return ToolResult(
        tool_use_id=message.tool_use_id,
        # A status that a newer worker knows and we do not is a failure we cannot name.
        status=_STATUS_FROM_WIRE.get(message.status, Status.INTERNAL),
        content=tuple(json_from_wire(block) for block in message.content_json),
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal if message.HasField("signal") else None,
        omitted_bytes=message.omitted_bytes,
        isolation=message.isolation,
        box_id=message.box_id,
        duration_s=message.duration_s,
        artifacts=tuple(
            Artifact(artifact.name, artifact.media_type, artifact.data)
            for artifact in message.artifacts
        ),
        output_handle=message.output_handle,
    )


@contextmanager
def _must_fit(what: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:  # out of range, a lone surrogate, a wrong type
        raise LocalProtocolError(f"this {what} does not fit into its message") from error
