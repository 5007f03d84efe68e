"""What `POST /api/tools/v1/execute` says of a call's result.

One job: from a `ToolResult` to a status, headers and a JSON object in Auxot's shape, with what else
the result holds beside it. Pure. Must not know streams or requests.

A result that is an error is an error answer (`type`, `error`, `request_id`) with the same members:

    status of the result   HTTP   error.type              error.message
    invalid_arguments      400    invalid_request_error   the result's text
    denied                 403    permission_error        the result's text
    unknown_tool           404    not_found_error         no tools worker connected that ...
    unavailable            503    service_unavailable     the result's text; `retry-after`
    any other              500    tool_error              tool execution error: the result's text

`timed_out` is no 504: proxies replace such answers by pages of their own, and the output would be
lost. `x-should-retry: false` tells the official SDKs' kind of client not to run a call again that
was run; an `unavailable` call may be sent again only when it had not started.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

from auxot_tools.messages import exact_json
from auxot_tools.types import JSON, Artifact, Status, ToolResult

# Deeper text stays text: what it is put into adds levels, and `MAX_DEPTH` holds for the whole.
MAX_RESULT_DEPTH = 200
MAX_MESSAGE_CHARS = 4000  # of an error's message; `content` holds the whole text

_FAILURES: dict[Status, tuple[int, str]] = {
    Status.INVALID_ARGUMENTS: (400, "invalid_request_error"),
    Status.DENIED: (403, "permission_error"),
    Status.UNKNOWN_TOOL: (404, "not_found_error"),
    Status.UNAVAILABLE: (503, "service_unavailable"),
}
_TOOL_ERROR = (500, "tool_error")


@dataclass(frozen=True, slots=True)
class ExecuteAnswer:
    """An answer: `body` is the JSON object for the client."""

    status: int
    body: JSON
    headers: dict[str, str] = field(default_factory=dict)


def answer_of(
    tool: str, result: ToolResult, request_id: str, *, has_started: bool
) -> ExecuteAnswer:
    """The answer that tells `result` of a call of `tool`; `has_started`: its program was run."""
    body = _members(tool, result)
    if not result.is_error:
        return ExecuteAnswer(200, body)
    status, kind = _FAILURES.get(result.status, _TOOL_ERROR)
    error = {"type": kind, "message": _message(tool, result)}
    headers = {"x-should-retry": "false"}
    if result.status is Status.UNAVAILABLE and not has_started:
        headers = {"retry-after": "1"}
    told = {"type": "error", "error": error, "request_id": request_id}
    return ExecuteAnswer(status, told | body, headers)


def json_or_text(text: str) -> Any:
    """The value of `text` when all of it is JSON that we can carry, else the text itself."""
    try:
        value = exact_json.decode(text)
    except exact_json.InvalidJSON:
        return text
    return text if exact_json.is_deeper(value, MAX_RESULT_DEPTH) else value


def payload_bytes(result: ToolResult) -> int:
    """About how large its answer is, for whoever decides where to make it."""
    blocks = sum(map(_block_bytes, result.content))
    return blocks + sum(len(artifact.data) for artifact in result.artifacts)


def _block_bytes(block: JSON) -> int:
    source = block.get("source")
    held = source.get("data") if isinstance(source, dict) else block.get("text")
    return len(held) if isinstance(held, str) else 0


def _members(tool: str, result: ToolResult) -> JSON:
    told: JSON = {
        "tool": tool,
        "result": json_or_text(_text(result)),
        "content": list(result.content),
        "is_error": result.is_error,
        "status": str(result.status),
    }
    if result.exit_code is not None:
        told["exit_code"] = result.exit_code
    if result.signal is not None:
        told["signal"] = result.signal
    if result.output_handle:
        told["output_handle"] = result.output_handle
    if result.omitted_bytes:
        told["omitted_bytes"] = result.omitted_bytes
    if result.isolation:
        told["isolation"] = result.isolation
    return told | {
        "artifacts": [_artifact(artifact) for artifact in result.artifacts],
        "tool_use_id": result.tool_use_id,
        "duration_ms": round(result.duration_s * 1000),
    }


def _artifact(artifact: Artifact) -> JSON:
    return {
        "name": artifact.name,
        "media_type": artifact.media_type,
        "data": base64.b64encode(artifact.data).decode(),
    }


def _text(result: ToolResult) -> str:
    texts = [block.get("text") for block in result.content if block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _message(tool: str, result: ToolResult) -> str:
    if result.status is Status.UNKNOWN_TOOL:
        return f'no tools worker connected that supports "{tool}"'
    text = _text(result)
    if result.status not in _FAILURES:
        text = f"tool execution error: {text}"
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}…"
