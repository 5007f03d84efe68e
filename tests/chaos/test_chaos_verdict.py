"""The chaos test's judgement can fail: each untruth is found, each allowed end let through."""

import dataclasses

import pytest

from auxot_tools.types import Status, ToolResult
from tests.chaos.calls import Planned, Seen, plan
from tests.chaos.verdict import NOT_RUN, Calm, Fault, problems

MINE, OTHERS = "nonce-" + "a" * 16, "nonce-" + "b" * 16
QUICK = Planned(1, MINE, "call", "quick", 0, 0, "", 50.0)
WHOLE = f"begin {MINE}\nend {MINE}"
KILLED = [Fault("kill -9 engine", 0.0, 2.0)]
CALM = [Calm(99.0, 105.0)]


def seen(
    status: Status = Status.COMPLETED,
    text: str = WHOLE,
    kind: str = "quick",
    exit_code: int | None = 0,
    ended: float = 101.0,
    started: bool = True,
) -> Seen:
    planned = dataclasses.replace(QUICK, kind=kind)
    content = ({"type": "text", "text": text},)
    result = ToolResult(planned.tool_use_id, status, content, exit_code)
    return Seen(planned, begun=100.0, ended=ended, started=started, results=[result])


def test_a_completed_call_with_its_own_output_and_exit_code_is_truthful() -> None:
    assert problems(seen(), [], CALM) == []


@pytest.mark.parametrize(
    "untrue",
    [
        seen(exit_code=1),
        seen(text=f"begin {MINE}"),
        seen(text=f"{WHOLE}\n{OTHERS}"),
        seen(text=f"LEFTOVER 'nobody'\n{WHOLE}"),
        seen(kind="memory"),
        seen(kind="late"),
        seen(Status.OUT_OF_MEMORY),
        seen(Status.TIMED_OUT),
        seen(Status.CANCELLED),
        seen(Status.INTERNAL),
        seen(Status.PROCESS_LIMIT),
        seen(Status.UNAVAILABLE),  # nothing was broken near it
        dataclasses.replace(seen(), results=[]),
        dataclasses.replace(seen(), results=seen().results * 2),
        dataclasses.replace(seen(), error="ValueError()"),
    ],
)
def test_an_untrue_outcome_is_found(untrue: Seen) -> None:
    assert problems(untrue, KILLED, [])


def test_a_call_near_a_fault_may_be_unavailable_but_not_in_a_calm_time() -> None:
    near = [Fault("kill -9 worker", 90.0, 95.0)]
    assert problems(seen(Status.UNAVAILABLE), near, []) == []
    assert problems(seen(Status.UNAVAILABLE), near, CALM)


def test_a_call_that_was_started_cannot_have_not_been_run() -> None:
    near = [Fault("kill -9 worker", 99.0, 100.5)]
    refused = seen(Status.UNAVAILABLE, NOT_RUN, started=False)
    assert problems(refused, near, []) == []
    assert problems(dataclasses.replace(refused, started=True), near, [])


def test_a_call_may_run_out_of_what_it_used_up() -> None:
    assert problems(seen(Status.OUT_OF_MEMORY, kind="memory"), [], CALM) == []
    assert problems(seen(Status.TIMED_OUT, kind="late", ended=101.6), [], []) == []


def test_the_same_seed_plans_the_same_calls() -> None:
    modes = ("call", "warm", "session")
    assert list(plan(5, 50, modes)) == list(plan(5, 50, modes))
    assert {one.mode for one in plan(5, 50, modes)} == set(modes)
