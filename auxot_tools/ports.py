"""The Protocols everything meets at. Adapters implement them; the core calls only them.

Contracts are in the docstrings, and ``tests/contract/`` holds a suite for each that every
implementation must pass.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from auxot_tools.types import (
    JSON,
    Artifact,
    CallEvent,
    CallHint,
    Deadline,
    InputFile,
    OutputChunk,
    Status,
    ToolCall,
    ToolResult,
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


class StopReason(StrEnum):
    """Why the worker itself ended a program. Absent when it ended on its own."""

    TIME_LIMIT = "time_limit"
    OUTPUT_LIMIT = "output_limit"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BoxLimits:
    """Ceilings of one box. Sizes in bytes; every value is positive."""

    timeout_s: float = 30.0
    memory_bytes: int = 512 * 2**20
    cpus: float = 1.0
    pids: int = 128
    open_files: int = 256
    disk_bytes: int = 64 * 2**20  # each of /tmp and /work
    disk_inodes: int = 4096  # each of /tmp and /work
    shm_bytes: int = 16 * 2**20
    output_bytes: int = 64 * 2**10  # kept of each stream, head and tail together
    output_stop_bytes: int = 256 * 2**20  # produced on both streams together; then it is stopped


Isolation = Literal["call", "warm", "session"]
Runtime = Literal["python", "node"]


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """What kind of box a call needs; equal specs may be served by the same kind of box.

    ``isolation``: ``call``, a container for this call alone; ``warm``, fresh namespaces in a
    container of this tenant's; ``session``, a container that keeps files and processes for this
    session. ``ready`` is the interpreter that should be waiting: any program runs in either box,
    and one that is waited for starts sooner. ``hosts`` are the only places on the network that the
    program can reach (``example.org``, ``*.example.org``, ``example.org:8443``); none: no network.
    """

    image: str
    limits: BoxLimits
    isolation: Isolation = "call"
    ready: Runtime = "python"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoxOwner:
    """Whose box it is. No box serves two tenants, and none that keeps anything two sessions."""

    tenant: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class CollectLimits:
    """Bounds of the files that are taken out of a box's /work/out when the program has ended."""

    files: int = 16
    file_bytes: int = 8 * 2**20
    total_bytes: int = 16 * 2**20  # a gRPC answer carries up to 64 MiB


@dataclass(frozen=True, slots=True)
class Program:
    """What to run in a box: the tool's own files land in /tool, the call's files in /work.

    With ``collect`` the regular files that lie in /work/out at the end come back. ``env`` is added
    to the program's environment: it may hold secrets, and is never in an argument list or a log.
    """

    command: tuple[str, ...]
    stdin: bytes
    tool_files: tuple[InputFile, ...] = ()
    work_files: tuple[InputFile, ...] = ()
    collect: CollectLimits | None = None
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a program left in /work/out; ``name`` is a plain name, chosen by the program."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file in /work/out that was not taken, and why.

    ``reason`` is one word: ``too_large``, ``not_a_file``, ``too_many``, ``total``, ``unreadable``,
    ``name``, or ``lost`` when the box ended before it was handed over.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SandboxOutcome:
    """What happened, as the engine and our own channel told it; nothing here is guessed.

    ``stopped`` is why *we* ended it. ``oom_killed`` is the kernel's word (also when only a child
    died). ``exit_code`` and ``signal`` exclude one another; both are ``None`` when the box went
    away without a word (``lost`` then says what was seen, in our words). ``stdout``/``stderr`` are
    what was kept, with ``stdout_omitted_bytes``/``stderr_omitted_bytes`` exact.
    ``not_started``: the program never ran, and ``lost`` says why. ``never_fits``: it never will,
    because the call itself is at fault. ``process_limit_hit``: a fork or thread was refused.
    """

    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    process_limit_hit: bool = False
    stopped: StopReason | None = None
    lost: str = ""
    not_started: bool = False
    never_fits: bool = False
    stdout: "KeptOutput | None" = None
    stderr: "KeptOutput | None" = None
    files: tuple[OutputFile, ...] = ()
    files_left_out: tuple[LeftOutFile, ...] = ()
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """The head and tail of a stream, and how much lay between; with 0, ``tail`` is empty."""

    head: bytes = b""
    tail: bytes = b""
    omitted_bytes: int = 0


