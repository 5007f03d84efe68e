"""Loading the configuration: file, environment, and every mistake at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from auxot_tools.config import LoadedConfig, describe, load_config
from auxot_tools.config.catalog import SETTINGS
from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits

SECRET = "sk-do-not-show-me"


def loaded(folder: Path, text: str = "", environ: Mapping[str, str] | None = None) -> LoadedConfig:
    """The configuration of a folder whose auxot.toml is ``text``."""
    (folder / "auxot.toml").write_text(text, "utf-8")
    return load_config(None, environ or {}, folder)


def mistakes(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return caught.value.mistakes


def test_without_file_and_environment_everything_is_a_default(tmp_path: Path) -> None:
    result = load_config(None, {}, tmp_path)
    assert result.file is None
    assert set(result.sources) == set(SETTINGS)
    assert set(result.sources.values()) == {"default"}
    assert result.config.worker.listen == ("127.0.0.1:50061",)
    assert result.config.router.keys_file == tmp_path / "keys.toml"
    assert result.config.upstream.url == "demo"


def test_the_operators_ceilings_fit_the_sandbox_port(tmp_path: Path) -> None:
    ceilings = load_config(None, {}, tmp_path).config.sandbox.limits.ceilings()
    assert ceilings == BoxLimits(
        timeout_s=120,
        memory_bytes=2**30,
        cpus=1.0,
        pids=256,
        open_files=1024,
        disk_bytes=256 * 2**20,
        disk_inodes=16_384,
        shm_bytes=64 * 2**20,
        output_bytes=64 * 2**10,
        output_stop_bytes=256 * 2**20,
    )


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    text = "[router]\nmax_rounds = 3\nblocking_budget_s = 60\n"
    result = loaded(tmp_path, text, {"AUXOT_ROUTER__MAX_ROUNDS": "4"})
    assert result.config.router.max_rounds == 4
    assert result.config.router.blocking_budget_s == 60
    assert result.sources["router.max_rounds"] == "environment AUXOT_ROUTER__MAX_ROUNDS"
    assert result.sources["router.blocking_budget_s"] == "file auxot.toml"
    assert result.sources["router.call_timeout_s"] == "default"


def test_settings_of_a_table_in_a_table_come_from_file_and_environment(tmp_path: Path) -> None:
    text = "[sandbox.limits]\npids = 99\n"
    result = loaded(tmp_path, text, {"AUXOT_SANDBOX__LIMITS__CPUS": "0.5"})
    assert result.config.sandbox.limits.pids == 99
    assert result.config.sandbox.limits.cpus == 0.5


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"AUXOT_ALLOWED_TOOLS": "a, b"}, "allowed_tools", ("a", "b")),
        ({"AUXOT_ALLOWED_TOOLS": ""}, "allowed_tools", ()),
        ({"AUXOT_ROUTER__ALLOWED_TOOLS": "c", "AUXOT_ALLOWED_TOOLS": "a"}, "allowed_tools", ("c",)),
    ],
)
def test_a_list_in_the_environment_has_commas_and_empty_means_none(
    tmp_path: Path, environ: dict[str, str], name: str, value: tuple[str, ...]
) -> None:
    router = loaded(tmp_path, '[router]\nallowed_tools = ["from_file"]\n', environ).config.router
    assert getattr(router, name) == value


def test_the_worker_key_is_also_the_routers(tmp_path: Path) -> None:
    from_environment = loaded(tmp_path, "", {"AUXOT_WORKER_KEY": SECRET})
    assert from_environment.config.worker.key.get_secret_value() == SECRET
    assert from_environment.config.router.worker_key.get_secret_value() == SECRET
    from_file = loaded(tmp_path, f'[worker]\nkey = "{SECRET}"\n')
    assert from_file.config.router.worker_key.get_secret_value() == SECRET
    assert from_file.sources["router.worker_key"] == "worker.key"
    own = loaded(tmp_path, f'[worker]\nkey = "{SECRET}"\n[router]\nworker_key = "own"\n')
    assert own.config.router.worker_key.get_secret_value() == "own"


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "my.toml").write_text(
        '[worker]\ntools_dirs = ["t", "/abs"]\n[router]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n'
    )
    result = load_config(Path("etc/my.toml"), {}, tmp_path)
    assert result.config.worker.tools_dirs == (folder / "t", Path("/abs"))
    assert result.config.router.tls_cert == folder / "c.pem"
    assert result.config.router.keys_file == folder / "keys.toml"


def test_the_environment_can_name_the_file_and_an_argument_wins_over_it(tmp_path: Path) -> None:
    for number, name in enumerate(("auxot.toml", "b.toml", "c.toml"), 1):
        (tmp_path / name).write_text(f"[router]\nmax_rounds = {number}\n")
    environ = {"AUXOT_CONFIG": "b.toml"}
    assert load_config(None, {}, tmp_path).config.router.max_rounds == 1
    assert load_config(None, environ, tmp_path).config.router.max_rounds == 2
    assert load_config(Path("c.toml"), environ, tmp_path).config.router.max_rounds == 3


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = load_config(None, {}, tmp_path).config
    with pytest.raises(ValueError, match="frozen"):
        config.router.max_rounds = 5


def test_every_mistake_is_told_at_once_with_setting_source_value_and_what_is_allowed(
    tmp_path: Path,
) -> None:
    text = '[router]\nmax_rounds = 200\nshow_tool_calls = "no"\n[worker]\nslots = true\n'
    told = mistakes(tmp_path, text, {"AUXOT_UPSTREAM__RETRIES": "many"})
    assert told == (
        "worker.slots is true (file auxot.toml); allowed: a whole number from 0 to 1024.",
        'router.show_tool_calls is "no" (file auxot.toml); allowed: `shown` or `hidden`.',
        "router.max_rounds is 200 (file auxot.toml); allowed: a whole number from 1 to 100.",
        (
            'upstream.retries is "many" (environment AUXOT_UPSTREAM__RETRIES); '
            "allowed: a whole number from 0 to 10."
        ),
    )


@pytest.mark.parametrize(
    ("text", "environ", "sentence"),
    [
        (
            "[router]\nmax_round = 1\n",
            {},
            "router.max_round (file auxot.toml) is not a setting; did you mean router.max_rounds?",
        ),
        (
            "max_rounds = 1\n",
            {},
            "max_rounds (file auxot.toml) is not a setting; did you mean router.max_rounds?",
        ),
        (
            "[rooter]\nmax_rounds = 1\n",
            {},
            "rooter (file auxot.toml) is not a setting; did you mean router?",
        ),
        ("qqq = 1\n", {}, "qqq (file auxot.toml) is not a setting."),
        ("router = 1\n", {}, "router (file auxot.toml) must be a table, [router]."),
        (
            "",
            {"AUXOT_ROUTER__MAX_ROUND": "1"},
            (
                "AUXOT_ROUTER__MAX_ROUND (environment) is not a setting; "
                "did you mean AUXOT_ROUTER__MAX_ROUNDS?"
            ),
        ),
        (
            "",
            {"AUXOT_ROUTER_MAX_ROUNDS": "1"},
            (
                "AUXOT_ROUTER_MAX_ROUNDS (environment) is not a setting; "
                "did you mean AUXOT_ROUTER__MAX_ROUNDS?"
            ),
        ),
        (
            '[worker]\ntls_cert = "c"\n',
            {},
            "worker.tls_cert is set (file auxot.toml), so worker.tls_key is needed too.",
        ),
        (
            "",
            {"AUXOT_WORKER__TLS_CLIENT_CA": "ca"},
            (
                "worker.tls_client_ca is set (environment AUXOT_WORKER__TLS_CLIENT_CA), "
                "so worker.tls_cert is needed too."
            ),
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_the_nearest_name(
    tmp_path: Path, text: str, environ: dict[str, str], sentence: str
) -> None:
    assert mistakes(tmp_path, text, environ) == (sentence,)


def test_other_programs_names_in_the_environment_are_left_alone(tmp_path: Path) -> None:
    environ = {"AUXOT_TOOLS_KEY_HASH": "x", "AUXOT_SOMETHING": "y", "PATH": "/bin"}
    assert loaded(tmp_path, "", environ).config == loaded(tmp_path).config


@pytest.mark.parametrize(
    ("setting", "value", "is_allowed"),
    [
        ("worker.listen", '["unix:/run/w.sock", "0.0.0.0:0", "[::1]:50061", "box:1"]', True),
        ("worker.listen", "[]", False),
        ("worker.listen", '["unix:relative"]', False),
        ("worker.listen", '["50061"]', False),
        ("worker.listen", '["host:65536"]', False),
        ("router.listen", '"0.0.0.0:8080"', True),
        ("router.listen", '"unix:/run/r.sock"', False),
        ("router.worker", '"unix:/run/w.sock"', True),
        ("router.worker", '"host:0"', False),
        ("router.allowed_tools", '["code_executor"]', True),
        ("router.allowed_tools", '["two words"]', False),
        ("router.max_rounds", "0", False),
        ("router.max_rounds", "1.5", False),
        ("router.max_rounds", '"7"', True),
        ("router.call_timeout_s", "inf", False),
        ("router.call_timeout_s", "nan", False),
        ("upstream.url", '"http://127.0.0.1:9000/base"', True),
        ("upstream.url", '"ftp://host"', False),
        ("upstream.url", '"https://"', False),
        ("upstream.url", '"http://[broken"', False),
        ("upstream.url", '"http://host:99999"', False),
        ("upstream.url", '"http://host/v1/messages"', False),
        ("upstream.url", '"http://host/?key=1"', False),
        ("upstream.url", '"http://host/ x"', False),
        ("upstream.api_key", '"sk-1_2"', True),
        ("router.listen", '"*:8080"', False),
        ("router.listen", '"two hosts:8080"', False),
        ("log.level", '"INFO"', True),
        ("log.level", '"loud"', False),
        ("sandbox.limits.pids", "0", False),
    ],
)
def test_values_are_checked(tmp_path: Path, setting: str, value: str, is_allowed: bool) -> None:
    section, field = setting.rsplit(".", 1)
    text = f"[{section}]\n{field} = {value}\n"
    if is_allowed:
        assert loaded(tmp_path, text).sources[setting] == "file auxot.toml"
        return
    (sentence,) = mistakes(tmp_path, text)
    assert sentence.startswith(f"{setting} is ")
    assert sentence.endswith(f"(file auxot.toml); allowed: {SETTINGS[setting].allowed}.")


def test_no_secret_is_ever_in_a_mistake_or_a_repr(tmp_path: Path) -> None:
    text = f'[worker]\nkey = ["{SECRET}"]\n[upstream]\nurl = "https://user:{SECRET}@host/"\n'
    told = mistakes(tmp_path, text)
    assert [sentence.split(" ")[0] for sentence in told] == ["worker.key", "upstream.url"]
    assert SECRET not in "".join(told)
    good = loaded(tmp_path, f'[worker]\nkey = "{SECRET}"\n', {"AUXOT_UPSTREAM_API_KEY": SECRET})
    assert SECRET not in f"{good!r} {good} {describe(good)}"


@pytest.mark.parametrize("key", ["two words", "line\n", "schlüssel", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    (sentence,) = mistakes(tmp_path, "", {"AUXOT_UPSTREAM_API_KEY": key})
    assert sentence == (
        "upstream.api_key is a hidden value (environment AUXOT_UPSTREAM_API_KEY); "
        "allowed: printable ASCII without spaces; never shown."
    )


def test_a_long_wrong_value_is_shortened(tmp_path: Path) -> None:
    (sentence,) = mistakes(tmp_path, f'[log]\nlevel = "{"x" * 5000}"\n')
    assert len(sentence) < 250


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[router\n", "line 1, column 8: not valid TOML: Expected ']' at the end of a table"),
        (b"a = 1\na = 2\n", "line 2, column 6: not valid TOML: Cannot overwrite a value."),
        (b"a = 1\n\nb = \xff\n", "line 3: the file is not UTF-8 text."),
        (b"#" * (2**20 + 1), "is larger than 1048576 bytes."),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "auxot.toml").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(None, {}, tmp_path)
    (told,) = caught.value.mistakes
    assert sentence in told
    assert str(tmp_path / "auxot.toml") in told


def test_a_named_file_must_exist_and_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml does not exist"):
        load_config(Path("missing.toml"), {}, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load_config(tmp_path, {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AUXOT_ALLOWED_TOOL", "AUXOT_ALLOWED_TOOLS"),
        ("AUXOT_ALOWED_TOOLS", "AUXOT_ALLOWED_TOOLS"),
        ("AUXOT_UPSTREAM_APIKEY", "AUXOT_UPSTREAM_API_KEY"),
        ("AUXOT_WORKER_KEYS", "AUXOT_WORKER_KEY"),
    ],
)
def test_a_misspelled_plain_name_is_a_mistake(tmp_path: Path, name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*did you mean {meant}"):
        load_config(None, {name: "x"}, tmp_path)


@pytest.mark.parametrize(
    "name", ["AUXOT_ROUTER_URL", "AUXOT_TOOLS_KEY", "AUXOT_GPU_KEY", "AUXOT_TOOLS_KEY_HASH"]
)
def test_names_of_other_programs_are_left_alone(tmp_path: Path, name: str) -> None:
    assert load_config(None, {name: "x"}, tmp_path).file is None


def test_a_missing_companion_is_told_beside_other_mistakes(tmp_path: Path) -> None:
    given = {"AUXOT_WORKER__TLS_CERT": "c.pem", "AUXOT_ROUTER__MAX_ROUNDS": "0"}
    with pytest.raises(ConfigError) as caught:
        load_config(None, given, tmp_path)
    assert len(caught.value.mistakes) == 2


def test_a_pause_needs_calls_that_the_client_can_see(tmp_path: Path) -> None:
    given = {"AUXOT_ROUTER__SHOW_TOOL_CALLS": "Hidden", "AUXOT_ROUTER__ON_ROUND_LIMIT": "pause"}
    with pytest.raises(ConfigError, match="must have seen its calls"):
        load_config(None, given, tmp_path)
