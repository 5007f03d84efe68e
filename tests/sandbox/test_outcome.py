"""Every way a program can end is judged from facts, and no two are mixed up."""

import pytest

from auxot_tools.ports import KeptOutput, SandboxOutcome, StopReason
from auxot_tools.sandbox.outcome import ChannelFacts, EngineFacts, judge

SILENT = ChannelFacts()


def judged(
    channel: ChannelFacts,
    engine: EngineFacts | None = None,
    stopped: StopReason | None = None,
) -> SandboxOutcome:
    out, err = KeptOutput(b"out"), KeptOutput(b"err")
    return judge(channel, engine, stopped, stdout=out, stderr=err, duration_s=1.5)


def test_an_exit_code_is_passed_on_with_output_and_time() -> None:
    assert judged(ChannelFacts(exit_code=137)) == SandboxOutcome(
        exit_code=137, stdout=KeptOutput(b"out"), stderr=KeptOutput(b"err"), duration_s=1.5
    )


def test_a_signal_is_not_an_exit_code() -> None:
    outcome = judged(ChannelFacts(signal=9))
    assert (outcome.exit_code, outcome.signal, outcome.oom_killed) == (None, 9, False)


def test_an_oom_killed_child_is_told_beside_exit_code_zero() -> None:
    outcome = judged(ChannelFacts(exit_code=0, oom_kills=1))
    assert (outcome.exit_code, outcome.oom_killed) == (0, True)


def test_an_oom_killed_pid_1_is_told_by_the_engine() -> None:
    outcome = judged(SILENT, EngineFacts(exit_code=137, oom_killed=True))
    assert (outcome.signal, outcome.oom_killed, outcome.lost) == (9, True, "")


def test_a_refused_fork_is_told_beside_how_it_ended() -> None:
    assert judged(ChannelFacts(exit_code=1, refused_forks=3)).process_limit_hit
    assert not judged(ChannelFacts(exit_code=1)).process_limit_hit


@pytest.mark.parametrize("reason", StopReason)
def test_what_we_stopped_is_told_so_with_and_without_a_last_word(reason: StopReason) -> None:
    for channel in (ChannelFacts(signal=9), SILENT):
        outcome = judged(channel, None, reason)
        assert (outcome.stopped, outcome.signal, outcome.lost) == (reason, 9, "")


def test_a_program_that_ended_by_itself_at_its_time_limit_was_not_stopped() -> None:
    outcome = judged(ChannelFacts(exit_code=0), None, StopReason.TIME_LIMIT)
    assert (outcome.stopped, outcome.exit_code) == (None, 0)


def test_too_much_output_is_told_even_when_the_program_ended_by_itself() -> None:
    outcome = judged(ChannelFacts(exit_code=0), None, StopReason.OUTPUT_LIMIT)
    assert (outcome.stopped, outcome.exit_code) == (StopReason.OUTPUT_LIMIT, 0)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (None, "the Docker engine does not say why"),
        (EngineFacts(found=False), "removed by somebody else"),
        (EngineFacts(running=True), "connection to the sandbox broke off"),
        (EngineFacts(exit_code=137), "killed from outside"),
        (EngineFacts(exit_code=1), "without reporting"),
    ],
)
def test_a_box_that_went_without_a_word_is_lost(engine: EngineFacts | None, words: str) -> None:
    outcome = judged(SILENT, engine)
    assert words in outcome.lost
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (None, None, None)


@pytest.mark.parametrize(("word", "code"), [("missing", 127), ("denied", 126), ("unfit", 126)])
def test_a_command_that_cannot_start_exits_as_in_a_shell(word: str, code: int) -> None:
    outcome = judged(ChannelFacts(not_started=word))
    assert (outcome.exit_code, outcome.lost) == (code, "")
    assert outcome.stderr is not None
    assert b"command" in outcome.stderr.head


@pytest.mark.parametrize("word", ["files", "killed", "protocol", "too_large", "never heard of"])
def test_a_request_that_could_not_be_carried_out_is_lost(word: str) -> None:
    outcome = judged(ChannelFacts(not_started=word))
    assert outcome.lost
    assert outcome.exit_code is None


@pytest.mark.parametrize(
    ("word", "never_fits"),
    [("files", True), ("too_large", True), ("killed", False), ("protocol", False)],
)
def test_what_never_ran_says_so_and_whether_it_ever_could(word: str, never_fits: bool) -> None:
    outcome = judged(ChannelFacts(not_started=word))
    assert (outcome.not_started, outcome.never_fits) == (True, never_fits)


def test_a_program_that_ran_is_never_told_as_not_started() -> None:
    for channel in (ChannelFacts(exit_code=1), SILENT, ChannelFacts(not_started="missing")):
        assert not judged(channel).not_started


def test_a_stop_from_outside_is_lost_unless_we_stopped_it_first() -> None:
    stopped_outside = ChannelFacts(stopped_outside=True)
    outcome = judged(stopped_outside)
    assert (outcome.signal, outcome.exit_code) == (None, None)
    assert "stopped from outside" in outcome.lost
    ours = judged(stopped_outside, None, StopReason.CANCELLED)
    assert (ours.stopped, ours.signal, ours.lost) == (StopReason.CANCELLED, 9, "")
