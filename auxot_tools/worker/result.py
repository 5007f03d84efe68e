"""Turns what happened in a box into the one result that a model reads.

One job: ``SandboxOutcome`` to ``ToolResult``, in words. Pure: it must not know how programs are
run, nor log. Every sentence here is ours; what the program wrote is quoted, made harmless.

Which status, first match wins:

1. we stopped it                        -> TIMED_OUT, OUTPUT_LIMIT or CANCELLED
2. it never ran, nor ever would         -> INVALID_ARGUMENTS (its files are too large)
3. the kernel killed something for
   memory, and the program then failed  -> OUT_OF_MEMORY
4. it ended without exit code or signal -> UNAVAILABLE (the box went away, or nothing ran)
5. a process or thread was refused, and
   the program then failed              -> PROCESS_LIMIT
6. otherwise                            -> COMPLETED, whatever the exit code

A program that exits 0 although a child of it was killed for memory, or was never started, has
COMPLETED, with a sentence that says so: its output may be incomplete, and only the model can judge
whether that matters.
"""

import re
from dataclasses import dataclass, field
from signal import Signals

from auxot_tools.ports import BoxLimits, CollectLimits, KeptOutput, SandboxOutcome, StopReason
from auxot_tools.types import Status, ToolResult
from auxot_tools.worker.artifacts import files_notes, made_artifacts
from auxot_tools.worker.images import image_blocks
from auxot_tools.worker.readable import readable, size_text

NO_OUTPUT = "(no output)"

