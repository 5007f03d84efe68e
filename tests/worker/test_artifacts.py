"""Files that a program left behind, as the caller gets them and as the model is told of them."""

import pytest

from auxot_tools.ports import (
    BoxLimits,
    CollectLimits,
    KeptOutput,
    LeftOutFile,
    OutputFile,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.types import Artifact, Status, ToolResult
from auxot_tools.worker.artifacts import files_notes, made_artifacts, media_type
from auxot_tools.worker.result import RunFacts, outcome_result

LIMITS = CollectLimits(files=2, file_bytes=2**20, total_bytes=100)
CHART = OutputFile("chart.png", b"12345")


def result(outcome: SandboxOutcome, notice: str = "") -> ToolResult:
    facts = RunFacts("toolu_1", BoxLimits(), "box-1", "call", notice=notice, collect=LIMITS)
    return outcome_result(outcome, facts)


def text(outcome: SandboxOutcome, notice: str = "") -> str:
    return str(result(outcome, notice).content[0]["text"])


def test_files_are_artifacts_and_named_above_the_output() -> None:
    outcome = SandboxOutcome(exit_code=0, stdout=KeptOutput(b"done\n"), files=(CHART,))
    assert result(outcome).artifacts == (Artifact("chart.png", "image/png", b"12345"),)
    assert text(outcome) == "Files: chart.png (5 bytes)\n\nstdout:\ndone"


def test_files_of_a_program_that_failed_or_was_stopped_are_returned_too() -> None:
    failed = SandboxOutcome(exit_code=2, files=(CHART,))
    assert text(failed) == "exit code: 2\n\nFiles: chart.png (5 bytes)\n\n(no output)"
    stopped = SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT, files=(CHART,))
    assert result(stopped).status is Status.TIMED_OUT
    assert len(result(stopped).artifacts) == 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("too_large", "it has more than 1 MiB"),
        ("not_a_file", "it is not a plain file"),
        ("too_many", "at most 2 files are returned"),
        ("total", "all files together may have 100 bytes"),
        ("unreadable", "it cannot be read"),
        ("name", "its name is not UTF-8 text"),
        ("lost", "the sandbox ended before it was handed over"),
        ("a_word_of_later", "it could not be taken"),
    ],
)
def test_a_file_that_is_not_returned_is_told_with_the_reason(reason: str, said: str) -> None:
    (note,) = files_notes((), (LeftOutFile("big.bin", reason),), LIMITS)
    assert note == f"Files in /work/out that are not returned: big.bin ({said})"


def test_of_thousands_of_files_left_out_the_first_are_named() -> None:
    left_out = [LeftOutFile(f"f{number}", "too_many") for number in range(1000)]
    (note,) = files_notes((), left_out, LIMITS)
    assert note.endswith("), and 980 more")
    assert len(note) < 2000


@pytest.mark.parametrize(
    ("name", "shown", "plain"),
    [
        ("a\nFiles: b", "a\u240aFiles: b", "a\u240aFiles: b"),
        ("\x1b[31mred\x00", "red\u2400", "red\u2400"),
        ("evil\u202egpj.exe", "evil\ufffdgpj.exe", "evil\ufffdgpj.exe"),
        ("half\ud800", "half?", "half?"),
        ("../up", "../up", ".._up"),
        ("..", "..", "_"),
        ("", "", "_"),
        ("x" * 255, "x" * 100 + "…", "x" * 255),
    ],
)
def test_a_name_is_made_harmless_wherever_it_goes(name: str, shown: str, plain: str) -> None:
    (note,) = files_notes((OutputFile(name, b""),), (), LIMITS)
    assert note == f"Files: {shown} (0 bytes)"
    (artifact,) = made_artifacts((OutputFile(name, b""),))
    assert artifact.name == plain
    artifact.name.encode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "text/csv"),
        ("a.PNG", "image/png"),
        ("a.webp", "image/webp"),
        ("a.json", "application/json"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("data:text/html,x.png", "image/png"),
        ("", "application/octet-stream"),
    ],
)
def test_the_media_type_comes_from_the_name(name: str, kind: str) -> None:
    assert media_type(name) == kind


def test_what_the_box_has_to_say_comes_first() -> None:
    notice = "The session was started anew: it had been idle for 10 minutes."
    plain = SandboxOutcome(exit_code=0, stdout=KeptOutput(b"42"), files=(CHART,))
    assert text(plain, notice).startswith(f"{notice}\n\nFiles: chart.png")
    failed = SandboxOutcome(signal=9, stopped=StopReason.TIME_LIMIT)
    assert text(failed, notice).startswith(f"{notice}\n\nTimed out: ")
    nothing = SandboxOutcome(lost="it was stopped", not_started=True)
    assert text(nothing, notice).startswith(f"{notice}\n\nNothing was run: ")
