"""The tools of a worker as its configuration says."""

import json
from pathlib import Path

import pytest

from auxot_tools.assembly.tools import (
    HOSTED_TOOLS,
    check_credentials,
    equipment,
    load_registry,
    tell_unknown_names,
)
from auxot_tools.config import Credentials, load_config, read_credentials
from auxot_tools.errors import ConfigError
from auxot_tools.net.outbound import Outbound, outbound_limits, outbound_rules
from auxot_tools.share import share_dir
from auxot_tools.worker.policy import Policy, Rule

OURS = {path.parent.name for path in share_dir("tools").glob("*/tool.json")}


def names(tmp_path: Path, **environ: str) -> set[str]:
    registry = load_registry(load_config(None, environ, tmp_path).config)
    assert registry.quarantined == ()
    return set(registry.tools)


def test_every_tool_of_the_package_loads_without_settings(tmp_path: Path) -> None:
    assert names(tmp_path) == OURS


def test_a_worker_has_what_is_allowed_and_what_reads_its_output(tmp_path: Path) -> None:
    assert names(tmp_path, AUXOT_ALLOWED_TOOLS="bash,memory") == {"bash", "memory", "read_output"}
    assert names(tmp_path, AUXOT_ALLOWED_TOOLS="") == OURS


@pytest.mark.anyio
async def test_every_hosted_tool_is_declared_and_implemented(tmp_path: Path) -> None:
    config = load_config(None, {}, tmp_path).config
    declared = {
        path.parent.name
        for path in share_dir("tools").glob("*/tool.json")
        if json.loads(path.read_bytes()).get("runs") == "host"
    }
    outbound = Outbound(outbound_rules(config.net), outbound_limits(config.net))
    async with outbound, equipment(config, "worker", outbound, Credentials(), ()) as made:
        assert set(made.hosted) == set(HOSTED_TOOLS) == declared


def test_a_credential_that_would_change_how_programs_start_ends_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tools = load_registry(load_config(None, {}, tmp_path).config).tools.values()
    bad = read_credentials({"AUXOT_TOOLS_CODE_EXECUTOR__LD_PRELOAD": "SECRET"}, tmp_path)
    with pytest.raises(ConfigError, match=r"AUXOT_TOOLS_CODE_EXECUTOR__.*LD_PRELOAD") as raised:
        check_credentials(tools, bad)
    environ = {"AUXOT_TOOLS_NOBODY__KEY": "SECRET", "AUXOT_TOOLS_BASH__KEY": "SECRET"}
    check_credentials(tools, read_credentials(environ, tmp_path))
    assert "'nobody', which is not here" in caplog.text
    assert "bash keeps sessions" in caplog.text
    assert "SECRET" not in str(raised.value) + caplog.text


def test_names_that_no_tool_has_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(None, {"AUXOT_WORKER__HOST_TOOLS": "deploi"}, tmp_path).config
    policy = Policy((Rule(tools=("bsah",)), Rule(tools=("web_*", "*"))))
    tell_unknown_names(config, policy, OURS)
    assert "worker.policy_file names no tool that is here: bsah" in caplog.text
    assert "worker.host_tools names no tool that is here: deploi" in caplog.text
    assert "allowed_tools" not in caplog.text


def told_of(tmp_path: Path, allowed: str, dirs: str = "") -> None:
    environ = {"AUXOT_ALLOWED_TOOLS": allowed, "AUXOT_WORKER__TOOLS_DIRS": dirs}
    config = load_config(None, environ, tmp_path).config
    tell_unknown_names(config, Policy(()), load_registry(config).tools)


def test_allowed_names_of_which_no_tool_is_left_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        told_of(tmp_path, "code_exec,zzz")
    assert str(raised.value) == (
        "worker.allowed_tools (AUXOT_ALLOWED_TOOLS) names no tool that is here: "
        "code_exec (did you mean code_executor?), zzz. So there would be no tool at all."
    )


def test_an_allowed_name_beside_good_ones_is_told_with_the_nearest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told_of(tmp_path, "bash,code_exec")
    assert "is here: code_exec (did you mean code_executor?)" in caplog.text


def test_a_tool_in_quarantine_is_no_wrong_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tools" / "mine").mkdir(parents=True)
    told_of(tmp_path, "mine", "tools")  # does not end the start
    assert "names no tool" not in caplog.text
