"""Where programs run: boxes, their limits, and what came of a program."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from auxot_tools.types import Deadline, InputFile, OutputChunk


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
