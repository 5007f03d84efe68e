"""Whether what a caller saw of a call is truthful, given what was broken meanwhile. Pure.

A completed call must be exactly right. Any other end must be the one that the call asked for (its
time or memory used up), or "unavailable" while something was broken, or not yet mended for long.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from auxot_tools.types import Status
from tests.chaos.calls import DEADLINE_S, LATE_LIMIT_S, NONCE, Seen

MENDING_S = 20.0  # from the end of a fault until it must not be felt any more
NOT_RUN = "This call was not run."
_COMPLETES = {"quick", "output", "exit", "sleep", "child"}
_TIME_LIMIT_S = 20.0  # of the tool
_NEARLY = 0.9


@dataclass(frozen=True)
class Fault:
    """Something broken on purpose: when, and until when it was held."""

    name: str
    begun: float
    ended: float
    detail: str = ""


@dataclass(frozen=True)
class Calm:
    """A time in which everything must work: all had been mended and nothing was broken."""

    begun: float
    ended: float


def problems(seen: Seen, faults: Sequence[Fault], calms: Sequence[Calm]) -> list[str]:
    """What is wrong with this call's outcome; empty when it is truthful."""
    if seen.left:
        return []
    found = [*_of_any_outcome(seen), *_of_its_status(seen, faults)]
    if any(calm.begun <= seen.begun and seen.ended <= calm.ended for calm in calms):
        expected = _expected(seen)
        if seen.status != expected:
            found.append(f"in a calm time it should be {expected}")
    name = f"call {seen.planned.number} ({seen.planned.mode}, {seen.planned.kind})"
    return [f"{name} ended {seen.status!r}: {problem}: {seen.text[:300]!r}" for problem in found]


def _of_any_outcome(seen: Seen) -> list[str]:
    found = []
    if seen.error:
        found.append(f"an exception: {seen.error}")
    if len(seen.results) != 1:
        found.append(f"{len(seen.results)} outcomes")
    all_text = seen.text + seen.streamed.decode(errors="replace")
    if set(NONCE.findall(all_text)) - {seen.planned.nonce}:
        found.append("it shows another call's nonce")
    if "LEFTOVER" in all_text:
        found.append("its box held what another call left")
    if NOT_RUN in seen.text and (seen.started or seen.streamed):
        found.append("it says that it was not run, and it was")
    if seen.results and seen.results[-1].tool_use_id != seen.planned.tool_use_id:
        found.append("it is the result of another call")
    return found


def _of_its_status(seen: Seen, faults: Sequence[Fault]) -> list[str]:
    kind, took_s = seen.planned.kind, seen.ended - seen.begun
    if seen.status == Status.COMPLETED:
        return _of_completion(seen)
    if seen.status == Status.OUT_OF_MEMORY:
        return [] if kind == "memory" else ["it used no memory"]
    if seen.status == Status.TIMED_OUT:
        limit_s = LATE_LIMIT_S if kind == "late" else min(_TIME_LIMIT_S, DEADLINE_S)
        return [] if took_s >= limit_s * _NEARLY else [f"it had only {took_s:.1f} s"]
    if seen.status == Status.UNAVAILABLE:
        return [] if near(seen, faults) else ["nothing was broken"]
    return ["no fault leads to this"]


def _of_completion(seen: Seen) -> list[str]:
    planned, found = seen.planned, []
    result = seen.results[-1]
    if planned.kind not in _COMPLETES:
        found.append("its program cannot complete")
    if result.exit_code != planned.exit_code:
        found.append(f"exit code {result.exit_code}, and it was {planned.exit_code}")
    if not all(f"{word} {planned.nonce}" in seen.text for word in ("begin", "end")):
        found.append("its output is not whole")
    return found


def _expected(seen: Seen) -> str:
    ends = {"memory": Status.OUT_OF_MEMORY, "late": Status.TIMED_OUT, "left": seen.status}
    return str(ends.get(seen.planned.kind, Status.COMPLETED))


def near(seen: Seen, faults: Sequence[Fault]) -> list[Fault]:
    """The faults that this call may have felt."""
    return [
        fault
        for fault in faults
        if fault.begun <= seen.ended and seen.begun <= fault.ended + MENDING_S
    ]


def table(all_seen: Sequence[Seen], faults: Sequence[Fault]) -> list[str]:
    """The report: counts of each end by mode, of each fault, and how long calls took."""
    by_mode = Counter((seen.planned.mode, seen.status) for seen in all_seen)
    lines = [
        f"  {mode:8} {status:20} {count:5}" for (mode, status), count in sorted(by_mode.items())
    ]
    felt = Counter(
        (fault.name, seen.status)
        for seen in all_seen
        if not seen.left
        for fault in near(seen, faults)
        if fault.begun <= seen.ended and seen.begun <= fault.ended
    )
    times = Counter(fault.name for fault in faults)
    lines.append("  fault, times; ends of the calls that ran while it was held")
    for name, count in sorted(times.items()):
        ends = ", ".join(
            f"{status} {number}"
            for (fault, status), number in sorted(felt.items())
            if fault == name
        )
        lines.append(f"  {name:28} {count:4}   {ends}")
    took = sorted(seen.ended - seen.begun for seen in all_seen)
    parts = {part: took[min(len(took) - 1, int(part * len(took)))] for part in (0.5, 0.95, 0.99)}
    spread = ", ".join(f"p{part * 100:.0f} {took_s:.2f} s" for part, took_s in parts.items())
    return [*lines, f"  durations: {spread}, longest {took[-1]:.2f} s"]
