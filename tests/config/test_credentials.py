"""Credentials of tools: found in the environment and in files, each for its one tool."""

import os
from pathlib import Path

import pytest

from auxot_tools.config.credentials import MAX_BYTES, read_credentials
from auxot_tools.config.load import load_config
from auxot_tools.errors import ConfigError

TOOLS = ("web_search", "my-tool", "Weather")


def test_each_tool_has_its_own(tmp_path: Path) -> None:
    environ = {
        "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY": "a",
        "AUXOT_TOOLS_web_search__OTHER": "b",
        "AUXOT_TOOLS_MY_TOOL__KEY": "c",
        "AUXOT_TOOLS_MY-TOOL__KEY__TWO": "d",
        "AUXOT_TOOLS_weather__TOKEN": "e",
        "AUXOT_TOOLS_UNKNOWN__KEY": "f",
        "AUXOT_TOOLS_KEY": "the worker's own",
        "BRAVE_SEARCH_API_KEY": "nobody's",
    }
    found = read_credentials(environ, tmp_path / "none")
    assert {tool: dict(found.of(tool)) for tool in (*TOOLS, "another")} == {
        "web_search": {"BRAVE_SEARCH_API_KEY": "a", "OTHER": "b"},
        "my-tool": {"KEY": "c", "KEY__TWO": "d"},
        "Weather": {"TOKEN": "e"},
        "another": {},
    }
    assert found.for_none_of(TOOLS) == ["unknown"]
    assert "'a'" not in repr(found)


def test_files_hold_credentials_too_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "AUXOT_TOOLS_WEATHER__A").write_text("from the folder\n")
    (tmp_path / "AUXOT_TOOLS_WEATHER__B").write_text("from the folder")
    (tmp_path / "something-else").write_text("x")
    named = tmp_path / "named"
    named.write_bytes(b"named\r\n")
    environ = {
        "AUXOT_TOOLS_WEATHER__B": "from the environment",
        "AUXOT_TOOLS_WEATHER__C_FILE": str(named),
        "AUXOT_TOOLS_WEATHER__B_FILE": "/nowhere",
    }
    assert read_credentials(environ, tmp_path).of("Weather") == {
        "A": "from the folder",
        "B": "from the environment",
        "C": "named",
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        ("a\0SECRET", "NUL"),
        ("SECRET" * MAX_BYTES, "larger than"),
    ],
    ids=["empty", "nul", "large"],
)
def test_what_no_program_can_be_given_is_a_mistake_that_shows_no_value(
    tmp_path: Path, value: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        read_credentials({"AUXOT_TOOLS_WEATHER__KEY": value}, tmp_path)
    assert "SECRET" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe")
    told = {"none": "no such file", "binary": "not UTF-8", "pipe": "no regular file"}
    for file, words in told.items():
        environ = {"AUXOT_TOOLS_WEATHER__KEY_FILE": str(tmp_path / file)}
        with pytest.raises(ConfigError, match=f"AUXOT_TOOLS_WEATHER__KEY: .*{words}"):
            read_credentials(environ, tmp_path)


def test_a_credential_is_no_wrong_setting(tmp_path: Path) -> None:
    load_config(None, {"AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY": "a"}, tmp_path)
