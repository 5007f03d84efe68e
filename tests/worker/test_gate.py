"""The policy applied to calls: each refusal says what it is and what to do."""

from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from auxot_tools.types import Deadline, InputFile, Status
from auxot_tools.worker.approvals import ApprovalDesk
from auxot_tools.worker.gate import Gate, Passage
from auxot_tools.worker.policy_file import LivePolicy
from tests.support.executor_calls import a_call, until

pytestmark = pytest.mark.anyio


def a_gate(tmp_path: Path, rule: str, **options: object) -> Gate:
    path = tmp_path / "policy.toml"
    path.write_text(f"[[rules]]\n{rule}")
    return Gate(LivePolicy(path), **options)  # type: ignore[arg-type]


async def enter(gate: Gate, text: str = "{}", tenant: str = "alice", s: float = 60) -> Passage:
    with ExitStack() as held:
        return await gate.enter(a_call(text=text, tenant=tenant), held, Deadline.after(s))


async def test_without_a_policy_every_call_passes() -> None:
    assert await enter(Gate()) == Passage("allowed")


async def test_a_denied_call_is_told_why(tmp_path: Path) -> None:
    passage = await enter(a_gate(tmp_path, "action = 'deny'\nreason = 'Not on Fridays.'"))
    assert (passage.decision, passage.status) == ("denied", Status.DENIED)
    assert "does not allow this key to use run. Not on Fridays." in passage.refusal


async def test_arguments_must_fit_the_rule_too(tmp_path: Path) -> None:
    gate = a_gate(tmp_path, "[rules.arguments.properties.code]\nmaxLength = 3")
    assert (await enter(gate, '{"code":"abc"}')).refusal == ""
    passage = await enter(gate, '{"code":"abcd"}')
    assert (passage.decision, passage.status) == ("denied_arguments", Status.DENIED)
    assert "/code" in passage.refusal


@pytest.mark.parametrize(
    ("rule", "decision"),
    [
        ("[rules.arguments]\nmaxProperties = 3", "denied_files"),
        ("action = 'ask'", "denied_files"),
        ("files = true\n[rules.arguments]\nmaxProperties = 3", "allowed"),
        ("calls_per_minute = 9", "allowed"),
    ],
)
async def test_files_pass_where_the_input_is_not_judged_or_the_rule_says_so(
    tmp_path: Path, rule: str, decision: str
) -> None:
    call = a_call(files=(InputFile("helper.py", b"evil"),))
    with ExitStack() as held:
        passage = await a_gate(tmp_path, rule).enter(call, held, Deadline.after(60))
    assert passage.decision == decision


async def test_a_rate_is_for_each_key_by_itself_and_says_when_to_come_back(tmp_path: Path) -> None:
    now = [0.0]
    gate = a_gate(tmp_path, "calls_per_minute = 2", clock=lambda: now[0])
    assert [bool((await enter(gate)).refusal) for _ in range(3)] == [False, False, True]
    assert not (await enter(gate, tenant="bob")).refusal
    passage = await enter(gate)
    assert (passage.decision, passage.status) == ("rate", Status.UNAVAILABLE)
    assert "2 times a minute" in passage.refusal
    assert "30 s" in passage.refusal
    now[0] = 30.0
    assert not (await enter(gate)).refusal


async def test_who_is_asked_may_allow_or_refuse_and_silence_is_no(tmp_path: Path) -> None:
    desk = ApprovalDesk(ask_s=60)
    gate = a_gate(tmp_path, "action = 'ask'\nreason = 'It costs money.'", desk=desk)

    async def decide(allow: bool) -> None:
        await until(lambda: bool(desk._waiting))
        (waiting,) = await desk.list_approvals()
        await desk.decide_approval(waiting.id, allow=allow, by="carol")

    found = {}
    for allow in (True, False):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide, allow)
            found[allow] = await enter(gate)
    assert found[True] == Passage("approved by carol")
    assert (found[False].decision, found[False].status) == ("refused by carol", Status.DENIED)
    assert "It costs money." in found[False].refusal
    silent = await enter(gate, s=0.01)
    assert (silent.decision, silent.status) == ("unanswered", Status.DENIED)
    assert "nobody answered in time" in silent.refusal


async def test_places_are_waited_for_given_back_and_each_keys_own(tmp_path: Path) -> None:
    gate = a_gate(tmp_path, "concurrent_calls = 1\ntimeout_s = 5")
    with ExitStack() as held:
        first = await gate.enter(a_call(tenant="alice"), held, Deadline.after(60))
        assert (first.refusal, first.timeout_s) == ("", 5)
        assert not (await enter(gate, tenant="bob")).refusal
        busy = await enter(gate, s=0.01)
        assert (busy.decision, busy.status) == ("busy", Status.UNAVAILABLE)
        assert "1 calls of run at once" in busy.refusal
    assert not (await enter(gate)).refusal
