"""What our channel said, what the engine said, why we stopped it -> one ``SandboxOutcome``.

Pure, and the only place where the end of a program is judged. Nothing is guessed from output.
"""

from dataclasses import dataclass

from auxot_tools.ports import KeptOutput, SandboxOutcome, StopReason

_SIGKILL = 9

# Words of PID 1 (`sandbox/init.py`, frame `f`): the program never ran. 126 and 127 are what every
# shell answers for a program that cannot be run or found.
_NOT_STARTED: dict[str, tuple[int | None, str]] = {
    "missing": (127, "The sandbox has no such program as the tool's command names.\n"),
    "denied": (126, "The tool's command names a file that may not be executed.\n"),
    "unfit": (126, "The tool's command names a file that is not a program.\n"),
    "files": (None, "the files given to the call did not fit into the sandbox"),
    "killed": (None, "the program was stopped before it started"),
    "protocol": (None, "the sandbox refused the request as malformed"),
    "too_large": (None, "the call's arguments and files together are larger than 64 MiB"),
}


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What PID 1 of the box reported. No ``exit_code`` and no ``signal``: it had no last word."""

    exit_code: int | None = None
    signal: int | None = None
    oom_kills: int = 0
    not_started: str = ""


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
) -> SandboxOutcome:
    """The outcome of one run. ``engine`` is ``None`` when it was not asked or did not answer."""
    if stopped is StopReason.TIME_LIMIT and channel.exit_code is not None:
        stopped = None  # it ended by itself while the kill was on its way
    oom_killed = channel.oom_kills > 0 or (engine is not None and engine.oom_killed)
    exit_code, signal, lost = channel.exit_code, channel.signal, ""
    if channel.not_started:
        exit_code, text = _NOT_STARTED.get(channel.not_started, (None, "the program did not start"))
        if exit_code is None:
            lost = text
        else:
            stderr = KeptOutput(text.encode())
    elif exit_code is None and signal is None:
        signal, lost = _without_a_word(engine, oom_killed, stopped)
    return SandboxOutcome(exit_code, signal, oom_killed, stopped, lost, stdout, stderr, duration_s)


def _without_a_word(
    engine: EngineFacts | None, oom_killed: bool, stopped: StopReason | None
) -> tuple[int | None, str]:
    """Signal and explanation when PID 1 ended without its last frame."""
    if oom_killed or stopped is not None:
        return _SIGKILL, ""  # everything in a container dies of SIGKILL with its PID 1
    if engine is None:
        return None, "the connection to the Docker engine broke off while the program ran"
    if not engine.found:
        return None, "the sandbox was removed by somebody else while the program ran"
    if engine.running:
        return None, "the connection to the sandbox broke off while the program ran"
    if engine.exit_code == 128 + _SIGKILL:
        return None, "the sandbox was killed from outside while the program ran"
    return None, "the sandbox ended without reporting how the program ended"
