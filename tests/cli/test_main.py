"""The commands as a person types them, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from auxot_tools.cli.main import COMMANDS, cli


def auxot(
    *arguments: str, cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUXOT_")}
    return subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", *arguments],
        cwd=cwd,
        input=stdin,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    told = auxot("--help", cwd=tmp_path).stdout
    for command, listed in COMMANDS.items():
        assert f"  {command} " in told
        assert listed.about in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name


def test_list_shows_tools_and_those_in_quarantine_with_the_reason(tmp_path: Path) -> None:
    for name, text in (("good", None), ("bad", '{"descripton": "x"}')):
        folder = tmp_path / "tools" / name
        folder.mkdir(parents=True)
        declaration = {
            "description": "Says hello.",
            "input_schema": {"type": "object"},
            "command": ["python3", "main.py"],
        }
        (folder / "tool.json").write_text(text or json.dumps(declaration))
    (tmp_path / "auxot.toml").write_text('[worker]\ntools_dirs = ["tools"]\n')

    listed = auxot("list", cwd=tmp_path)
    assert listed.returncode == 0
    assert "good" in listed.stdout
    assert "QUARANTINED" in listed.stdout
    assert "did you mean `description`?" in listed.stdout
    as_json = json.loads(auxot("list", "--json", cwd=tmp_path).stdout)
    assert [tool["name"] for tool in as_json["tools"]] == ["good"]
    assert [tool["name"] for tool in as_json["quarantined"]] == ["bad"]


def test_every_mistake_of_a_configuration_is_told_at_once_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text('[router]\nmax_rounds = 0\nlissten = "x"\n')
    shown = auxot("config", "show", cwd=tmp_path)
    assert shown.returncode == 2
    assert "router.max_rounds" in shown.stderr
    assert "did you mean" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_config_show_tells_sources_and_no_secret(tmp_path: Path) -> None:
    shown = auxot("config", "show", cwd=tmp_path, AUXOT_WORKER_KEY="very-secret-key")
    assert shown.returncode == 0
    assert "AUXOT_WORKER_KEY" in shown.stdout
    assert "very-secret-key" not in shown.stdout + shown.stderr


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    made = auxot("keys", "create", "--name", "laptop", cwd=tmp_path)
    assert made.returncode == 0
    key = made.stdout.strip()
    assert key.startswith("rtr_")
    assert key not in (tmp_path / "keys.toml").read_text()


def test_a_call_without_a_worker_says_so_and_exits_1(tmp_path: Path) -> None:
    called = auxot(
        "call", "code_executor", cwd=tmp_path, AUXOT_ROUTER__WORKER=f"unix:{tmp_path}/none.sock"
    )
    assert called.returncode == 1
    assert "cannot be reached" in called.stdout
    assert "Traceback" not in called.stderr


@pytest.mark.parametrize("command", ["worker", "router"])
def test_a_setting_that_cannot_be_used_is_named_and_exits_2(tmp_path: Path, command: str) -> None:
    environment = {
        "AUXOT_WORKER__LISTEN": "0.0.0.0:50061",
        "AUXOT_ROUTER__KEYS_FILE": "none.toml",
        "AUXOT_SANDBOX__ENGINE_URL": "unix:///nonexistent.sock",
    }
    started = auxot(command, cwd=tmp_path, **environment)
    assert started.returncode == 2
    assert "does not answer" not in started.stderr  # nothing was asked of an engine
    assert "Traceback" not in started.stderr
    named = {"worker": "worker.listen", "router": "router.keys_file"}[command]
    assert named in started.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "1e9", "soon"])
def test_a_timeout_that_is_none_is_a_usage_error(tmp_path: Path, seconds: str) -> None:
    called = auxot("call", "x", "--timeout", seconds, cwd=tmp_path)
    assert called.returncode == 2
    assert "--timeout" in called.stderr


def test_an_input_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    called = auxot("call", "x", "--input", "@missing.json", cwd=tmp_path)
    assert called.returncode == 2
    assert "missing.json" in called.stderr


@pytest.mark.engine
def test_a_runtime_that_the_engine_does_not_have_ends_the_start_with_those_it_has(
    tmp_path: Path,
) -> None:
    started = auxot("worker", cwd=tmp_path, AUXOT_SANDBOX__RUNTIME="kataa")
    assert started.returncode == 2
    assert "`sandbox.runtime` is kataa" in started.stderr
    assert "runc" in started.stderr
    assert "Traceback" not in started.stderr
