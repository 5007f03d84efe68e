"""The values that cross every boundary: what a tool is, what a call is, what a result is.

Frozen, with no behaviour beyond small derived facts. They know nothing of gRPC, HTTP or Docker.
Units: durations are seconds (``_s``), sizes are bytes (``_bytes``).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

JSON = dict[str, Any]
StreamName = Literal["stdout", "stderr"]

TOOL_NAME_PATTERN = r"^[a-zA-Z0-9_-]{1,64}$"  # Messages API: the form of `tools[].name`


class Status(StrEnum):
    """How a call ended. Everything but ``COMPLETED`` makes the result an ``is_error`` result.

    ``COMPLETED`` includes a program that exited non-zero or died of a signal of its own: a failing
    program is not a failing tool.
    """

    COMPLETED = "completed"
    UNKNOWN_TOOL = "unknown_tool"  # no tool of that name here
    INVALID_ARGUMENTS = "invalid_arguments"  # the input does not fit the tool's schema
    DENIED = "denied"  # the operator's policy, or an operator who was asked, says no
    TIMED_OUT = "timed_out"  # stopped at its time limit
    OUT_OF_MEMORY = "out_of_memory"  # the kernel killed it, or a child of it, for memory
    PROCESS_LIMIT = "process_limit"  # it failed after a fork or thread was refused at the limit
    OUTPUT_LIMIT = "output_limit"  # stopped because it wrote too much
    CANCELLED = "cancelled"  # the caller left, or the worker is stopping
    UNAVAILABLE = "unavailable"  # worker, engine, image or slot not to be had; may work later
    INTERNAL = "internal"  # our fault


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool, and what a scheduler must know of it.

    ``stateful``: a call may find what an earlier call of its session left (files, a shell).
    """

    name: str
    description: str
    input_schema: JSON
    title: str = ""
    idempotent: bool = False  # running it twice has the effect of running it once
    parallel: bool = True  # calls of it may run side by side
    stateful: bool = False


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file given to a call. ``name`` is a plain name, without a folder."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What the caller grants a call; ``None`` leaves the tool's own limit. The minimum wins."""

    timeout_s: float | None = None
    output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One accepted ``tool_use``.

    ``input_json`` is the text of the input exactly as the model wrote it: cut JSON and duplicate
    keys arrive as they are and are judged by the worker. ``tenant`` and ``session`` say whose call
    it is: nothing is ever shared between two tenants, nor between two sessions of one.
    ``request_id`` names the client's request that it serves, by which uses are counted; empty: a
    request of its own. ``credentials`` are the caller's for this one call, by name: they win over
    the worker's own; gRPC carries them where nobody can read along.
    """

    tool_use_id: str
    name: str
    input_json: bytes
    idempotency_key: str = ""
    tenant: str = ""
    session: str = ""
    limits: CallLimits = CallLimits()
    files: tuple[InputFile, ...] = ()
    trace_context: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CallHint:
    """A call of this tool, for this tenant and session, is about to come."""

    name: str
    tenant: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a call left behind."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Started:
    """The call is valid, has a slot, and its program runs. ``box_id`` names the container."""

    tool_use_id: str
    box_id: str = ""
    isolation: str = ""


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """Output as it comes. ``sequence`` counts from 0 over both streams of one call."""

    stream: StreamName
    data: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The one answer to a ``ToolCall``.

    ``content`` holds Messages content blocks (``text``, ``image``) for the model, never empty.
    ``omitted_bytes`` counts output that was produced and is not in ``content``.
    """

    tool_use_id: str
    status: Status
    content: tuple[JSON, ...]
    exit_code: int | None = None
    signal: int | None = None
    omitted_bytes: int = 0
    isolation: str = ""
    box_id: str = ""
    duration_s: float = 0.0
    artifacts: tuple[Artifact, ...] = ()
    output_handle: str = ""

    @property
    def is_error(self) -> bool:
        return self.status is not Status.COMPLETED

    @property
    def text(self) -> str:
        """The texts of ``content``, joined; images are left out."""
        texts = (one.get("text", "") for one in self.content if one.get("type") == "text")
        return "".join(str(text) for text in texts)


CallEvent = Started | OutputChunk | ToolResult


def text_result(tool_use_id: str, status: Status, text: str) -> ToolResult:
    """A result that says one thing in words; for failures that happen before a program runs."""
    return ToolResult(tool_use_id, status, ({"type": "text", "text": text},))


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute instant on the monotonic clock, made once at the edge and handed down."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def sooner(self, other: "Deadline") -> "Deadline":
        return self if self.at <= other.at else other