_STOPPED = {
    StopReason.TIME_LIMIT: Status.TIMED_OUT,
    StopReason.OUTPUT_LIMIT: Status.OUTPUT_LIMIT,
    StopReason.CANCELLED: Status.CANCELLED,
}
_NEAR_LIMIT = 0.95  # a program stopped earlier than this part of its limit had less time left
# What curl, Python, Node.js and the C library say when there is no network.
_WANTS_NETWORK = re.compile(
    r"(?i)could not resolve|couldn't connect|failed to connect|name resolution|getaddrinfo"
    r"|name or service not known|network is unreachable|EAI_AGAIN|ENOTFOUND|ENETUNREACH"
)
# What curl, Python and Node.js say of our proxy's refusal, whose words they do not show.
_REFUSED_TUNNEL = re.compile(r"(?i)tunnel.{0,40}403|403.{0,40}tunnel")
_SHOWN_HOSTS = 20
_NO_NETWORK = (
    'If the tool needs the network: it has none, as its tool.json says "network": "none", or '
    "nothing of it. Its author has to list the hosts there, and the operator to open them "
    "(`worker.open_hosts`)."
)
_CONTINUATION = re.compile(rb"^[\x80-\xbf]{1,3}")
_CUT_SEQUENCE = re.compile(rb"(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})$")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the worker itself knows of the run: whose it was, where, and under which limits.

    ``notice`` is what the box itself wants the model to know (``ports.Box.notice``). The handles
    are those of a stream that the result holds only a part of. ``may_lack_network``: a tool's own
    program in a box without network, whose author may not have thought of that. ``hosts`` are those
    that the program could reach.
    """

    tool_use_id: str
    limits: BoxLimits
    box_id: str = ""
    isolation: str = ""
    worker_is_stopping: bool = False
    notice: str = ""
    collect: CollectLimits = field(default_factory=CollectLimits)
    stdout_handle: str = ""
    stderr_handle: str = ""
    may_lack_network: bool = False
    hosts: tuple[str, ...] = ()


def outcome_result(outcome: SandboxOutcome, facts: RunFacts) -> ToolResult:
    """The result of a program that was started. ``content`` is one text block, never blank, and the
    images that the program left.
    """
    status = outcome_status(outcome)
    stdout, stderr = outcome.stdout or KeptOutput(), outcome.stderr or KeptOutput()
    return ToolResult(
        tool_use_id=facts.tool_use_id,
        status=status,
        content=(
            {"type": "text", "text": _text(status, outcome, facts)},
            *image_blocks(outcome.files),
        ),
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        omitted_bytes=stdout.omitted_bytes + stderr.omitted_bytes,
        isolation=facts.isolation,
        box_id=facts.box_id,
        duration_s=outcome.duration_s,
        artifacts=made_artifacts(outcome.files),
        output_handle=facts.stdout_handle or facts.stderr_handle,
    )


def outcome_status(outcome: SandboxOutcome) -> Status:
    """The status by the table at the top of this file."""
    if outcome.stopped is not None:
        return _STOPPED[outcome.stopped]
    if outcome.never_fits:
        return Status.INVALID_ARGUMENTS
    if outcome.oom_killed and outcome.exit_code != 0:
        return Status.OUT_OF_MEMORY
    if outcome.exit_code is None and outcome.signal is None:
        return Status.UNAVAILABLE
    if outcome.process_limit_hit and outcome.exit_code != 0:
        return Status.PROCESS_LIMIT
    return Status.COMPLETED


def kept_text(kept: KeptOutput | None, handle: str = "") -> str:
    """A stream as text: valid Unicode, no control characters but newline and tab.

    What was left out is told between head and tail with its exact number of bytes, and how to read
    it when it was kept; the bytes of a character that the cut went through count as left out. One
    newline at the end is dropped.
    """
    if kept is None:
        return ""
    if not kept.omitted_bytes:
        return readable(kept.head + kept.tail).removesuffix("\n")
    head = _CUT_SEQUENCE.sub(b"", kept.head)
    tail = _CONTINUATION.sub(b"", kept.tail)
    cut = len(kept.head) - len(head) + len(kept.tail) - len(tail)
    beginning = readable(head)
    more = f'; to read them: read_output, handle "{handle}", offset {len(beginning)}'
    note = f"\n[{kept.omitted_bytes + cut} bytes left out{more if handle else ''}]\n"
    return f"{beginning}{note}{readable(tail)}".removesuffix("\n")


def _text(status: Status, outcome: SandboxOutcome, facts: RunFacts) -> str:
    top = [facts.notice] if facts.notice else []
    if outcome.not_started:
        return "\n\n".join([*top, _nothing_ran(status, outcome)])
    stdout = kept_text(outcome.stdout, facts.stdout_handle)
    stderr = kept_text(outcome.stderr, facts.stderr_handle)
    notes = [
        *top,
        *_notes(status, outcome, facts),
        *files_notes(outcome.files, outcome.files_left_out, facts.collect),
    ]
    if facts.may_lack_network and outcome.exit_code and _WANTS_NETWORK.search(stdout + stderr):
        notes.append(_NO_NETWORK)
    if facts.hosts and _REFUSED_TUNNEL.search(stdout + stderr):
        listed = ", ".join(facts.hosts[:_SHOWN_HOSTS])
        notes.append(f"A host was refused. The network of this tool is these only: {listed}.")
    if not notes and not stderr:
        return quoted(stdout)
    parts = [*notes]
    if stdout:
        parts.append(f"stdout:\n{quoted(stdout)}")
    if stderr:
        parts.append(f"stderr:\n{quoted(stderr)}")
    if not stdout and not stderr:
        parts.append(NO_OUTPUT)
    return "\n\n".join(parts)


def _nothing_ran(status: Status, outcome: SandboxOutcome) -> str:
    advice = "Give it less." if status is Status.INVALID_ARGUMENTS else "Try again."
    return f"Nothing was run: {outcome.lost}. {advice}"


def quoted(text: str) -> str:
    """The text, or words for one that holds nothing to see."""
    if not text:
        return NO_OUTPUT
    # A text block of whitespace only is refused by the Messages API.
    return text if text.strip() else f"(only whitespace: {len(text)} characters)"


def _notes(status: Status, outcome: SandboxOutcome, facts: RunFacts) -> list[str]:
    """Our own sentences, first what happened, then how the program ended."""
    notes, limits = [], facts.limits
    if status is not Status.COMPLETED:
        notes.append(_failure(status, outcome, facts))
    else:
        notes.extend(_quiet_limits(outcome, limits))
    if outcome.stopped:
        notes.extend(
            f"The {limit} was reached as well." for limit in _limits_reached(outcome, limits)
        )
    if outcome.stopped is None and outcome.signal is not None:
        notes.append(f"The program was ended by signal {_signal(outcome.signal)}.")
    if outcome.exit_code or (outcome.exit_code == 0 and outcome.stderr and outcome.stderr.head):
        notes.append(f"exit code: {outcome.exit_code}")
    return notes


def _limits_reached(outcome: SandboxOutcome, limits: BoxLimits) -> list[str]:
    reached = []
    if outcome.oom_killed:
        reached.append(f"memory limit of {size_text(limits.memory_bytes)}")
    if outcome.process_limit_hit:
        reached.append(f"limit of {limits.pids} processes and threads at once")
    return reached


def _quiet_limits(outcome: SandboxOutcome, limits: BoxLimits) -> list[str]:
    """Limits that were reached by a program that did not fail of it."""
    notes = []
    if outcome.oom_killed:
        notes.append(
            "A process that the program started was killed because the memory limit of "
            f"{size_text(limits.memory_bytes)} was reached; the output may be incomplete."
        )
    if outcome.process_limit_hit:
        notes.append(
            f"The limit of {limits.pids} processes and threads at once was reached, and at least "
            "one more was refused; the output may be incomplete."
        )
    return notes


def _failure(status: Status, outcome: SandboxOutcome, facts: RunFacts) -> str:
    limits = facts.limits
    if status is Status.TIMED_OUT:
        return f"Timed out: {_time(outcome, limits)} Do less at once, or allow more time."
    if status is Status.OUT_OF_MEMORY:
        return (
            f"Out of memory: the limit of {size_text(limits.memory_bytes)} was reached and the "
            "system killed the program or a process of it. Use less memory, for example smaller "
            "pieces."
        )
    if status is Status.PROCESS_LIMIT:
        return (
            f"Process limit: the program had {limits.pids} processes and threads at once, which is "
            "all it may have, and one more was refused. Start fewer side by side."
        )
    if status is Status.OUTPUT_LIMIT:
        return (
            f"Stopped: it wrote more than {size_text(limits.output_stop_bytes)} of output. Print "
            "less, for example a summary."
        )
    if status is Status.CANCELLED:
        why = "this worker is stopping" if facts.worker_is_stopping else "the call was given up"
        return f"Cancelled: the program was stopped before its end, because {why}."
    return (
        f"There is no result: {outcome.lost or 'the sandbox went away while the program ran'}. "
        "What it did up to then may have taken effect; try again if that is harmless."
    )


def _time(outcome: SandboxOutcome, limits: BoxLimits) -> str:
    if outcome.duration_s < limits.timeout_s * _NEAR_LIMIT:
        return (
            f"the program was stopped after {outcome.duration_s:.1f} s, which was all the time "
            "left for this call."
        )
    return f"the program was stopped at its time limit of {_seconds(limits.timeout_s)}."


def _signal(number: int) -> str:
    try:
        return f"{number} ({Signals(number).name})"
    except ValueError:
        return str(number)


def _seconds(duration_s: float) -> str:
    """To the millisecond, and never nothing: nobody can tell shorter times apart."""
    return f"{max(round(duration_s, 3), 0.001):.10g} s"
