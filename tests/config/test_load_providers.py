"""The `[[providers]]` tables, and the router's settings for web pages and kept history."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from auxot_tools.cli.main import cli
from auxot_tools.config import LoadedConfig, ProviderSettings, describe, load_config
from auxot_tools.errors import ConfigError

SECRET = "sk-ant-do-not-show-me"
MINIMAL = '[[providers]]\nname = "one"\n'
TWO = """
[[providers]]
name = "local"
url = "http://10.0.0.5:8000/v1"
models = ["qwen-*", "llama-?b"]
auth = "none"
retries = 3

[[providers]]
name = "cloud.eu-1"
dialect = "anthropic"
url = "https://api.example"
auth = "Bearer"
api_key_env = "CLOUD_KEY"
connect_timeout_s = 1
first_byte_timeout_s = 2.5
idle_timeout_s = 3
probe_interval_s = 0

[providers.model_map]
"claude-opus-*" = "big"
"claude-*" = "medium"
"*" = "small"
"""


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> LoadedConfig:
    (folder / "auxot.toml").write_text(text, "utf-8")
    return load_config(None, environ or {}, folder, keys_needed=True)


def mistakes(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return caught.value.mistakes


def mistake(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    (sentence,) = mistakes(folder, text, environ)
    return sentence


def only(folder: Path, members: str, environ: Mapping[str, str] | None = None) -> ProviderSettings:
    (found,) = loaded(folder, MINIMAL + members, environ).config.providers
    return found


# -- good tables -----------------------------------------------------------------------------------


def test_providers_are_read_in_their_order_with_all_their_settings(tmp_path: Path) -> None:
    local, cloud = loaded(tmp_path, TWO, {"CLOUD_KEY": SECRET}).config.providers
    assert (local.name, local.url, local.auth) == ("local", "http://10.0.0.5:8000/v1", "none")
    assert (local.models, local.model_map, local.retries) == (("qwen-*", "llama-?b"), {}, 3)
    assert (cloud.name, cloud.auth, cloud.dialect) == ("cloud.eu-1", "bearer", "anthropic")
    times = (cloud.connect_timeout_s, cloud.first_byte_timeout_s, cloud.idle_timeout_s)
    assert (*times, cloud.probe_interval_s) == (1, 2.5, 3, 0)
    patterns = [("claude-opus-*", "big"), ("claude-*", "medium"), ("*", "small")]
    assert list(cloud.model_map.items()) == patterns
    assert cloud.api_key.get_secret_value() == SECRET


def test_a_name_is_all_that_a_provider_needs(tmp_path: Path) -> None:
    found = only(tmp_path, "")
    assert (found.url, found.models, found.model_map) == ("demo", ("*",), {})
    assert (found.auth, found.api_key_env, found.retries) == ("x-api-key", "", 0)
    assert found.api_key.get_secret_value() == ""
    assert found.probe_interval_s == 30


def test_without_tables_there_are_none_and_the_upstream_counts(tmp_path: Path) -> None:
    result = load_config(None, {}, tmp_path)
    assert result.config.providers == ()
    assert result.sources["providers"] == "default"
    empty = loaded(tmp_path, 'providers = []\n[upstream]\nurl = "http://h"\n').config
    assert (empty.providers, empty.upstream.url) == ((), "http://h")


def test_models_may_be_one_text_with_commas(tmp_path: Path) -> None:
    assert only(tmp_path, 'models = "a, b-*"\n').models == ("a", "b-*")


def test_the_plain_name_of_the_upstreams_key_may_be_a_providers(tmp_path: Path) -> None:
    environ = {"AUXOT_UPSTREAM_API_KEY": SECRET}
    found = only(tmp_path, 'api_key_env = "AUXOT_UPSTREAM_API_KEY"\n', environ)
    assert found.api_key.get_secret_value() == SECRET


# -- bad tables ------------------------------------------------------------------------------------


def test_every_mistake_of_every_table_is_told_at_once(tmp_path: Path) -> None:
    text = """
