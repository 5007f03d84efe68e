"""How fast boxes are on this machine, against bare starts of Python in the same run.

One job: to time calls through any `ports.Sandbox`. It must not know the engine, and prints nothing.
Only ratios are worth keeping: a busy machine slows both sides alike. So the two are interleaved,
and each measured call waits, bounded, until the machine has done what the call before it left.
"""

import math
import subprocess
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from auxot_tools.errors import DeadlineExceeded, Unavailable
from auxot_tools.ports import (
    Box,
    BoxLimits,
    BoxOwner,
    BoxSpec,
    Isolation,
    Program,
    Runtime,
    Sandbox,
    SandboxOutcome,
)
from auxot_tools.types import Deadline, InputFile

BARE_PYTHON: Final = ("/usr/bin/python3", "-c", "print(6*7)")
EXPECTED: Final = b"42\n"  # what every workload prints
MODES: Final[tuple[Isolation, ...]] = ("call", "warm", "session")
CALL_LIMIT_S: Final = 60.0  # no call of a measurement is worth waiting longer for

_BARE_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_QUIET_LIMIT_S = 4.0  # what a call leaves behind (a removal, a refill) took 0.6 s on two cores
_LOOK_S = 0.05  # between two looks at the CPU: five of the kernel's ticks
_QUIET_SHARE = 0.2  # of all CPUs; a tick or two of others is noise
_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)  # idle, iowait: of the first line of /proc/stat, its name left out


@dataclass(frozen=True, slots=True)
class Workload:
    """A small program, and the interpreter that should be waiting for it."""

    ready: Runtime
    program: Program


