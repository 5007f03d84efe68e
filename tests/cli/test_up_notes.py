"""What `auxot-tools up` says under its banner, and that one folder has one `up`."""

from contextlib import closing
from pathlib import Path

import pytest

from auxot_tools.cli.stack import Stack, _tail
from auxot_tools.cli.up import _locked, notes
from auxot_tools.config import load_config
from auxot_tools.errors import Unavailable

pytestmark = pytest.mark.anyio
SECRET = "sk-upstream-secret-1"


async def test_what_cannot_work_yet_is_told_with_what_to_do(tmp_path: Path) -> None:
    environ = {
        "AUXOT_UPSTREAM__URL": "http://127.0.0.1:9",
        "AUXOT_UPSTREAM_API_KEY": SECRET,
        "AUXOT_SANDBOX__ENGINE_URL": f"unix://{tmp_path}/no-engine.sock",
    }
    engine, upstream = await notes(load_config(None, environ, tmp_path).config)
    assert engine.startswith("NOTE  engine: ")
    assert upstream.startswith("NOTE  upstream: http://127.0.0.1:9 ")
    assert "nobody listens at this address. Start it, or correct its url." in upstream
    assert SECRET not in upstream


async def test_notes_do_not_wait_for_ever(tmp_path: Path) -> None:
    config = load_config(None, {"AUXOT_UPSTREAM__URL": "http://192.0.2.1:9"}, tmp_path).config
    assert "no answer within 0.01 s" in "".join(await notes(config, within_s=0.01))


def test_a_second_up_in_one_folder_is_refused_and_the_next_is_not(tmp_path: Path) -> None:
    with closing(_locked(tmp_path)), pytest.raises(Unavailable, match="--state-dir"):
        _locked(tmp_path)
    _locked(tmp_path).close()


async def test_of_a_log_only_this_runs_lines_are_quoted(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("a line of an earlier run\n")
    begin = log.stat().st_size
    log.write_text(log.read_text() + "a line of this one\n")
    assert await _tail(log, begin) == ["a line of this one"]
    assert {"worker_log_begin", "router_log_begin"} <= set(Stack.__dataclass_fields__)
