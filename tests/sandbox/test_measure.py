"""Times of calls: what counts, what makes a time mean nothing, and what cannot be measured."""

import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.ports import BoxOwner
from auxot_tools.sandbox.measure import (
    EXPECTED,
    WORKLOADS,
    WrongAnswer,
    bare_start_s,
    busy_and_idle_ticks,
    measure,
    percentile,
    timed_call,
)
from tests.support.fake_sandbox import FakeSandbox, printing

pytestmark = pytest.mark.anyio


def fake(text: str) -> FakeSandbox:
    return FakeSandbox(behaviour=lambda _spec, _program: printing(text))


def test_a_percentile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, part) for part in (0.0, 0.5, 0.6, 0.95, 1.0)] == [1, 3, 3, 5, 5]
    assert percentile([], 0.5) == 0


def test_a_bare_start_that_prints_something_else_is_no_time() -> None:
    assert bare_start_s() > 0
    with pytest.raises(WrongAnswer):
        bare_start_s(("/usr/bin/python3", "-c", "print(41)"))


def test_the_ticks_of_all_cpus_are_read() -> None:
    assert sum(busy_and_idle_ticks()) > 0


async def test_a_call_is_timed_from_its_claim_and_its_box_is_given_back() -> None:
    sandbox = fake(EXPECTED.decode())
    times = await timed_call(sandbox, WORKLOADS["python"], "warm", BoxOwner("t", "s"))
    assert 0 < times.first_output_s <= times.total_s
    assert sandbox.open_boxes == set()
    assert sandbox.boxes[0].spec.isolation == "warm"


async def test_a_call_that_prints_something_else_is_no_time() -> None:
    sandbox = fake("41\n")
    with pytest.raises(WrongAnswer):
        await timed_call(sandbox, WORKLOADS["python"], "call", BoxOwner())
    assert sandbox.open_boxes == set()


async def test_every_mode_is_measured_against_bare_starts() -> None:
    speeds = await measure(fake(EXPECTED.decode()), calls=1, quiet_within_s=0)
    assert [speed.mode for speed in speeds.modes] == ["call", "warm", "session"]
    assert speeds.bare_s > 0
    assert all(speed.ratio > 0 and not speed.problem for speed in speeds.modes)


async def test_a_mode_that_cannot_be_had_is_told_and_not_timed() -> None:
    sandbox = FakeSandbox(claim_error=Unavailable("The engine sleeps."))
    speeds = await measure(sandbox, calls=1, quiet_within_s=0)
    assert {speed.problem for speed in speeds.modes} == {"The engine sleeps."}
