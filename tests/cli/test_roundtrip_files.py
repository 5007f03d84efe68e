"""The files of `auxot-tools roundtrip`: tried before a run, written after what is shown."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from auxot_tools.cli.roundtrip import roundtrip
from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.recording import Answer, Exchanged, Facts, Recording, Sent, load, save

FACTS = Facts("http://127.0.0.1:1", "m", "abc", False, False, "echo", 15.0)
NO_KEY = Exchanged("no-key", Sent("POST", "/v1/messages"), Answer(401, 0.1, {}))
NOBODY = ["--url", "http://127.0.0.1:1", "--key", "k-of-this-test", "--model", "m"]


def saved(tmp_path: Path, **facts: bool) -> str:
    made = Facts(**{name: getattr(FACTS, name) for name in Facts.__slots__} | facts)
    save(Recording(made, {"no-key": NO_KEY}), tmp_path / "run.json")
    return str(tmp_path / "run.json")


@pytest.mark.parametrize("option", ["--record", "--junit", "--html"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(option: str) -> None:
    done = CliRunner().invoke(roundtrip, [*NOBODY, option, "/nowhere/file"])
    assert isinstance(done.exception, ConfigError)
    assert "/nowhere/file cannot be written" in str(done.exception)


def test_a_run_that_could_not_be_made_leaves_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("kept")
    files = ["--junit", str(tmp_path / "old"), "--html", str(tmp_path / "new")]
    done = CliRunner().invoke(roundtrip, [*NOBODY, *files])
    assert "nobody listens" in str(done.exception)
    assert (tmp_path / "old").read_text() == "kept"
    assert not (tmp_path / "new").exists()


def test_a_recording_is_its_owners_alone_where_a_file_of_all_was(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("x")
    (tmp_path / "run.json").chmod(0o644)
    path = saved(tmp_path)
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_results_are_shown_though_their_file_cannot_be_written(tmp_path: Path) -> None:
    options = ["--replay", saved(tmp_path), "--only", "auth.missing-key", "--html", "/dev/full"]
    done = CliRunner().invoke(roundtrip, options)
    assert "1 passed, 0 failed" in done.output
    assert "/dev/full cannot be written: no space left on device" in str(done.exception)


def test_a_pipe_in_place_of_a_recording_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no file"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("only", "is_cut_short", "code", "words"),
    [
        ("auth.missing-key", False, 0, "1 passed, 0 failed, 0 not testable"),
        ("auth.missing-key", True, 2, "cut short"),
        ("auth.final", True, 1, "cut short"),
        ("mixed", False, 2, "nothing could be tested"),
    ],
)
def test_only_what_could_be_tried_and_tested_is_a_success(
    tmp_path: Path, only: str, is_cut_short: bool, code: int, words: str
) -> None:
    path = saved(tmp_path, is_cut_short=is_cut_short)
    done = CliRunner().invoke(roundtrip, ["--replay", path, "--only", only])
    assert done.exit_code == code
    assert words in " ".join(done.output.split())
