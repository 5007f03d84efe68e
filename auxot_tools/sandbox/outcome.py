"""What our channel said, what the engine said, why we stopped it -> one ``SandboxOutcome``.

Pure, and the only place where the end of a program is judged. Nothing is guessed from output.
"""

import dataclasses
from dataclasses import dataclass

from auxot_tools.ports import KeptOutput, LeftOutFile, OutputFile, SandboxOutcome, StopReason

_SIGKILL = 9

# Words of PID 1 (`sandbox/init/`, frame `f`): the program never ran. 126 and 127 are what every
# shell answers for a program that cannot be run or found.
_NOT_STARTED: dict[str, tuple[int | None, str]] = {
    "missing": (127, "The sandbox has no such program as the tool's command names.\n"),
    "denied": (126, "The tool's command names a file that may not be executed.\n"),
    "unfit": (126, "The tool's command names a file that is not a program.\n"),
    "files": (None, "the files of the call do not fit into the sandbox"),
    "killed": (None, "the program was stopped before it started"),
    "protocol": (None, "the sandbox refused the request as malformed"),
    "too_large": (None, "the call's arguments and files together are larger than 64 MiB"),
    "variables": (None, "the tool's environment variables are not valid (see the worker's log)"),
}
# The same call would meet the same end in every box.
_NEVER_FITS = {"files", "too_large", "variables"}


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What PID 1 of the box reported; with nothing set, it had no last word.

    ``stopped_outside``: the engine told the container to stop before the program's end.
    ``refused_forks``: how often a fork or thread met the limit of processes.
    """

    exit_code: int | None = None
    signal: int | None = None
    oom_kills: int = 0
    refused_forks: int = 0
    not_started: str = ""
    stopped_outside: bool = False


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine's inspection says of the container; only asked when the channel broke off."""

    found: bool = True
    running: bool = False
    exit_code: int = 0
    oom_killed: bool = False


def judge(
    channel: ChannelFacts,
    engine: EngineFacts | None,
    stopped: StopReason | None,
    *,
    stdout: KeptOutput,
    stderr: KeptOutput,
    duration_s: float,
    files: tuple[OutputFile, ...] = (),
    files_left_out: tuple[LeftOutFile, ...] = (),
) -> SandboxOutcome:
    """The outcome of one run. ``engine`` is ``None`` when it was not asked or did not answer."""
    if stopped is StopReason.TIME_LIMIT and channel.exit_code is not None:
        stopped = None  # it ended by itself while the kill was on its way
    oom_killed = channel.oom_kills > 0 or (engine is not None and engine.oom_killed)
    outcome = SandboxOutcome(
        exit_code=channel.exit_code,
        signal=channel.signal,
        oom_killed=oom_killed,
        process_limit_hit=channel.refused_forks > 0,
        stopped=stopped,
        stdout=stdout,
        stderr=stderr,
        files=files,
        files_left_out=files_left_out,
        duration_s=duration_s,
    )
    if channel.not_started:
        return _not_started(outcome, channel.not_started)
    if channel.stopped_outside:
        signal, lost = _stopped_outside(oom_killed, stopped)
        return dataclasses.replace(outcome, signal=signal, lost=lost)
    if channel.exit_code is None and channel.signal is None:
        signal, lost = _without_a_word(engine, oom_killed, stopped)
        return dataclasses.replace(outcome, signal=signal, lost=lost)
    return outcome


def _not_started(outcome: SandboxOutcome, word: str) -> SandboxOutcome:
    exit_code, text = _NOT_STARTED.get(word, (None, "the program did not start"))
    if exit_code is not None:
        return dataclasses.replace(outcome, exit_code=exit_code, stderr=KeptOutput(text.encode()))
    return dataclasses.replace(outcome, lost=text, not_started=True, never_fits=word in _NEVER_FITS)


def _stopped_outside(oom_killed: bool, stopped: StopReason | None) -> tuple[int | None, str]:
    if oom_killed or stopped is not None:
        return _SIGKILL, ""
    return None, "the sandbox was stopped from outside while the program ran"


def _without_a_word(
    engine: EngineFacts | None, oom_killed: bool, stopped: StopReason | None
) -> tuple[int | None, str]:
    """Signal and explanation when PID 1 ended without its last frame."""
    if oom_killed or stopped is not None:
        return _SIGKILL, ""  # everything in a container dies of SIGKILL with its PID 1
    if engine is None:
        return None, (
            "the connection to the sandbox broke off while the program ran, and the Docker engine "
            "does not say why"
        )
    if not engine.found:
        return None, "the sandbox was removed by somebody else while the program ran"
    if engine.running:
        return None, "the connection to the sandbox broke off while the program ran"
    if engine.exit_code == 128 + _SIGKILL:
        return None, "the sandbox was killed from outside while the program ran"
    return None, "the sandbox ended without reporting how the program ended"