WORKLOADS: Final[dict[str, Workload]] = {
    "python": Workload("python", Program(("python3", "-c", "print(6*7)"), b"")),
    "javascript": Workload(
        "node",
        Program(
            ("node", "/work/main.cjs"),
            b"",
            work_files=(InputFile("main.cjs", b"console.log(6*7)\n"),),
        ),
    ),
    "bash": Workload("python", Program(("bash", "-c", "echo $((6*7))"), b"")),
}


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds from the claim: to the first output, and until the box was given back."""

    first_output_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class ModeSpeed:
    """Medians of one isolation mode. ``problem``: why there are none, in a sentence."""

    mode: Isolation
    first_output_s: float = 0.0
    total_s: float = 0.0
    ratio: float = 0.0  # of `total_s` to a bare start
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Speeds:
    """What one measurement gave."""

    bare_s: float
    modes: tuple[ModeSpeed, ...]


class WrongAnswer(Exception):
    """A measured program did not print what it should: its time means nothing."""


def bare_start_s(command: Sequence[str] = BARE_PYTHON, cwd: str = "/") -> float:
    """Seconds to start a program that prints 42 and to read it to its end. Blocking."""
    begun = time.perf_counter()
    # close_fds=False lets the kernel's cheapest way of starting be used (vfork).
    done = subprocess.run(  # noqa: S603 - a constant command
        command,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=_BARE_ENVIRONMENT,
        cwd=cwd,
        close_fds=False,
        check=False,
        timeout=CALL_LIMIT_S,
    )
    took_s = time.perf_counter() - begun
    if done.stdout != EXPECTED:
        raise WrongAnswer(f"{command[0]} printed {done.stdout[:80]!r}")
    return took_s


def spec_of(workload: Workload, mode: Isolation, image: str = "") -> BoxSpec:
    """The box that a measured call claims."""
    return BoxSpec(image, BoxLimits(), mode, workload.ready)


async def timed_call(
    sandbox: Sandbox, workload: Workload, mode: Isolation, owner: BoxOwner, image: str = ""
) -> CallTimes:
    """One call. Raises what `claim` and `run` raise, or `WrongAnswer`."""
    deadline = Deadline.after(CALL_LIMIT_S)
    first_s = 0.0
    outcome: SandboxOutcome | None = None
    begun = time.perf_counter()
    async with (
        claimed(sandbox, spec_of(workload, mode, image), owner, deadline) as box,
        aclosing(box.run(workload.program, deadline)) as events,
    ):
        async for event in events:
            if isinstance(event, SandboxOutcome):
                outcome = event
                break
            first_s = first_s or time.perf_counter() - begun
    total_s = time.perf_counter() - begun
    printed = outcome.stdout.head if outcome is not None and outcome.stdout is not None else b""
    if outcome is None or outcome.exit_code != 0 or printed != EXPECTED:
        raise WrongAnswer(f"a {mode} call ended with {outcome}")
    return CallTimes(first_s, total_s)


@asynccontextmanager
async def claimed(
    sandbox: Sandbox, spec: BoxSpec, owner: BoxOwner, deadline: Deadline
) -> AsyncGenerator[Box, None]:
    """A box for the length of a ``with``."""
    box = await sandbox.claim(spec, owner, deadline)
    try:
        yield box
    finally:
        with anyio.CancelScope(shield=True):  # bounded by the port's contract
            await box.release()


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that ``part`` (0 to 1) of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def busy_and_idle_ticks() -> tuple[int, int]:
    """What all CPUs of this machine have done since its start, in ticks; zeros without /proc."""
    try:
        first = _STAT.read_text("ascii").partition("\n")[0]
    except OSError:
        return 0, 0
    ticks = [int(field) for field in first.split()[1:9]]  # the rest is counted in these already
    idle = sum(ticks[field] for field in _IDLE_FIELDS)
    return sum(ticks) - idle, idle


async def until_quiet(within_s: float = _QUIET_LIMIT_S) -> None:
    """Wait until the CPUs have little to do; at most ``within_s``."""
    with anyio.move_on_after(within_s):
        before = busy_and_idle_ticks()
        while True:
            await anyio.sleep(_LOOK_S)  # the kernel has no event for idleness
            now = busy_and_idle_ticks()
            busy, idle = now[0] - before[0], now[1] - before[1]
            if busy <= _QUIET_SHARE * (busy + idle):
                return
            before = now


async def measure(
    sandbox: Sandbox, calls: int, image: str = "", quiet_within_s: float = _QUIET_LIMIT_S
) -> Speeds:
    """Each mode's Python call, ``calls`` times, each next to a bare start of Python.

    Before each it waits up to ``quiet_within_s`` for an idle machine. A mode that cannot be had is
    told in its `problem`. Raises `WrongAnswer`.
    """
    workload = WORKLOADS["python"]
    owner = BoxOwner("auxot-bench", "auxot-bench")
    problems: dict[Isolation, str] = {}
    for mode in MODES:  # boxes and caches
        try:
            await timed_call(sandbox, workload, mode, owner, image)
        except (Unavailable, DeadlineExceeded) as error:
            problems[mode] = str(error)
    bare: list[float] = []
    times: dict[Isolation, list[CallTimes]] = {mode: [] for mode in MODES}
    for _ in range(calls):
        await until_quiet(quiet_within_s)
        bare.append(await anyio.to_thread.run_sync(bare_start_s))
        for mode in MODES:
            if mode not in problems:
                await until_quiet(quiet_within_s)
                times[mode].append(await timed_call(sandbox, workload, mode, owner, image))
    bare_s = percentile(bare, 0.5)
    speeds = (_speed(mode, times[mode], bare_s, problems.get(mode, "")) for mode in MODES)
    return Speeds(bare_s, tuple(speeds))


def _speed(mode: Isolation, times: Sequence[CallTimes], bare_s: float, problem: str) -> ModeSpeed:
    if problem or not times:
        return ModeSpeed(mode, problem=problem)
    total_s = percentile([one.total_s for one in times], 0.5)
    first_s = percentile([one.first_output_s for one in times], 0.5)
    return ModeSpeed(mode, first_s, total_s, total_s / bare_s)
