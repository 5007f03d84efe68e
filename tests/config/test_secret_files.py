"""Secret settings may lie in files: the same rules as for their values, and never a value told."""

import os
from pathlib import Path

import pytest

from auxot_tools.config import load_config
from auxot_tools.config.secret_files import secret_names
from auxot_tools.errors import ConfigError


def secret_file(folder: Path, data: bytes) -> str:
    file = folder / "secret"
    file.write_bytes(data)
    return str(file)


@pytest.mark.parametrize("data", [b"k3y", b"k3y\n", b"k3y\r\n"])
def test_a_key_is_read_from_the_file_that_the_environment_names(
    tmp_path: Path, data: bytes
) -> None:
    environ = {"AUXOT_WORKER_KEY_FILE": secret_file(tmp_path, data)}
    config = load_config(None, environ, tmp_path).config
    assert config.worker.key.get_secret_value() == "k3y"
    assert config.router.worker_key.get_secret_value() == "k3y"


@pytest.mark.parametrize("name", sorted(set(secret_names())))
def test_every_secret_may_lie_in_a_file(tmp_path: Path, name: str) -> None:
    loaded = load_config(None, {f"{name}_FILE": secret_file(tmp_path, b"s")}, tmp_path)
    assert f"environment {name}" in loaded.sources.values()


def test_a_value_beside_a_file_is_a_mistake_that_tells_neither(tmp_path: Path) -> None:
    environ = {
        "AUXOT_UPSTREAM_API_KEY": "value",
        "AUXOT_UPSTREAM_API_KEY_FILE": secret_file(tmp_path, b"other"),
    }
    with pytest.raises(ConfigError) as caught:
        load_config(None, environ, tmp_path)
    (told,) = caught.value.mistakes
    assert told == (
        "AUXOT_UPSTREAM_API_KEY and AUXOT_UPSTREAM_API_KEY_FILE (environment) are both set: "
        "unset one."
    )


@pytest.mark.parametrize(
    ("empty", "file"),
    [
        ("AUXOT_WORKER_KEY", "AUXOT_WORKER_KEY_FILE"),
        ("AUXOT_WORKER__KEY", "AUXOT_WORKER_KEY_FILE"),
        ("AUXOT_ROUTER__WORKER_KEY", "AUXOT_WORKER_KEY_FILE"),
        ("AUXOT_WORKER_KEY", "AUXOT_WORKER__KEY_FILE"),
    ],
)
def test_a_name_that_is_set_to_nothing_does_not_win_over_a_file(
    tmp_path: Path, empty: str, file: str
) -> None:
    config = load_config(None, {empty: "", file: secret_file(tmp_path, b"k3y")}, tmp_path).config
    assert config.worker.key.get_secret_value() == "k3y"
    assert config.router.worker_key.get_secret_value() == "k3y"


def test_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(ConfigError, match=f"the file {path} is no regular file"):
            load_config(None, {"AUXOT_WORKER_KEY_FILE": str(path)}, tmp_path)


@pytest.mark.parametrize("data", [b"sec\n\n", b"sec\nret", b"\xef\xbb\xbfsec", b"sec\0"])
def test_more_than_the_value_is_told_with_the_name_of_the_file(tmp_path: Path, data: bytes) -> None:
    path = secret_file(tmp_path, data)
    with pytest.raises(ConfigError, match=f"the file {path} holds more than one line, or char"):
        load_config(None, {"AUXOT_WORKER_KEY_FILE": path}, tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AUXOT_ROUTER_KEY_FILE", "AUXOT_ROUTER__KEYS_FILE"),
        ("AUXOT_WORKR_KEY_FILE", "AUXOT_WORKER_KEY_FILE"),
        ("AUXOT_ROUTER_WORKER_KEY_FILE", "AUXOT_ROUTER__WORKER_KEY_FILE"),
    ],
)
def test_a_misspelled_name_of_a_file_is_a_mistake(tmp_path: Path, name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} .*; did you mean {meant}\?"):
        load_config(None, {name: "/x"}, tmp_path)


def test_a_file_of_another_program_is_no_mistake(tmp_path: Path) -> None:
    load_config(None, {"AUXOT_REGISTRY_FILE": "/x"}, tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * 40_000, "larger than"),
        (b"sec\xffret", "not UTF-8"),
        (b"sec ret", "allowed: printable ASCII"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_without_its_content(
    tmp_path: Path, data: bytes | None, words: str
) -> None:
    path = str(tmp_path / "none") if data is None else secret_file(tmp_path, data)
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"AUXOT_WORKER_KEY_FILE": path}, tmp_path)
    told = "\n".join(caught.value.mistakes)
    assert words in told
    assert "AUXOT_WORKER_KEY" in told
    assert "ret" not in told.replace("secret", "")


def test_only_secrets_have_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AUXOT_ROUTER__LISTEN_FILE"):
        load_config(None, {"AUXOT_ROUTER__LISTEN_FILE": "/x"}, tmp_path)