[router]
max_rounds = 0
[[providers]]
name = "a b"
url = "ftp://host"
auth = "basic"
dialect = "openai"
retries = 11
probe_interval_s = -1
[[providers]]
name = "ok"
models = []
model_map = { "claude-*" = 5 }
[[providers]]
url = "https://host/v1/messages"
"""
    of_file = "(file auxot.toml)"
    url = "`demo`, or an http(s) base address without user name, password, query, `/v1/messages`"
    name = "1 to 64 letters, digits, `.`, `_`, `-`"
    table = 'a table of patterns and names, such as `{ "claude-*" = "my-model" }`'
    names = "a list of names and patterns with `*` and `?`"
    assert set(mistakes(tmp_path, text)) == {
        f"router.max_rounds is 0 {of_file}; allowed: a whole number from 1 to 100.",
        f'providers[0].name is "a b" {of_file}; allowed: {name}.',
        f'providers[0].url is "ftp://host" {of_file}; allowed: {url}.',
        f'providers[0].auth is "basic" {of_file}; allowed: `x-api-key`, `bearer` or `none`.',
        f'providers[0].dialect is "openai" {of_file}; allowed: `anthropic`.',
        f"providers[0].retries is 11 {of_file}; allowed: a whole number from 0 to 10.",
        f"providers[0].probe_interval_s is -1 {of_file}; allowed: a number from 0 to 3600.",
        f"providers[1].models is [] {of_file}; allowed: {names}.",
        f"providers[1].model_map is 5 {of_file}; allowed: {table}.",
        f'providers[2].url is "https://host/v1/messages" {of_file}; allowed: {url}.',
        f"providers[2].name is missing {of_file}; allowed: {name}.",
    }


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ('urll = "http://h"', "urll (file auxot.toml) is not a setting; did you mean url?"),
        ('model = "x"', "model (file auxot.toml) is not a setting; did you mean models?"),
        ('modelmap = "x"', "modelmap (file auxot.toml) is not a setting; did you mean model_map?"),
        ("qqq = 1", "qqq (file auxot.toml) is not a setting."),
        ('models = ["a b"]', 'models is ["a b"] '),
        ('models = [""]', 'models is [""] '),
        ("models = [1]", "models is 1 "),
        ("models = true", "models is true "),
        ('model_map = "x"', 'model_map is "x" '),
        ('model_map = { "*" = "" }', 'model_map is "" '),
        ("retries = true", "retries is true "),
        ("retries = 1.5", "retries is 1.5 "),
        ('idle_timeout_s = "soon"', 'idle_timeout_s is "soon" '),
        ("connect_timeout_s = 0", "connect_timeout_s is 0 "),
        ("probe_interval_s = inf", "probe_interval_s is inf "),
        ('url = ""', 'url is "" '),
        ('url = "http://h?key=1"', "url is "),
        ('api_key_env = "MY KEY"', "api_key_env is "),
        ("api_key_env = 1", "api_key_env is a hidden value "),
    ],
)
def test_a_mistake_names_table_setting_value_and_what_is_allowed(
    tmp_path: Path, members: str, words: str
) -> None:
    told = mistake(tmp_path, f"{MINIMAL}{members}\n")
    assert told.startswith(f"providers[0].{words}")
    assert "is not a setting" in told or "(file auxot.toml); allowed: " in told


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("providers = 1\n", {}),
        ('providers = ["one"]\n', {}),
        ('[providers]\nname = "one"\n', {}),
        ("".join(f'[[providers]]\nname = "p{n}"\n' for n in range(65)), {}),
        ("", {"AUXOT_PROVIDERS": "one"}),
    ],
)
def test_what_is_no_list_of_tables_is_told(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    told = mistake(tmp_path, text, environ)
    assert told.startswith("providers (")
    assert told.endswith("must be a list of at most 64 tables, [[providers]].")


def test_a_table_of_a_misspelled_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    told = mistake(tmp_path, '[[provider]]\nname = "one"\n')
    assert told == "provider (file auxot.toml) is not a setting; did you mean providers?"


def test_two_providers_have_two_names(tmp_path: Path) -> None:
    told = mistake(tmp_path, 2 * MINIMAL + '[[providers]]\nname = "two"\n')
    assert told == "providers (file auxot.toml): two of them are named one."


@pytest.mark.parametrize(
    ("text", "environ", "sources"),
    [
        ('[upstream]\nurl = "http://h"\n', {}, ("file auxot.toml",)),
        ("", {"AUXOT_UPSTREAM__RETRIES": "1"}, ("environment AUXOT_UPSTREAM__RETRIES",)),
        ("", {"AUXOT_UPSTREAM__API_KEY": SECRET}, ("environment AUXOT_UPSTREAM__API_KEY",)),
    ],
)
def test_providers_and_an_upstream_are_one_too_many(
    tmp_path: Path, text: str, environ: dict[str, str], sources: tuple[str, ...]
) -> None:
    told = mistakes(tmp_path, text + MINIMAL, environ)
    assert len(told) == len(sources)
    for sentence, source in zip(told, sources, strict=True):
        assert sentence.startswith("upstream.")
        assert source in sentence
        assert sentence.endswith("there can be only one of the two.")
    assert SECRET not in "".join(told)


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    told = mistake(tmp_path, f'{MINIMAL}api_key = "{SECRET}"\n')
    assert told == (
        "providers[0].api_key (file auxot.toml) is not a setting: put the key into an environment "
        "variable, and name that in api_key_env."
    )


@pytest.mark.parametrize("value", [f'["{SECRET}"]', f'{{ a = "{SECRET}" }}', f'"{SECRET}"'])
def test_a_key_in_the_file_is_not_shown_whatever_it_is_and_whatever_else_is_wrong(
    tmp_path: Path, value: str
) -> None:
    told = mistakes(tmp_path, f"{MINIMAL}api_key = {value}\nretries = 99\n")
    assert [sentence for sentence in told if SECRET in sentence] == []
    assert any("api_key (file auxot.toml) is not a setting" in sentence for sentence in told)


@pytest.mark.parametrize("name", ["apikey", "api-key", "key"])
def test_a_key_under_a_misspelled_name_is_not_shown(tmp_path: Path, name: str) -> None:
    told = mistake(tmp_path, f'{MINIMAL}{name} = "{SECRET}"\n')
    assert SECRET not in told
    assert told.startswith(f"providers[0].{name} (file auxot.toml) is not a setting")


def test_a_key_in_the_place_of_the_variables_name_is_not_shown(tmp_path: Path) -> None:
    told = mistake(tmp_path, f'{MINIMAL}api_key_env = "{SECRET}"\n')
    assert told.startswith("providers[0].api_key_env is ")
    assert SECRET not in told


@pytest.mark.parametrize("environ", [{}, {"CLOUD_KEY": ""}, {"cloud_key": SECRET}])
def test_a_key_that_is_not_in_the_environment_is_told_by_the_variables_name(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    told = mistake(tmp_path, f'{MINIMAL}api_key_env = "CLOUD_KEY"\n', environ)
    assert told == (
        "providers[0].api_key_env is CLOUD_KEY (file auxot.toml), but that variable is not set."
    )


@pytest.mark.parametrize("key", [f"{SECRET} ", f"{SECRET}\n", f"{SECRET}ä", f"Bearer {SECRET}"])
def test_a_key_that_no_header_can_carry_is_told_without_being_shown(
    tmp_path: Path, key: str
) -> None:
    told = mistake(tmp_path, f'{MINIMAL}api_key_env = "CLOUD_KEY"\n', {"CLOUD_KEY": key})
    assert told.startswith("providers[0].api_key_env is CLOUD_KEY (file auxot.toml), but ")
    assert "printable ASCII" in told
    assert SECRET not in told


def test_all_missing_keys_are_told_beside_double_names(tmp_path: Path) -> None:
    tables = "".join(f'{MINIMAL}api_key_env = "KEY_{n}"\n' for n in range(3))
    told = mistakes(tmp_path, tables)
    assert len(told) == 4
    assert [f"KEY_{n}" in "".join(told) for n in range(3)] == [True] * 3


def test_a_missing_key_and_a_double_name_are_told_beside_mistakes_of_other_kinds(
    tmp_path: Path,
) -> None:
    text = f'[router]\nmax_rounds = 0\n{MINIMAL}api_key_env = "CLOUD_KEY"\n{MINIMAL}'
    told = "\n".join(mistakes(tmp_path, text))
    for words in ("router.max_rounds is 0", "CLOUD_KEY", "two of them are named one"):
        assert words in told


# -- shown -----------------------------------------------------------------------------------------


def test_providers_are_shown_with_their_source_and_no_key(tmp_path: Path) -> None:
    shown = {line.name: line for line in describe(loaded(tmp_path, TWO, {"CLOUD_KEY": SECRET}))}
    line = shown["providers"]
    assert line.source == "file auxot.toml"
    for words in ('name = "local"', '"claude-opus-*" = "big"', 'api_key_env = "CLOUD_KEY"'):
        assert words in line.value_text
    assert "api_key = ********" in line.value_text
    assert SECRET not in line.value_text
    assert SECRET not in repr(loaded(tmp_path, TWO, {"CLOUD_KEY": SECRET}))


def test_config_show_redacts_the_keys_of_providers(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(TWO)
    shown = CliRunner().invoke(
        cli, ["--config", str(file), "config", "show"], env={"CLOUD_KEY": SECRET}
    )
    assert shown.exit_code == 0
    assert 'name = "cloud.eu-1"' in shown.output
    assert "********" in shown.output
    assert SECRET not in shown.output


# -- web pages and kept history --------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "*"]
)
def test_an_origin_is_written_as_browsers_do(tmp_path: Path, origin: str) -> None:
    router = loaded(tmp_path, f'[router]\ncors_origins = ["{origin}"]\n').config.router
    assert router.cors_origins == (origin,)


def test_origins_in_the_environment_have_commas_and_none_is_the_default(tmp_path: Path) -> None:
    name = "AUXOT_ROUTER__CORS_ORIGINS"
    given = load_config(None, {name: "https://a.example, https://b.example"}, tmp_path).config
    assert given.router.cors_origins == ("https://a.example", "https://b.example")
    assert load_config(None, {name: ""}, tmp_path).config.router.cors_origins == ()
    assert load_config(None, {}, tmp_path).config.router.cors_origins == ()


@pytest.mark.parametrize(
    "origin",
    [
        *("app.example", "https://app.example/", "https://app.example/page", "ftp://app.example"),
        *("https://*.example", "https://", "null", "https://user@app.example", "https://a b", ""),
    ],
)
def test_what_is_no_origin_is_told(tmp_path: Path, origin: str) -> None:
    told = mistake(tmp_path, f'[router]\ncors_origins = ["{origin}"]\n')
    assert told.startswith("router.cors_origins is [")
    assert told.endswith("allowed: a list of origins such as `https://app.example`, or `*`.")


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "default"),
    [
        ("kept_history_s", 1, 604_800, 3600),
        ("kept_history_bytes", 2**20, 2**40, 64 * 2**20),
    ],
)
def test_kept_history_has_bounds(
    tmp_path: Path, name: str, lowest: int, highest: int, default: int
) -> None:
    def value(text: str) -> float:
        found = getattr(loaded(tmp_path, f"[router]\n{text}\n").config.router, name)
        assert isinstance(found, int | float)
        return found

    assert value("") == default
    assert [value(f"{name} = {bound}") for bound in (lowest, highest)] == [lowest, highest]
    for wrong in (lowest - 1, highest + 1, -1, "true", '"many"', "nan"):
        told = mistake(tmp_path, f"[router]\n{name} = {wrong}\n")
        assert told.startswith(f"router.{name} is ")
        assert f" number from {lowest}" in told


def test_a_command_that_needs_no_key_does_without_the_variable(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(MINIMAL + 'api_key_env = "CLOUD_KEY"\n', "utf-8")
    (found,) = load_config(None, {}, tmp_path).config.providers
    assert found.api_key.get_secret_value() == ""


def test_a_variables_name_that_may_be_a_key_itself_is_not_shown(tmp_path: Path) -> None:
    told = mistake(tmp_path, MINIMAL + 'api_key_env = "skantSECRETxyz"\n')
    assert "SECRET" not in told
    assert "not set" in told
