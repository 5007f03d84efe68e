"""The operator's limits and the sandbox's settings: what may be written, and what is said else."""

from pathlib import Path

import pytest

from auxot_tools.config import load_config
from auxot_tools.config.catalog import SETTINGS
from auxot_tools.errors import ConfigError

LIMITS = [name for name in SETTINGS if name.startswith("sandbox.limits.")]
COUNTS = [f"sandbox.{name}" for name in ("warm_calls", "sessions_per_tenant", "sessions")]
TIMES = ["sandbox.session_idle_s", "sandbox.session_age_s"]
NONSENSE = ["0", "-1", "1e300", "nan", "inf", "true", '"many"', '""', "[1]", "{}"]


def mistake(folder: Path, name: str, value: str) -> str:
    section, field = name.rsplit(".", 1)
    (folder / "auxot.toml").write_text(f"[{section}]\n{field} = {value}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(None, {}, folder)
    (sentence,) = caught.value.mistakes
    return sentence


@pytest.mark.parametrize("name", [*LIMITS, *COUNTS, *TIMES])
@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_in_the_place_of_a_limit_is_told(tmp_path: Path, name: str, value: str) -> None:
    sentence = mistake(tmp_path, name, value)
    assert sentence.startswith(f"{name} is ")
    assert sentence.endswith(f"allowed: {SETTINGS[name].allowed}.")


@pytest.mark.parametrize("name", [*LIMITS, *COUNTS, *TIMES])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e300", "many", "true"])
def test_nonsense_in_the_environment_is_told(tmp_path: Path, name: str, value: str) -> None:
    variable = SETTINGS[name].env_name
    with pytest.raises(ConfigError, match=f"{name} is .*environment {variable}.*allowed: a "):
        load_config(None, {variable: value}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sandbox.isolation", '"session"'),
        ("sandbox.isolation", '"none"'),
        ("sandbox.isolation", "1"),
        ("sandbox.allowed_isolation", '["warm", "cold"]'),
        ("sandbox.allowed_isolation", '"warm,cold"'),
        ("sandbox.allowed_isolation", "true"),
        ("sandbox.channel", '"tcp"'),
        ("sandbox.runtime", "1"),
        ("sandbox.ready", "65"),
        ("sandbox.ready", "-1"),
        ("sandbox.limits.memory_bytes", "33554431"),
        ("sandbox.limits.pids", "8.5"),
    ],
)
def test_a_setting_that_is_none_of_those_allowed_is_told(
    tmp_path: Path, name: str, value: str
) -> None:
    sentence = mistake(tmp_path, name, value)
    assert sentence.startswith(f"{name} is ")
    assert sentence.endswith(f"allowed: {SETTINGS[name].allowed}.")


def test_isolation_can_be_set_in_the_environment(tmp_path: Path) -> None:
    environ = {"AUXOT_SANDBOX__ISOLATION": "warm", "AUXOT_SANDBOX__ALLOWED_ISOLATION": "call, warm"}
    sandbox = load_config(None, environ, tmp_path).config.sandbox
    assert (sandbox.isolation, sandbox.allowed_isolation) == ("warm", ("call", "warm"))
    no_more = load_config(None, {"AUXOT_SANDBOX__ALLOWED_ISOLATION": ""}, tmp_path)
    assert no_more.config.sandbox.allowed_isolation == ()


def test_a_default_that_the_same_operator_forbids_is_told(tmp_path: Path) -> None:
    environ = {"AUXOT_SANDBOX__ISOLATION": "warm", "AUXOT_SANDBOX__ALLOWED_ISOLATION": "session"}
    with pytest.raises(ConfigError, match=r"sandbox\.isolation is warm .* does not allow it"):
        load_config(None, environ, tmp_path)
