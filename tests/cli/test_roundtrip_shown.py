"""What `auxot-tools roundtrip` shows, at a terminal and in a file; options that do not count."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.text import Text

from auxot_tools.cli.roundtrip import roundtrip
from auxot_tools.roundtrip.recording import Answer, Exchanged, Facts, Piece, Recording, Sent, save

FACTS = Facts("http://127.0.0.1:1/api", "m", "abc", False, False, "echo", 15.0, "2026-11-24", "x")
LONG = "世界 and a long sentence about what is wrong here, which no line of a terminal holds. " * 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recording in which a wrong key is let in with an error, and nothing else was sent."""
    body = json.dumps({"type": "error", "error": {"type": LONG, "message": LONG}}).encode()
    answer = Answer(403, 0.1, {"content-type": "application/json"}, (Piece(body, 0.2),))
    sent = Sent("POST", "/v1/messages", {}, {"model": "m", "messages": []})
    each = Exchanged("wrong-key", sent, answer)
    save(Recording(FACTS, {each.name: each}), tmp_path / "run.json")
    return tmp_path / "run.json"


def shown(*options: str, **environ: str) -> list[str]:
    return CliRunner().invoke(roundtrip, options, env=environ).output.splitlines()


def test_in_a_file_a_check_is_a_line_and_no_line_is_cut_or_filled_up(file: Path) -> None:
    lines = shown("--replay", str(file), COLUMNS="60")
    assert not [line for line in lines if line != line.rstrip()]
    told = [line for line in lines if "Betas, thinking and fields that" in line]
    assert told[0].startswith("NOT TESTABLE  shapes.extras")
    assert told[0].endswith("that Claude Code sends besides are taken.")


def test_at_a_terminal_no_line_is_wider_than_it(file: Path) -> None:
    for columns in (80, 132):
        lines = shown("--replay", str(file), COLUMNS=str(columns), FORCE_COLOR="1")
        widths = [cell_len(Text.from_ansi(line).plain) for line in lines]
        assert max(widths) <= columns, lines[widths.index(max(widths))]


def test_a_terminal_without_colours_gets_none(file: Path) -> None:
    lines = shown("--replay", str(file), COLUMNS="80", FORCE_COLOR="1", NO_COLOR="1")
    assert not [line for line in lines if "\x1b[3" in line or "\x1b[9" in line]


def test_the_score_of_each_group_and_what_failed_stand_at_the_end(file: Path) -> None:
    lines = shown("--replay", str(file), "--only", "auth", "--only", "errors.type")
    assert lines[-4:] == [
        "auth    1 passed, 1 failed, 5 not testable",
        "errors  0 passed, 1 failed, 0 not testable",
        "failed:  auth.wrong-key, errors.type",
        "1 passed, 2 failed, 5 not testable",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quiet-s", "60"], "--quiet-s is as the recording has it: leave it out"),
        (["--tool-input", "{}"], "--tool-input is as the recording has it"),
        (["--url", "http://h", "--tool", "x"], "--tool is as the recording has it"),
        (
            ["--upstream-listen", "1"],
            "--upstream-listen is for a run: name its endpoint",
        ),
        (["--record", "x.json"], "--record is for a run"),
        (["--model", "m"], "--model is for a run"),
    ],
)
def test_an_option_that_would_not_count_is_refused(
    file: Path, options: list[str], words: str
) -> None:
    done = CliRunner().invoke(roundtrip, ["--replay", str(file), *options])
    assert done.exit_code == 2
    assert words in done.output


def test_a_place_that_takes_ascii_alone_gets_every_line(file: Path) -> None:
    """A container without a locale, or a CI's log."""
    command = [sys.executable, "-m", "auxot_tools.cli.main", "roundtrip", "--replay", str(file)]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environ, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == b""
    assert done.stdout.rstrip().endswith(b" not testable")
