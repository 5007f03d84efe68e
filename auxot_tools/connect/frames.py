"""The frames of an Auxot router and its tools workers: bytes to frozen values, values to bytes.

One job: that, both ways. Pure. It must not know sockets, jobs that run, or tools. Facts: Auxot's
wire protocol as of May 2026 (its `pkg/protocol`): JSON, one message a frame, `type` says which;
readers ignore unknown fields and the case of names, as Go's decoder does.

    we send   hello, heartbeat, tool_result, policy_reloaded, validate_configuration_result
    we read   hello_ack, heartbeat_ack, tool_job, reload_policy, validate_configuration, cancel,
              error; anything else is an `Unknown`
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auxot_tools.connect.folded import Fields, WrongKind
from auxot_tools.connect.shown import Shown
from auxot_tools.connect.torn import outer_texts
from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages import exact_json
from auxot_tools.messages.exact_json import InvalidJSON
from auxot_tools.types import JSON

# A job's arguments may be as large as a whole Messages request (32 MB), and JSON in JSON grows.
MAX_FRAME_BYTES = 40 * 2**20
# Of an id or a name that we keep; Auxot's have at most 45. `tool_call_id` is the model's server's,
# and only told again.
MAX_ID_CHARS = 1024
MAX_ERROR_CHARS = 2000  # of a router's error that is shown
MAX_POLICY_TOOLS = 10_000
MAX_CREDENTIALS = 64
_MCP_FIELDS = ("mcp_package", "mcp_version", "mcp_url", "mcp_transport", "mcp_headers")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a connector key allows. ``mcp_servers`` is how many it names; we run none."""

    allowed_tools: frozenset[str]
    mcp_servers: int = 0


@dataclass(frozen=True, slots=True)
class HelloAck:
    success: bool
    worker_id: str = ""
    policy: Policy | None = None
    error: str = ""
    reconnect_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolJob:
    """One job. ``arguments`` is JSON text. ``fault`` says why it cannot be run as it came."""

    job_id: str
    parent_job_id: str = ""
    thread_id: str = ""
    tool_name: str = ""
    tool_call_id: str = ""
    arguments: bytes = b"{}"
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_mcp: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ReloadPolicy:
    """``fault`` says why the policy could not be read; it then allows nothing."""

    policy: Policy
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ValidateConfiguration:
    request_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    job_id: str


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """The router refuses us, or says that something failed."""

    error: str


@dataclass(frozen=True, slots=True)
class HeartbeatAck:
    pass


@dataclass(frozen=True, slots=True)
class Unknown:
    type: str


Frame = (
    HelloAck
    | ToolJob
    | ReloadPolicy
    | ValidateConfiguration
    | Cancel
    | ErrorFrame
    | HeartbeatAck
    | Unknown
)


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What is answered to a job: ``result`` (any JSON), or ``error`` when it is not empty.

    ``images`` are pairs of media type and base64 text.
    """

    result: Any = None
    error: str = ""
    images: Sequence[tuple[str, str]] = ()


def decode(data: bytes | str, shown: Shown = Shown()) -> Frame:  # noqa: B008 - a frozen value
    """The frame that ``data`` holds; ``shown`` is how texts that people see are written.

    Raises `RemoteProtocolError`, whose text quotes nothing; not for a job that has a usable id, nor
    for a policy: these say what is the matter with them.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise RemoteProtocolError(f"a frame of more than {MAX_FRAME_BYTES} bytes")
    try:
        fields = Fields.of(exact_json.decode(data), "a frame")
        kind = fields.text("type")
        read = _READERS.get(kind)
        return Unknown(shown.text(kind, 60)) if read is None else read(fields, shown)
    except InvalidJSON as fault:
        return _torn(data, str(fault))
    except WrongKind as fault:
        raise RemoteProtocolError(f"a frame in which {fault}") from None


def _torn(data: bytes | str, fault: str) -> Frame:
    """What a frame that is no JSON, or none that we carry, was meant to be."""
    texts = outer_texts(data)
    kind = texts.get("type")
    if kind == "tool_job" and 0 < len(texts.get("job_id", "")) <= MAX_ID_CHARS:
        job = _named(lambda name: texts.get(name, ""))
        return _checked(replace(job, fault=f"The job cannot be read: {fault}."))
    if kind == "reload_policy":
        return ReloadPolicy(_NOTHING, fault)
    raise RemoteProtocolError("a frame that is not JSON")


def _hello_ack(fields: Fields, shown: Shown) -> HelloAck:
    policy = _policy(fields.object("tools_policy")) if "tools_policy" in fields else None
    return HelloAck(
        fields.flag("success"),
        shown.text(fields.text("gpu_id"), 100),
        policy,
        shown.text(fields.text("error"), MAX_ERROR_CHARS),
        max(0.0, fields.number("reconnectinseconds")),
    )


def _named(text: Callable[[str], str]) -> ToolJob:
    """A job with the ids and names that ``text`` gives."""
    return ToolJob(
        text("job_id"),
        text("parent_job_id"),
        text("thread_id"),
        text("tool_name"),
        text("tool_call_id"),
    )


