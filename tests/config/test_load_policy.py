"""Settings of the tools' policy that contradict one another, or name what cannot be."""

from pathlib import Path

import pytest

from auxot_tools.config import load_config
from auxot_tools.errors import ConfigError

POLICY = {"AUXOT_WORKER__POLICY_FILE": "policy.toml"}


def test_an_operator_must_be_able_to_answer_while_the_router_waits(tmp_path: Path) -> None:
    wait = {"AUXOT_WORKER__APPROVAL_WAIT_S": "200"}
    with pytest.raises(ConfigError) as caught:
        load_config(None, POLICY | wait, tmp_path)
    (sentence,) = caught.value.mistakes
    assert sentence == (
        "worker.approval_wait_s is 200 (environment AUXOT_WORKER__APPROVAL_WAIT_S), but "
        "router.call_timeout_s is 150 (default): the first must be below the second."
    )
    load_config(None, wait, tmp_path)  # nobody is ever asked
    load_config(None, POLICY, tmp_path)


@pytest.mark.parametrize("host", ["http://x", "exa mple", "*x.org", "a.org:0", "a/b", "a.org:"])
def test_what_is_no_host_cannot_be_opened(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"worker\.open_hosts is .*allowed: a list of hosts"):
        load_config(None, {"AUXOT_WORKER__OPEN_HOSTS": host}, tmp_path)


def test_hosts_are_opened_in_lower_case(tmp_path: Path) -> None:
    hosts = "API.Example.org, *.example.org:8443, *"
    config = load_config(None, {"AUXOT_WORKER__OPEN_HOSTS": hosts}, tmp_path).config
    assert config.worker.open_hosts == ("api.example.org", "*.example.org:8443", "*")
