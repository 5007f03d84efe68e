"""What each way a call can end means for its box: may it serve again? The test plays PID 1."""

from collections.abc import Generator
from contextlib import aclosing
from dataclasses import dataclass

import anyio
import pytest

from auxot_tools.ports import (
    BoxLimits,
    CollectLimits,
    Isolation,
    LeftOutFile,
    OutputFile,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.box import DockerBox
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.outcome import EngineFacts
from auxot_tools.types import Deadline, OutputChunk
from tests.support.fake_init import FakeBoxes, FakeInit, fake_boxes, kind

pytestmark = pytest.mark.anyio

ECHO = Program(("echo",), b"")
COLLECTING = Program(("echo",), b"", collect=CollectLimits())
ENDED = b"exit 0 oom 0 pids 0"


@dataclass
class Call:
    """One claimed box, and PID 1 of it."""

    box: DockerBox
    live: LiveBox
    init: FakeInit

    async def run(self, program: Program = ECHO, seconds: float = 30) -> SandboxOutcome:
        with anyio.fail_after(20):
            events = [event async for event in self.box.run(program, Deadline.after(seconds))]
        outcome = events[-1]
        assert isinstance(outcome, SandboxOutcome)
        return outcome


@pytest.fixture
def boxes(anyio_backend: str) -> Generator[FakeBoxes, None, None]:
    with fake_boxes() as boxes:
        yield boxes


def claimed(boxes: FakeBoxes, isolation: Isolation, limits: BoxLimits | None = None) -> Call:
    live = boxes.new(kind(isolation))

    async def inspect() -> EngineFacts | None:
        return EngineFacts(exit_code=1)

    async def give_back(box: DockerBox) -> None:
        assert box.live is live

    box = DockerBox(live, limits or BoxLimits(), inspect=inspect, give_back=give_back)
    return Call(box, live, boxes.init(live))


@pytest.mark.parametrize(
    ("isolation", "spoiled"), [("call", True), ("warm", False), ("session", False)]
)
async def test_only_a_box_of_one_call_is_over_after_a_good_end(
    boxes: FakeBoxes, isolation: Isolation, spoiled: bool
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"s")
    call.init.say(b"x", ENDED)
    assert (await call.run()).exit_code == 0
    assert bool(call.live.spoiled) == spoiled
    assert call.live.calls == 1


@pytest.mark.parametrize(("isolation", "spoiled"), [("warm", True), ("session", False)])
async def test_a_memory_kill_recycles_a_warm_box_and_leaves_a_session(
    boxes: FakeBoxes, isolation: Isolation, spoiled: bool
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"x", b"signal 9 oom 1 pids 0")
    assert (await call.run()).oom_killed
    assert bool(call.live.spoiled) == spoiled


@pytest.mark.parametrize(("isolation", "spoiled"), [("warm", True), ("session", False)])
async def test_a_stopped_call_recycles_a_warm_box_and_leaves_a_session_that_answers(
    boxes: FakeBoxes, isolation: Isolation, spoiled: bool
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"s")
    call.init.say(b"o", b"out")
    async with aclosing(call.box.run(ECHO, Deadline.after(30))) as events:
        assert isinstance(await anext(events), OutputChunk)
        await call.box.cancel()
        assert call.init.hear().endswith(b"k\0\0\0\0")
        call.init.say(b"x", b"signal 9 oom 0 pids 0")
        outcome = await anext(events)
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.CANCELLED
    assert bool(call.live.spoiled) == spoiled


async def test_a_session_that_does_not_answer_a_kill_is_spoiled(boxes: FakeBoxes) -> None:
    call = claimed(boxes, "session", BoxLimits(timeout_s=0.01))
    call.init.say(b"s")
    outcome = await call.run()
    assert (outcome.stopped, outcome.signal) == (StopReason.TIME_LIMIT, 9)
    assert call.live.spoiled == "it did not answer after a call was stopped"


async def test_a_session_whose_run_is_left_early_is_told_to_kill_and_can_recover(
    boxes: FakeBoxes,
) -> None:
    call = claimed(boxes, "session")
    call.init.say(b"s")
    call.init.say(b"o", b"out")
    async with aclosing(call.box.run(ECHO, Deadline.after(30))) as events:
        await anext(events)
    assert call.init.hear().endswith(b"k\0\0\0\0")
    assert call.live.spoiled == ""
    call.init.say(b"o", b"more")
    call.init.say(b"x", b"signal 9 oom 0 pids 0")
    call.init.say(b"r")
    assert await call.live.recover(5)


@pytest.mark.parametrize("isolation", ["call", "warm"])
async def test_other_boxes_end_at_once_when_a_run_is_left_early(
    boxes: FakeBoxes, isolation: Isolation
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"o", b"out")
    async with aclosing(call.box.run(ECHO, Deadline.after(30))) as events:
        await anext(events)
    assert call.live.spoiled
    call.init.hear()
    assert call.init.hear() == b""


@pytest.mark.parametrize("isolation", ["warm", "session"])
async def test_a_box_whose_container_ended_is_spoiled(
    boxes: FakeBoxes, isolation: Isolation
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"s")
    call.init.hear_nothing_more()
    outcome = await call.run()
    assert outcome.lost == "the sandbox ended without reporting how the program ended"
    assert call.live.spoiled


@pytest.mark.parametrize("isolation", ["warm", "session"])
@pytest.mark.parametrize(
    ("letter", "payload"),
    [(b"x", b"nonsense"), (b"c", b"files that nobody asked for")],
)
async def test_a_box_that_breaks_the_protocol_is_spoiled(
    boxes: FakeBoxes, isolation: Isolation, letter: bytes, payload: bytes
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(letter, payload)
    outcome = await call.run()
    assert outcome.lost
    assert "broke our protocol" in call.live.spoiled


@pytest.mark.parametrize("isolation", ["warm", "session"])
async def test_a_program_that_could_not_be_found_harms_no_box(
    boxes: FakeBoxes, isolation: Isolation
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"f", b"missing")
    assert (await call.run()).exit_code == 127
    assert call.live.spoiled == ""


@pytest.mark.parametrize("isolation", ["warm", "session"])
async def test_a_request_that_is_too_large_is_not_sent_and_the_box_is_ready_as_before(
    boxes: FakeBoxes, isolation: Isolation
) -> None:
    call = claimed(boxes, isolation)
    outcome = await call.run(Program(("echo",), bytes(65 * 2**20)))
    assert outcome.never_fits
    assert (call.live.spoiled, call.live.is_ready, call.live.calls) == ("", True, 0)


@pytest.mark.parametrize("isolation", ["warm", "session"])
async def test_a_box_that_the_engine_stops_is_spoiled(
    boxes: FakeBoxes, isolation: Isolation
) -> None:
    call = claimed(boxes, isolation)
    call.init.say(b"x", b"stopped 15 oom 0 pids 0")
    assert "stopped from outside" in (await call.run()).lost
    assert "stopped from outside" in call.live.spoiled


async def test_files_come_out_with_what_was_left_out(boxes: FakeBoxes) -> None:
    call = claimed(boxes, "call")
    call.init.say(b"s")
    call.init.say(b"c", b"f\0\1a\0\0\0\0\0\0\0\2hi")
    call.init.say(b"c", b"u\0\1b\0\5total")
    call.init.say(b"c", b"d")
    call.init.say(b"x", b"exit 1 oom 0 pids 3")
    outcome = await call.run(COLLECTING)
    assert outcome.files == (OutputFile("a", b"hi"),)
    assert outcome.files_left_out == (LeftOutFile("b", "total"),)
    assert (outcome.exit_code, outcome.process_limit_hit) == (1, True)


async def test_a_stream_of_files_without_its_end_is_told_as_lost(boxes: FakeBoxes) -> None:
    """It was cut where a record ends: whoever took the files was killed."""
    call = claimed(boxes, "session")
    call.init.say(b"s")
    call.init.say(b"c", b"f\0\1a\0\0\0\0\0\0\0\2hi")
    call.init.say(b"x", ENDED)
    outcome = await call.run(COLLECTING)
    assert outcome.files == (OutputFile("a", b"hi"),)
    assert outcome.files_left_out == (LeftOutFile("(the rest)", "lost"),)


async def test_files_of_a_box_that_was_lost_are_told_as_lost(boxes: FakeBoxes) -> None:
    call = claimed(boxes, "call")
    call.init.say(b"c", b"f\0\1a\0\0\0\0\0\0\0\2h")
    call.init.hear_nothing_more()
    outcome = await call.run(COLLECTING)
    assert outcome.files_left_out == (LeftOutFile("a", "lost"),)


async def test_a_complaint_of_pid_1_is_logged(
    boxes: FakeBoxes, caplog: pytest.LogCaptureFixture
) -> None:
    call = claimed(boxes, "call")
    call.init.say(b"z", b"IndexError in supervisor")
    call.init.hear_nothing_more()
    assert (await call.run()).lost
    assert "IndexError in supervisor" in caplog.text


async def test_a_word_that_answers_nothing_ends_the_box(boxes: FakeBoxes) -> None:
    """A kill that came too late must not have its answer read by the next call."""
    call = claimed(boxes, "session")
    call.init.say(b"x", ENDED)
    call.init.say(b"r")
    call.init.say(b"f", b"killed")
    await call.run()
    assert not await call.live.recover(5)
    assert call.live.spoiled


async def test_a_box_whose_pid_1_gave_up_is_not_waited_for(boxes: FakeBoxes) -> None:
    call = claimed(boxes, "session")
    call.init.say(b"x", ENDED)
    call.init.say(b"z", b"the zygote ended")
    assert (await call.run()).exit_code == 0
    with anyio.fail_after(4):
        assert not await call.live.recover(30)


async def test_the_next_call_of_a_box_finds_what_came_with_the_last_word(boxes: FakeBoxes) -> None:
    """`x` and `r` may come in one read."""
    first = claimed(boxes, "session")
    first.init.say(b"x", ENDED)
    first.init.say(b"r")
    await first.run()
    assert first.live.has_frames
    assert await first.live.recover(5)
    first.init.say(b"x", b"exit 5 oom 0 pids 0")
    assert (await Call(reclaimed(first), first.live, first.init).run()).exit_code == 5


async def test_an_earlier_call_s_memory_kill_is_not_told_of_a_later_one(boxes: FakeBoxes) -> None:
    """The engine's flag stays set for the whole life of a container."""
    facts = EngineFacts(exit_code=137, oom_killed=True)
    first = claimed(boxes, "session")
    first.init.say(b"x", b"signal 9 oom 1 pids 0")
    first.init.say(b"r")
    assert (await first.run()).oom_killed
    assert await first.live.recover(5)
    first.init.hear_nothing_more()
    second = await Call(reclaimed(first, facts), first.live, first.init).run()
    assert (second.oom_killed, bool(second.lost)) == (False, True)


async def test_the_engine_s_word_for_a_memory_kill_counts_when_there_was_none_before(
    boxes: FakeBoxes,
) -> None:
    facts = EngineFacts(exit_code=137, oom_killed=True)
    call = claimed(boxes, "session")
    call.init.hear_nothing_more()
    assert (await Call(reclaimed(call, facts), call.live, call.init).run()).oom_killed


async def test_a_program_that_was_begun_and_never_followed_is_ended_with_the_box(
    boxes: FakeBoxes,
) -> None:
    """The request goes out when `run` is called, before an event is asked for."""
    call = claimed(boxes, "warm")
    events = call.box.run(ECHO, Deadline.after(30))
    assert call.init.hear().startswith(b"a")
    await events.aclose()
    await call.box.release()
    assert call.live.spoiled


def reclaimed(call: Call, facts: EngineFacts | None = None) -> DockerBox:
    async def inspect() -> EngineFacts | None:
        return facts

    async def give_back(box: DockerBox) -> None:
        return None

    return DockerBox(call.live, BoxLimits(), inspect=inspect, give_back=give_back)
