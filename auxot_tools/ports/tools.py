"""Where calls go, what hosted tools are, who approves, and where long outputs are kept."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from auxot_tools.types import (
    JSON,
    Artifact,
    CallEvent,
    CallHint,
    Deadline,
    Status,
    ToolCall,
    ToolSpec,
)


class ToolDispatcher(Protocol):
    """Where calls go: an executor in this process, or a worker behind gRPC."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools that can be called, ordered by name. Raises ``Unavailable``."""
        ...

    async def prepare(self, hint: CallHint) -> bool:
        """A hint that a call is about to come. Never raises, never waits for long (1 s).

        Whether something was made ready for it; `False` is no failure.
        """
        ...

    def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        """Run one call: at most one ``Started``, any ``OutputChunk``, then one ``ToolResult``.

        Never raises for what a tool, a worker or an engine does: that is in the result's status.
        Closing the generator, or cancelling its task, stops the program and frees its slot.
        """
        ...


@dataclass(frozen=True, slots=True)
class HostedCall:
    """A call of a hosted tool: its arguments fit the tool's schema, and the policy allows it.

    ``credentials`` are this tool's own, by name; they appear nowhere else.
    """

    tool_use_id: str
    arguments: JSON
    tenant: str = ""
    session: str = ""
    request_id: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HostedAnswer:
    """What a hosted tool says to the model.

    ``content`` holds ``text`` and ``image`` blocks. Text may be of any length: whoever called cuts
    it to the call's limits and keeps the rest for `read_output`.
    """

    content: tuple[JSON, ...]
    status: Status = Status.COMPLETED
    artifacts: tuple[Artifact, ...] = ()

    @classmethod
    def of(cls, text: str, status: Status = Status.COMPLETED) -> "HostedAnswer":
        """An answer of one text."""
        return cls(({"type": "text", "text": text},), status)


class HostedTool(Protocol):
    """What a tool does that runs on our side, behind a `tool.json` with `runs: host`."""

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """The tool's answer. What goes wrong is said in it, with a status.

        An exception is a fault of ours. Cancelled when the time is over or the caller leaves.
        """
        ...


class KeptOutputs(Protocol):
    """Outputs too long for a result, kept for a while for `read_output`."""

    def keep(self, tenant: str, output: str) -> str:
        """Keep an output for its tenant; the handle to read it with, empty without room.

        It is kept as far as there is room for it, from its beginning.
        """
        ...


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call that waits for an operator's yes. ``input_json`` is cut to 4 KiB."""

    id: str
    tool_name: str
    tenant: str
    input_json: bytes
    waited_s: float
    left_s: float


class Approvals(Protocol):
    """The calls that wait for an operator, here or on a worker behind gRPC."""

    async def list_approvals(self) -> Sequence[WaitingCall]:
        """Those that wait now, oldest first. Raises ``Unavailable``."""
        ...

    async def decide_approval(self, approval_id: str, *, allow: bool, by: str = "") -> None:
        """Let a waiting call run, or refuse it; ``by`` says who decided, for the audit log.

        Raises ``NotFound`` when no such call waits (any more), or ``Unavailable``.
        """
        ...
