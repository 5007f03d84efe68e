"""What the doctor is given in files: text, or a sentence that says why it is none."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from auxot_tools.cli.main import cli


@pytest.mark.parametrize(
    ("command", "option"),
    [("url", "--pasted"), ("client", "--snippet"), ("url", "--key-file")],
)
def test_a_file_that_is_no_text_is_told_in_place_of_being_read_as_one(
    tmp_path: Path, command: str, option: str
) -> None:
    file = tmp_path / "program"
    for content in (b"\x7fELF\x00https://example.com\x00", "rtr_key".encode("utf-16")):
        file.write_bytes(content)
        typed = ["doctor", command, "--url", "http://127.0.0.1:1", option, str(file)]
        done = CliRunner().invoke(cli, typed)
        assert done.exit_code == 2
        assert f"{option}: {file} is no text in UTF-8" in done.stderr
