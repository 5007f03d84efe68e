"""What `sandbox check` proves: all of it holds in the product, and each of it can be found open."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from auxot_tools.ports import (
    BoxOwner,
    BoxSpec,
    Isolation,
    KeptOutput,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.posture import NO_ANSWER, check_posture
from auxot_tools.sandbox.posture_probes import HARNESS, LIMITS, PROBES
from auxot_tools.sandbox.posture_runs import LEAK_NAME, RUNS
from auxot_tools.types import Deadline, OutputChunk
from tests.support.attack_canary import canaries
from tests.support.attack_weak import weak_host

pytestmark = pytest.mark.anyio

ALL: tuple[Isolation, ...] = ("call", "warm", "session")
GOOD = SandboxOutcome(exit_code=0)


class ToldSandbox:
    """A sandbox whose every program ends in the same way."""

    def __init__(self, outcome: SandboxOutcome) -> None:
        self.outcome = outcome
        self.claimed: list[tuple[BoxSpec, BoxOwner]] = []
        self.released = 0

    async def claim(self, spec: BoxSpec, owner: BoxOwner, deadline: Deadline) -> "ToldBox":
        self.claimed.append((spec, owner))
        return ToldBox(self)

    async def prepare(self, spec: BoxSpec, owner: BoxOwner) -> bool:
        return False

    def problem(self) -> str:
        return ""

    async def close(self) -> None:
        pass


class ToldBox:
    """A box of it."""

    id = "told"
    isolation = "call"
    notice = ""

    def __init__(self, sandbox: ToldSandbox) -> None:
        self._sandbox = sandbox

    async def run(
        self, program: Program, deadline: Deadline
    ) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        yield self._sandbox.outcome

    async def cancel(self) -> None:
        pass

    async def release(self) -> None:
        self._sandbox.released += 1


def said(text: str) -> SandboxOutcome:
    return replace(GOOD, stdout=KeptOutput(text.encode()))


@pytest.mark.parametrize("mode", ALL)
@pytest.mark.engine
async def test_everything_that_is_tried_holds(sandbox: DockerSandbox, mode: Isolation) -> None:
    findings = await check_posture(sandbox, [mode])
    assert [one for one in findings if not one.held] == []
    assert len(findings) == len(PROBES) + len(RUNS) + 1 >= 25


@pytest.mark.engine
def test_every_probe_finds_something_where_a_box_is_weak() -> None:
    probes = json.dumps([[probe.name, probe.code] for probe in PROBES])
    code = f"import io, sys\nsys.stdin = io.StringIO({probes!r})\n{HARNESS}"
    found: dict[str, str] = {}
    with canaries() as facts, weak_host(facts) as host:
        for set_up in ("usual", "open", "host files", "host processes"):
            lines = host.python(set_up, code).splitlines()
            answers = dict(json.loads(line) for line in lines if line.startswith("["))
            found |= {name: text for name, text in answers.items() if text}
    assert [probe.name for probe in PROBES if probe.name not in found] == []


async def test_a_probe_without_an_answer_does_not_count_as_held() -> None:
    findings = await check_posture(ToldSandbox(GOOD), ["call"])
    probed = findings[: len(PROBES)]
    assert {(one.held, one.detail) for one in probed} == {(False, NO_ANSWER)}


async def test_an_answer_that_is_not_of_our_form_is_none() -> None:
    name = PROBES[0].name
    lines = [f'["{name}", 7]', "7", "null", f'["{name}"]', "{}", "x", f'["{name}", null]']
    findings = await check_posture(ToldSandbox(said("\n".join(lines))), ["call"])
    assert not any(one.held for one in findings[: len(PROBES)])


async def test_what_got_through_is_told() -> None:
    answer = json.dumps([PROBES[0].name, "2/1: done"])
    findings = await check_posture(ToldSandbox(said(answer)), ["warm"])
    first = findings[0]
    assert (first.mode, first.name, first.held) == ("warm", PROBES[0].name, False)
    assert first.detail == "2/1: done"


async def test_an_end_that_is_told_as_another_is_exposed() -> None:
    findings = {one.name: one for one in await check_posture(ToldSandbox(GOOD), ["call"])}
    for run in RUNS:
        assert not findings[run.name].held
        assert findings[run.name].detail == "it was told as: exit code 0"
    late = SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT)
    held = [one.name for one in await check_posture(ToldSandbox(late), ["call"]) if one.held]
    assert held == ["time is bounded, and told, whatever signals are blocked"]


async def test_two_sessions_look_for_leaks_and_every_box_is_given_back() -> None:
    sandbox = ToldSandbox(said("found: /tmp"))
    findings = await check_posture(sandbox, ["session"])
    assert (findings[-1].name, findings[-1].held) == (LEAK_NAME, False)
    (_, first), (_, second) = sandbox.claimed[-2:]
    assert first.tenant == second.tenant
    assert first.session != second.session
    assert sandbox.released == len(sandbox.claimed)
    assert all(spec.limits.memory_bytes == LIMITS.memory_bytes for spec, _ in sandbox.claimed)
