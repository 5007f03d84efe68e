"""What a model reads of what happened in a box."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.ports import BoxLimits, KeptOutput, SandboxOutcome, StopReason
from auxot_tools.types import Status, ToolResult
from auxot_tools.worker.result import RunFacts, kept_text, outcome_result

MIB = 2**20
calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FACTS = RunFacts("toolu_1", BoxLimits(timeout_s=30.0, memory_bytes=512 * MIB), "box-1", "call")


def result(outcome: SandboxOutcome) -> ToolResult:
    return outcome_result(outcome, FACTS)


def text(outcome: SandboxOutcome) -> str:
    (block,) = result(outcome).content
    assert block["type"] == "text"
    return str(block["text"])


def out(data: bytes) -> KeptOutput:
    return KeptOutput(data)


def test_output_of_a_program_that_went_well_is_just_the_text() -> None:
    assert text(SandboxOutcome(exit_code=0, stdout=out(b"42\n"))) == "42"


def test_no_output_is_said() -> None:
    assert text(SandboxOutcome(exit_code=0)) == "(no output)"
    assert text(SandboxOutcome(exit_code=0, stdout=out(b"\n"))) == "(no output)"


def test_output_of_whitespace_only_is_said() -> None:
    assert text(SandboxOutcome(exit_code=0, stdout=out(b"  \n\n"))) == (
        "(only whitespace: 3 characters)"
    )


def test_stdout_stderr_and_exit_code_are_told_apart() -> None:
    outcome = SandboxOutcome(exit_code=3, stdout=out(b"a\n"), stderr=out(b"b\n"))
    assert text(outcome) == "exit code: 3\n\nstdout:\na\n\nstderr:\nb"
    assert result(outcome).status is Status.COMPLETED
    assert not result(outcome).is_error
    assert result(outcome).exit_code == 3


def test_warnings_of_a_program_that_went_well_are_told_with_exit_code_0() -> None:
    outcome = SandboxOutcome(exit_code=0, stdout=out(b"a"), stderr=out(b"warning"))
    assert text(outcome) == "exit code: 0\n\nstdout:\na\n\nstderr:\nwarning"


def test_a_failure_without_output_says_so() -> None:
    assert text(SandboxOutcome(exit_code=1)) == "exit code: 1\n\n(no output)"


def test_a_signal_is_named_and_is_no_failure_of_the_tool() -> None:
    outcome = SandboxOutcome(signal=11, stdout=out(b"a"))
    assert text(outcome) == "The program was ended by signal 11 (SIGSEGV).\n\nstdout:\na"
    assert result(outcome).status is Status.COMPLETED
    assert "signal 34." in text(SandboxOutcome(signal=34)) or "SIGRTMIN" in text(
        SandboxOutcome(signal=34)
    )


# Outcome -> status and the sentence that only this status has.
STATUSES = [
    (
        SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT, duration_s=30.1),
        Status.TIMED_OUT,
        "Timed out: the program was stopped at its time limit of 30 s.",
    ),
    (
        SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT, duration_s=4.2),
        Status.TIMED_OUT,
        "Timed out: the program was stopped after 4.2 s, which was all the time left",
    ),
    (
        SandboxOutcome(signal=9, stopped=StopReason.OUTPUT_LIMIT),
        Status.OUTPUT_LIMIT,
        "Stopped: it wrote more than 256 MiB of output.",
    ),
    (
        SandboxOutcome(signal=9, stopped=StopReason.CANCELLED),
        Status.CANCELLED,
        "Cancelled: the program was stopped before its end",
    ),
    (
        SandboxOutcome(signal=9, oom_killed=True),
        Status.OUT_OF_MEMORY,
        "Out of memory: the limit of 512 MiB was reached",
    ),
    (
        SandboxOutcome(exit_code=1, oom_killed=True),
        Status.OUT_OF_MEMORY,
        "Out of memory: the limit of 512 MiB was reached",
    ),
    (
        SandboxOutcome(exit_code=0, oom_killed=True),
        Status.COMPLETED,
        "A process that the program started was killed because the memory limit of 512 MiB",
    ),
    (
        SandboxOutcome(signal=9, oom_killed=True, stopped=StopReason.TIME_LIMIT),
        Status.TIMED_OUT,
        "The memory limit of 512 MiB was reached as well.",
    ),
    (
        SandboxOutcome(exit_code=1, process_limit_hit=True),
        Status.PROCESS_LIMIT,
        "Process limit: the program had 128 processes and threads at once",
    ),
    (
        SandboxOutcome(signal=6, process_limit_hit=True),
        Status.PROCESS_LIMIT,
        "Process limit: the program had 128 processes and threads at once",
    ),
    (
        SandboxOutcome(exit_code=0, process_limit_hit=True),
        Status.COMPLETED,
        "The limit of 128 processes and threads at once was reached, and at least one more was",
    ),
    (
        SandboxOutcome(signal=9, process_limit_hit=True, stopped=StopReason.TIME_LIMIT),
        Status.TIMED_OUT,
        "The limit of 128 processes and threads at once was reached as well.",
    ),
    (
        SandboxOutcome(exit_code=1, process_limit_hit=True, oom_killed=True),
        Status.OUT_OF_MEMORY,
        "Out of memory: ",
    ),
    (
        SandboxOutcome(lost="the engine stopped", process_limit_hit=True),
        Status.UNAVAILABLE,
        "There is no result: the engine stopped.",
    ),
    (
        SandboxOutcome(lost="the engine stopped"),
        Status.UNAVAILABLE,
        "There is no result: the engine stopped.",
    ),
    (
        SandboxOutcome(lost="the files are too large", not_started=True, never_fits=True),
        Status.INVALID_ARGUMENTS,
        "Nothing was run: the files are too large.",
    ),
    (
        SandboxOutcome(lost="the box was stopped", not_started=True),
        Status.UNAVAILABLE,
        "Nothing was run: the box was stopped. Try again.",
    ),
    (
        SandboxOutcome(lost="x", not_started=True, stopped=StopReason.CANCELLED),
        Status.CANCELLED,
        "Nothing was run: x.",
    ),
    (
        SandboxOutcome(),
        Status.UNAVAILABLE,
        "There is no result: the sandbox went away while the program ran.",
    ),
    (SandboxOutcome(exit_code=137), Status.COMPLETED, "exit code: 137"),
    (SandboxOutcome(signal=9), Status.COMPLETED, "ended by signal 9 (SIGKILL)"),
]


@pytest.mark.parametrize(("outcome", "status", "said"), STATUSES)
def test_each_end_has_its_own_status_and_sentence(
    outcome: SandboxOutcome, status: Status, said: str
) -> None:
    assert result(outcome).status is status
    assert said in text(outcome)


def test_what_never_ran_is_never_said_to_have_had_an_effect() -> None:
    for never_fits in (True, False):
        said = text(SandboxOutcome(lost="x", not_started=True, never_fits=never_fits))
        assert "effect" not in said


@pytest.mark.parametrize(
    ("limit_s", "shown"),
    [(5e-324, "0.001 s"), (0.1 + 0.2, "0.3 s"), (30.0, "30 s"), (1234.5678, "1234.568 s")],
)
def test_a_time_limit_is_told_to_the_millisecond(limit_s: float, shown: str) -> None:
    facts = RunFacts("toolu_1", BoxLimits(timeout_s=limit_s))
    outcome = SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT, duration_s=limit_s)
    assert f"its time limit of {shown}." in outcome_result(outcome, facts).content[0]["text"]


def test_a_stop_because_of_the_worker_is_told_so() -> None:
    outcome = SandboxOutcome(signal=9, stopped=StopReason.CANCELLED)
    facts = RunFacts("toolu_1", BoxLimits(), worker_is_stopping=True)
    assert "because this worker is stopping" in outcome_result(outcome, facts).content[0]["text"]
    assert "because the call was given up" in text(outcome)


@pytest.mark.parametrize("reason", StopReason)
def test_output_before_a_stop_is_kept(reason: StopReason) -> None:
    outcome = SandboxOutcome(signal=9, stopped=reason, stdout=out(b"so far"))
    assert text(outcome).endswith("stdout:\nso far")


def test_what_was_left_out_is_told_with_its_exact_size() -> None:
    kept = KeptOutput(b"head", b"tail", 12345)
    assert text(SandboxOutcome(exit_code=0, stdout=kept)) == "head\n[12345 bytes left out]\ntail"
    both = SandboxOutcome(exit_code=0, stdout=kept, stderr=KeptOutput(b"a", b"b", 5))
    assert result(both).omitted_bytes == 12350


def test_a_cut_through_a_character_leaves_no_rubbish() -> None:
    euro = "€".encode()
    kept = KeptOutput(b"a" + euro[:2], euro[2:] + b"b", 10)
    assert kept_text(kept) == "a\n[13 bytes left out]\nb"
    whole = KeptOutput(b"a" + euro, euro + b"b", 10)
    assert kept_text(whole) == "a€\n[10 bytes left out]\n€b"


def test_invalid_utf8_is_replaced() -> None:
    assert kept_text(out(b"a\xff\xfeb")) == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b[2J\x1b[1;1Hx", "x"),
        (b"a\x00b", "a\u2400b"),
        (b"a\x08b\x7f", "a\u2408b\u2421"),
        (b"10%\r20%\r\nend", "10%\n20%\nend"),
        (b"tab\tline\n.", "tab\tline\n."),
        ("\x9b31m".encode(), "\ufffd31m"),
        (b"\x1b", "\u241b"),
        ("a\u202egpj.exe\u2066b".encode(), "a\ufffdgpj.exe\ufffdb"),
        (b"\x1b]never ended, still shown", "never ended, still shown"),
    ],
)
def test_control_sequences_are_made_harmless(data: bytes, shown: str) -> None:
    assert kept_text(out(data)) == shown


@calmly
@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 10))
def test_any_bytes_become_clean_text(head: bytes, tail: bytes, omitted_bytes: int) -> None:
    kept = KeptOutput(head, tail, omitted_bytes)
    (block,) = result(SandboxOutcome(exit_code=0, stdout=kept)).content
    assert block["text"].strip()
    block["text"].encode()
    assert all(char in "\n\t" or char.isprintable() or ord(char) > 0x9F for char in block["text"])