class Box(Protocol):
    """One claimed box. Used by one task; ``release`` is called exactly once, whatever happened."""

    @property
    def id(self) -> str: ...

    @property
    def isolation(self) -> str: ...

    @property
    def notice(self) -> str:
        """What the model should know of this box, in a sentence: for example that its session was
        started anew, and why. Empty when there is nothing. Final once ``claim`` has returned.
        """
        ...

    def run(
        self, program: Program, deadline: Deadline
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        """Output as it comes, then exactly one ``SandboxOutcome``. Raises ``Unavailable``.

        The program may start before the first event is asked for.
        """
        ...

    async def cancel(self) -> None:
        """Kill everything in the box now; a running ``run`` then ends with ``CANCELLED``."""
        ...

    async def release(self) -> None:
        """Give the box up: it is destroyed or recycled. Bounded, never raises."""
        ...


class Sandbox(Protocol):
    """Where programs run."""

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> Box:
        """A box of this kind for this owner.

        Raises ``EngineUnavailable``, ``ImageMissing``, ``Unavailable`` or ``DeadlineExceeded``;
        then, and when cancelled, nothing is left behind.
        """
        ...

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:
        """A hint that a ``claim`` is about to come; whether it was made ready for. Never raises."""
        ...

    def problem(self) -> str:
        """Why no claim can succeed now, in a sentence for operators; empty when all is well."""
        ...

    async def close(self) -> None:
        """Remove every box this sandbox made. Bounded."""
        ...


class ModelResponse(Protocol):
    """An upstream's answer whose status is known and whose body has not been read."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Only headers that may go back to the client: rate limits, ``retry-after``, request id."""
        ...

    @property
    def content_type(self) -> str:
        """The header's value, parameters included; empty when there was none."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises ``RemoteProtocolError`` when it breaks off or stalls."""
        ...


class ModelClient(Protocol):
    """An upstream model that speaks the Messages dialect."""

    def send(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AbstractAsyncContextManager[ModelResponse]:
        """Send one Messages request; ``headers`` and ``query`` are the client's own.

        Raises ``UpstreamError`` (status and wording kept), ``Unavailable`` (not reached) or
        ``DeadlineExceeded`` (no answer in time). Retries only what is safe: nothing after the first
        byte of an answer. Leaving the context, or cancelling, drops the connection.
        """
        ...


class ModelServer(ModelClient, Protocol):
    """An upstream with what else one may ask of it."""

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        """The input tokens of a request; ``None`` when this server does not count.

        Raises what ``send`` raises.
        """
        ...

    async def list_models(self) -> Sequence[str]:
        """The ids of its models; empty when it does not tell. An answer proves that it is there.

        Raises ``Unavailable``, or ``RemoteProtocolError`` when it answers that it is not well.
        """
        ...


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round that an earlier attempt got through, in part or whole.

    ``turn`` holds the upstream's events, which make the turn again; ``results`` what its calls
    answered, by ``tool_use_id``. A call without a result was begun, and how it ended is not known.
    """

    turn: tuple[JSON, ...]
    results: Mapping[str, ToolResult]


class Attempt(Protocol):
    """One attempt at answering a request. Used by one request."""

    @property
    def past(self) -> Sequence[PastRound]:
        """What earlier attempts did, to go on from: none of it is to be done again."""
        ...

    @property
    def provider(self) -> str:
        """The name of the provider that the past rounds came from; empty when it is not known."""
        ...

    @property
    def answer(self) -> JSON | None:
        """The whole message, when an earlier attempt completed it and its client has not got it."""
        ...

    @property
    def can_be_repeated(self) -> bool:
        """Whether a repeat of the request will find what this attempt did."""
        ...

    async def until_unwanted(self) -> None:
        """Wait, after its client has left, until nobody is interested in this attempt.

        At once when it has run no tool; else once no other attempt waits for it, nor comes to wait
        within a moment.
        """
        ...

    def note_turn(self, turn: Sequence[JSON], provider: str = "") -> None:
        """The calls of this turn, which came from ``provider``, are run from now on."""
        ...

    def note_result(self, result: ToolResult) -> None:
        """A call of the last noted turn has ended."""
        ...

    def complete(self, message: JSON) -> None:
        """The message is whole."""
        ...

    def delivered(self) -> None:
        """It has been sent. Unless its client had left, nothing of this attempt is used again."""
        ...


class Ledger(Protocol):
    """What attempts at a request have already done, so that its repeat does not do it again.

    ``owner`` is the key's name: what one key does neither finds nor displaces what another did.
    """

    def knows(self, owner: str, digest: bytes) -> bool:
        """Whether there is something to go on from, or an attempt to wait for."""
        ...

    def attempt(self, owner: str, digest: bytes) -> AbstractAsyncContextManager[Attempt]:
        """Begin an attempt at the request with this digest.

        Waits for another attempt at it that lives and has run tools, until its message is whole. An
        attempt that is left without ``complete``, or whose client had left before that, is kept for
        a while for the next one.
        """
        ...
