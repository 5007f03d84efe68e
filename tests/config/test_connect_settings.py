"""The settings for an Auxot router: the names its users know, and addresses that are none."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from auxot_tools.config import Config, load_config, with_bare_credentials
from auxot_tools.errors import ConfigError


def loaded(folder: Path, environ: Mapping[str, str]) -> Config:
    return load_config(None, environ, folder).config


def key_of(config: Config) -> str:
    return config.connect.tools_key.get_secret_value()


def test_auxots_own_names_are_understood(tmp_path: Path) -> None:
    environ = {
        "AUXOT_ROUTER_URL": "router:8080",
        "AUXOT_TOOLS_KEY": "tls_abc",
        "AUXOT_ALLOWED_TOOLS": "code_executor, web_fetch",
        "AUXOT_LOG_LEVEL": "warn",
    }
    config = loaded(tmp_path, environ)
    assert config.connect.router_url == "router:8080"
    assert key_of(config) == "tls_abc"
    assert config.worker.allowed_tools == ("code_executor", "web_fetch")
    assert config.log.level == "warning"


def test_without_anything_it_goes_where_auxots_worker_goes(tmp_path: Path) -> None:
    for environ in ({}, {"AUXOT_ROUTER_URL": ""}):
        assert loaded(tmp_path, environ).connect.router_url == "wss://auxot.com/ws"


def test_the_old_name_of_the_key_counts_where_the_new_one_is_not_set(tmp_path: Path) -> None:
    both = {"AUXOT_GPU_KEY": "adm_old", "AUXOT_TOOLS_KEY": "tls_new"}
    assert key_of(loaded(tmp_path, both)) == "tls_new"
    assert key_of(loaded(tmp_path, {"AUXOT_GPU_KEY": "adm_old"})) == "adm_old"
    assert key_of(loaded(tmp_path, both | {"AUXOT_TOOLS_KEY": ""})) == "adm_old"


def test_the_key_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("tls_from-a-file\n")
    config = loaded(tmp_path, {"AUXOT_TOOLS_KEY_FILE": str(tmp_path / "key")})
    assert key_of(config) == "tls_from-a-file"


def test_a_whole_environment_of_auxots_is_no_mistake(tmp_path: Path) -> None:
    names = (
        *("AUXOT_PORT", "AUXOT_HOST", "AUXOT_ADMIN_KEY_HASH", "AUXOT_API_KEY_HASH"),
        *("AUXOT_TOOLS_KEY_HASH", "AUXOT_REDIS_URL", "AUXOT_MODEL", "AUXOT_QUANTIZATION"),
        *("AUXOT_HEARTBEAT_INTERVAL", "AUXOT_DEAD_WORKER_TIMEOUT", "AUXOT_JOB_TIMEOUT"),
        *("AUXOT_AUTH_CACHE_TTL", "AUXOT_MCP_EXPOSE_LLM", "AUXOT_REGISTRY_FILE"),
        *("AUXOT_WORKER_TYPE", "AUXOT_CLI_TYPE", "AUXOT_CLI_TOOLS", "AUXOT_CTX_SIZE"),
        *("AUXOT_MAX_PARALLEL", "AUXOT_BROWSER_MCP_PORT", "AUXOT_TOOL_SOMETHING"),
        "AUXOT_TOOLS_WEATHER__API_KEY",
    )
    assert key_of(loaded(tmp_path, dict.fromkeys(names, "x"))) == ""


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://router", "ws://", "ws://user:pw@router", "router:0", "router:99999", "a b:80"),
        *("://router", "ws://router:x"),
    ],
)
def test_what_is_no_address_of_a_router_is_a_mistake_that_shows_no_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, {"AUXOT_ROUTER_URL": url})
    assert caught.value.mistakes[0].startswith("connect.router_url is ")
    assert "pw" not in caught.value.mistakes[0]


@pytest.mark.parametrize(
    "url",
    [
        *("router", "router:8080", "127.0.0.1:8080", "[::1]:8080", "http://router:8080/x?y"),
        *("HTTPS://router", "wss://auxot.com/ws", "my_router:1"),
    ],
)
def test_what_auxots_worker_takes_is_taken(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, {"AUXOT_ROUTER_URL": url}).connect.router_url == url


def test_the_worker_is_an_address_or_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"AUXOT_CONNECT__WORKER": "unix:/w.sock"}).connect.worker
    assert loaded(tmp_path, {"AUXOT_CONNECT__WORKER": ""}).connect.worker == ""
    with pytest.raises(ConfigError):
        loaded(tmp_path, {"AUXOT_CONNECT__WORKER": "worker"})


@pytest.mark.parametrize("name", ["a" * 101, "two\nlines"])
def test_a_tenant_is_a_short_printable_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        loaded(tmp_path, {"AUXOT_CONNECT__TENANT": name})


def test_bare_names_of_braves_keys_count_where_ours_are_not_set() -> None:
    ours = "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY"
    assert with_bare_credentials({"BRAVE_SEARCH_API_KEY": "b"})[ours] == "b"
    assert with_bare_credentials({"BRAVE_SEARCH_API_KEY": "b", ours: "a"})[ours] == "a"
    assert ours not in with_bare_credentials({"BRAVE_SEARCH_API_KEY": ""})