def _tool_job(fields: Fields, _shown: Shown) -> ToolJob:
    """A job without a usable id cannot be answered: that one is no frame at all."""
    if not 0 < len(fields.text("job_id")) <= MAX_ID_CHARS:
        raise WrongKind(f"job_id is missing or longer than {MAX_ID_CHARS} characters")
    wrong: list[WrongKind] = []
    job = _named(lambda name: _text_or_none(fields, name, wrong))
    job = replace(job, is_mcp=any(fields.any(name) for name in _MCP_FIELDS))
    given = fields.any("arguments")
    try:
        arguments = b"{}" if given is None else exact_json.encode(given)
        credentials = fields.text_map("credentials")
        if wrong:
            raise wrong[0]
    except InvalidJSON as fault:
        return replace(job, fault=f"The arguments cannot be read: {fault}.")
    except WrongKind as fault:
        return replace(job, fault=f"The job cannot be read: {fault}.")
    if len(credentials) > MAX_CREDENTIALS:
        return replace(job, fault=f"The job has more than {MAX_CREDENTIALS} credentials.")
    return _checked(replace(job, arguments=arguments, credentials=credentials))


def _text_or_none(fields: Fields, name: str, wrong: list[WrongKind]) -> str:
    """The text; empty where there is something else, which is noted in ``wrong``."""
    try:
        return fields.text(name)
    except WrongKind as fault:
        wrong.append(fault)
        return ""


def _checked(job: ToolJob) -> ToolJob:
    """The job, with a fault where a name is longer than any is."""
    for name in ("parent_job_id", "thread_id", "tool_name"):
        if len(getattr(job, name)) > MAX_ID_CHARS and not job.fault:
            text = f"The job cannot be read: {name} is longer than {MAX_ID_CHARS} characters."
            return replace(job, arguments=b"{}", credentials={}, fault=text)
    return job


def _policy(fields: Fields) -> Policy:
    names = fields.texts("allowed_tools")
    servers = fields.any("mcp_servers")
    if len(names) > MAX_POLICY_TOOLS:
        raise WrongKind(f"allowed_tools names more than {MAX_POLICY_TOOLS} tools")
    return Policy(frozenset(names), len(servers) if isinstance(servers, list) else 0)


_NOTHING = Policy(frozenset())


def _reload_policy(fields: Fields, _shown: Shown) -> ReloadPolicy:
    """A policy that cannot be read may have taken a tool away, so it allows none."""
    try:
        return ReloadPolicy(_policy(fields.object("policy")))
    except WrongKind as fault:
        return ReloadPolicy(_NOTHING, str(fault))


def _validate(fields: Fields, _shown: Shown) -> ValidateConfiguration:
    return ValidateConfiguration(fields.text("request_id")[:MAX_ID_CHARS])


def _cancel(fields: Fields, _shown: Shown) -> Cancel:
    return Cancel(fields.text("job_id"))


def _error(fields: Fields, shown: Shown) -> ErrorFrame:
    return ErrorFrame(shown.text(fields.text("error"), MAX_ERROR_CHARS))


_READERS: Mapping[str, Callable[[Fields, Shown], Frame]] = {
    "hello_ack": _hello_ack,
    "heartbeat_ack": lambda _fields, _shown: HeartbeatAck(),
    "tool_job": _tool_job,
    "reload_policy": _reload_policy,
    "validate_configuration": _validate,
    "cancel": _cancel,
    "error": _error,
}


def hello(key: str, tools: Sequence[str]) -> bytes:
    """The first frame. The key travels in `gpu_key`, whichever kind of worker says hello."""
    return exact_json.encode(
        {
            "type": "hello",
            "gpu_key": key,
            "worker_type": "tools",
            "capabilities": {"backend": "", "model": "", "ctx_size": 0},
            "tools_capabilities": {"tools": list(tools)},
        }
    )


HEARTBEAT = b'{"type":"heartbeat"}'


def tool_result(job: ToolJob, answer: JobAnswer, duration_ms: int) -> bytes:
    """The answer to ``job``. What would be larger than a frame becomes an error that says so."""
    told = _answered(job, duration_ms)
    if answer.error:
        told["error"] = answer.error
    else:
        told["result"] = answer.result
    images = [{"mime_type": kind, "data": data} for kind, data in answer.images]
    try:
        frame = exact_json.encode(told | ({"image_parts": images} if images else {}))
    except InvalidJSON:
        return _instead(job, "The result is nested too deeply to be sent.", duration_ms)
    if len(frame) > MAX_FRAME_BYTES:
        text = f"The result has {len(frame)} bytes; at most {MAX_FRAME_BYTES} can be sent."
        return _instead(job, text, duration_ms)
    return frame


def _instead(job: ToolJob, error: str, duration_ms: int) -> bytes:
    return exact_json.encode(_answered(job, duration_ms) | {"error": error})


def _answered(job: ToolJob, duration_ms: int) -> JSON:
    return {
        "type": "tool_result",
        "job_id": job.job_id,
        "parent_job_id": job.parent_job_id,
        "tool_call_id": job.tool_call_id,
        "tool_name": job.tool_name,
        "duration_ms": max(0, duration_ms),
    }


def policy_reloaded(tools: Sequence[str]) -> bytes:
    """What is offered under the policy that was just applied."""
    return exact_json.encode({"type": "policy_reloaded", "advertised_tools": list(tools)})


def configuration_refused(request_id: str, error: str) -> bytes:
    """The answer to `validate_configuration`."""
    return exact_json.encode(
        {"type": "validate_configuration_result", "request_id": request_id, "error": error}
    )
