"""Proves on this host that a box holds: tries what must not be possible, and says what was.

One job: run the probes of `posture_probes` in boxes and turn what came out into findings. It goes
through the `Sandbox` port alone, as every call does, so it sees what a tool would see. It must not
read flags or settings, nor know Docker.
"""

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from auxot_tools.ports import (
    BoxLimits,
    BoxOwner,
    BoxSpec,
    Isolation,
    Program,
    Sandbox,
    SandboxOutcome,
)
from auxot_tools.sandbox.posture_probes import HARNESS, LIMITS, PROBES
from auxot_tools.sandbox.posture_runs import LEAK_NAME, LOOK, PLANT, RUNS, Run
from auxot_tools.types import Deadline, InputFile

_CALL_S = 120.0  # of one program, its box included; the longest of them ends itself within 20 s
_PROBES_S = 100.0  # all probes together: the slowest gives up after 10 s, most take milliseconds
_TENANT = "posture-check"
_DETAIL_CHARS = 300
NO_ANSWER = "the probe gave no answer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried in one mode: whether the box held, and if not, what got through."""

    mode: str
    name: str
    held: bool
    detail: str = ""


async def check_posture(
    sandbox: Sandbox, modes: Sequence[Isolation], image: str = ""
) -> list[Finding]:
    """Try everything in a box of each mode, some seconds for each; findings in order.

    What could not be tried to its end counts as not held. Raises what ``Sandbox.claim`` and
    ``Box.run`` raise: then nothing is known.
    """
    findings: list[Finding] = []
    for mode in modes:
        spec = BoxSpec(image, LIMITS, mode)
        findings += await _probe(sandbox, spec)
        for run in RUNS:
            findings.append(await _judge(sandbox, spec, run))
        findings.append(await _look_for_leaks(sandbox, spec))
    return findings


async def _probe(sandbox: Sandbox, spec: BoxSpec) -> list[Finding]:
    """All probes, in one box."""
    limits = replace(spec.limits, timeout_s=_PROBES_S)
    stdin = json.dumps([[probe.name, probe.code] for probe in PROBES]).encode()
    outcome = await _run(sandbox, replace(spec, limits=limits), HARNESS, "probes", stdin)
    answers = _answers(outcome)
    return [_finding(spec.isolation, probe.name, answers.get(probe.name)) for probe in PROBES]


def _finding(mode: str, name: str, got_through: str | None) -> Finding:
    detail = NO_ANSWER if got_through is None else got_through[:_DETAIL_CHARS]
    return Finding(mode, name, held=got_through == "", detail=detail)


def _answers(outcome: SandboxOutcome) -> dict[str, str | None]:
    """What the harness printed; a line that is not of its form is no answer."""
    answers: dict[str, str | None] = {}
    for line in _stdout(outcome).splitlines():
        try:
            name, got_through = json.loads(line)
        except (ValueError, TypeError):
            continue
        if isinstance(name, str) and (got_through is None or isinstance(got_through, str)):
            answers[name] = got_through
    return answers


async def _judge(sandbox: Sandbox, spec: BoxSpec, run: Run) -> Finding:
    limits: BoxLimits = replace(spec.limits, timeout_s=run.timeout_s)
    outcome = await _run(sandbox, replace(spec, limits=limits), run.code, "runs")
    held = run.is_told(outcome)
    return Finding(spec.isolation, run.name, held, "" if held else _told(outcome))


async def _look_for_leaks(sandbox: Sandbox, spec: BoxSpec) -> Finding:
    await _run(sandbox, spec, PLANT, "plants")
    said = _stdout(await _run(sandbox, spec, LOOK, "looks")).strip()
    held = said == "found:"
    return Finding(spec.isolation, LEAK_NAME, held, "" if held else said or NO_ANSWER)


async def _run(
    sandbox: Sandbox, spec: BoxSpec, code: str, session: str, stdin: bytes = b""
) -> SandboxOutcome:
    """One program in one box, from the claim to the release."""
    deadline = Deadline.after(_CALL_S)
    files = (InputFile("main.py", code.encode()),)
    program = Program(("python3", "/work/main.py"), stdin, (), files)
    owner = BoxOwner(_TENANT, f"{_TENANT}-{session}")
    box = await sandbox.claim(spec, owner, deadline)
    try:
        async with aclosing(box.run(program, deadline)) as events:
            async for event in events:
                if isinstance(event, SandboxOutcome):
                    return event
    finally:
        await box.release()
    return SandboxOutcome(lost="the box gave no outcome")


def _stdout(outcome: SandboxOutcome) -> str:
    kept = outcome.stdout
    return (kept.head + kept.tail).decode("utf-8", "replace") if kept else ""


def _told(outcome: SandboxOutcome) -> str:
    """How the run was told to have ended, for an operator."""
    parts = {
        "exit code": outcome.exit_code,
        "signal": outcome.signal,
        "stopped": outcome.stopped and outcome.stopped.value,
        "out of memory": outcome.oom_killed or None,
        "lost": outcome.lost or None,
    }
    said = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
    return f"it was told as: {said or 'nothing'}"[:_DETAIL_CHARS]
