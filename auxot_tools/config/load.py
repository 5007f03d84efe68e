"""Reads `auxot.toml` and the environment into one frozen `Config`.

One job: find the file, merge (environment over file over default), remember where each value came
from, and report every mistake in one `ConfigError`. It must not know what a setting means: names,
bounds and words come from `settings.py` through `catalog.py`. No sentence holds a secret's value.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from auxot_tools.config.catalog import (
    ENV_NAMES,
    ENV_PREFIX,
    ENV_SEPARATOR,
    MASK,
    PLAIN_NAMES,
    SECTIONS,
    SETTINGS,
    SettingInfo,
    value_text,
)
from auxot_tools.config.credentials import CREDENTIAL_PREFIX
from auxot_tools.config.provider_tables import table_mistakes, with_keys, wrong_tables
from auxot_tools.config.secret_files import SUFFIX, secret_names, with_secret_files
from auxot_tools.config.settings import Config
from auxot_tools.errors import ConfigError

FILE_NAME = "auxot.toml"
PATH_NAME = "AUXOT_CONFIG"  # the environment name that says where the file is; not a setting
FILE_LIMIT_BYTES = 2**20  # a settings file is a few kilobytes; more is the wrong file
NEAR_MISS = 0.9  # how alike a misspelled plain name is to ours; other programs' names are less so
SHOWN_CHARS = 80  # of a wrong value in a mistake: enough to find it, not to flood a terminal
DEFAULT_SOURCE = "default"
# A provider may name this very variable for its key.
_ENV_KEY_SOURCE = "environment AUXOT_UPSTREAM_API_KEY"

# setting that is set -> the setting it needs beside it
_NEEDS: tuple[tuple[str, str], ...] = (
    ("worker.tls_cert", "worker.tls_key"),
    ("worker.tls_key", "worker.tls_cert"),
    ("worker.tls_client_ca", "worker.tls_cert"),
    ("router.tls_cert", "router.tls_key"),
    ("router.tls_key", "router.tls_cert"),
    ("router.worker_tls_cert", "router.worker_tls_key"),
    ("router.worker_tls_key", "router.worker_tls_cert"),
    ("router.worker_tls_cert", "router.worker_tls_ca"),
)


class _Given(NamedTuple):
    """A value somebody set, and where."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration in force. ``sources`` says of each setting, by dotted name, who set it:
    ``default``, ``file …``, ``environment …``, or the name of the setting it follows.
    """

    config: Config
    sources: Mapping[str, str]
    file: Path | None = None


def load_config(
    path: Path | None, environ: Mapping[str, str], cwd: Path, *, keys_needed: bool = False
) -> LoadedConfig:
    """The configuration from ``path``, else the file AUXOT_CONFIG names, else ``cwd/auxot.toml``
    if there is one; the environment wins over the file.

    With ``keys_needed`` every variable that a provider names for its key must be set.
    Relative paths in settings count from the folder of the file, without a file from ``cwd``.
    Raises ``ConfigError`` with every mistake at once; a file that cannot be read ends it early.
    """
    file = _find_file(path, environ, cwd)
    tables = _read_file(file) if file else {}
    mistakes: list[str] = []
    given = dict(_from_file(tables, f"file {file.name}" if file else "", mistakes))
    given.update(_from_environment(environ, mistakes))
    if "router.worker_key" not in given and "worker.key" in given:
        given["router.worker_key"] = _Given(given["worker.key"].value, "worker.key")
    if "providers" in given:
        tables, source = given["providers"]
        mistakes.extend(wrong_tables(tables, source, environ if keys_needed else None))
    config = _validated(given, file.parent if file else cwd, mistakes)
    mistakes.extend(_missing_companions(given))
    mistakes.extend(_contradictions(given))
    if config is not None:
        mistakes.extend(_forbidden_default(config, given))
        mistakes.extend(_too_long_a_wait(config, given))
        providers = with_keys(config.providers, environ)
        config = config.model_copy(update={"providers": providers})
    if config is None or mistakes:
        raise ConfigError(mistakes)
    sources = {name: given[name].source if name in given else DEFAULT_SOURCE for name in SETTINGS}
    return LoadedConfig(config, sources, file)


def _find_file(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = path or (Path(environ[PATH_NAME]) if environ.get(PATH_NAME) else None)
    if named is not None:
        return cwd / named
    standard = cwd / FILE_NAME
    return standard if standard.exists() else None


def _read_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([f"The configuration file {file} does not exist."]) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([f"The configuration file {file} cannot be read: {reason}."]) from None
    if len(data) > FILE_LIMIT_BYTES:
        raise ConfigError(
            [f"The configuration file {file} is larger than {FILE_LIMIT_BYTES} bytes."]
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError([f"{file}, line {line}: the file is not UTF-8 text."]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_toml_mistake(file, str(error))]) from None


def _toml_mistake(file: Path, message: str) -> str:
    found = re.fullmatch(r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message)
    if found is None:
        return f"{file}: not valid TOML: {message}."
    place = f"line {found[2]}, column {found[3]}" if found[2] else "at the end"
    return f"{file}, {place}: not valid TOML: {found[1]}."


def _from_file(
    table: Mapping[str, Any], source: str, mistakes: list[str], prefix: str = ""
) -> Iterator[tuple[str, _Given]]:
    """The known settings of the file; what is not known becomes a mistake."""
    for key, value in table.items():
        name = prefix + key
        if name in SETTINGS:
            yield name, _Given(value, source)
        elif name not in SECTIONS:
            mistakes.append(f"{name} ({source}) is not a setting{_nearest_setting(name)}")
        elif isinstance(value, dict):
            yield from _from_file(value, source, mistakes, f"{name}.")
        else:
            mistakes.append(f"{name} ({source}) must be a table, [{name}].")


class _Environment(EnvSettingsSource):
    """pydantic-settings' reader of nested environment names, on the mapping it is handed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(
            Config,
            case_sensitive=False,
            env_prefix=ENV_PREFIX.lower(),
            env_nested_delimiter=ENV_SEPARATOR,
        )
        self.env_vars = {name.lower(): value for name, value in environ.items()}


def _from_environment(
    environ: Mapping[str, str], mistakes: list[str]
) -> Iterator[tuple[str, _Given]]:
    """The known settings of the environment.

    Other programs have AUXOT_ names too, so a name that is not ours is a mistake only when it has
    our form (two underscores between section and field), or lacks just the second underscore.
    """
    ours = {
        name: value
        for name, value in with_secret_files(environ, mistakes).items()
        if name.startswith(ENV_PREFIX)
        and (name in PLAIN_NAMES or not name.startswith(CREDENTIAL_PREFIX))
    }
    files = reversed([name + SUFFIX for name in secret_names()])  # plain names count most
    lookalikes = {name.replace(ENV_SEPARATOR, "_"): name for name in (*ENV_NAMES, *files)}
    plain_names = {name: name for name in PLAIN_NAMES}
    for name in sorted(ours.keys() - ENV_NAMES.keys() - PLAIN_NAMES.keys() - {PATH_NAME}):
        if name in lookalikes:
            mistakes.append(
                f"{name} (environment) is not a setting; did you mean {lookalikes[name]}?"
            )
        elif ENV_SEPARATOR in name:
            mistakes.append(f"{name} (environment) is not a setting{_nearest_env(name)}")
        elif meant := _near_miss(name, lookalikes if name.endswith(SUFFIX) else plain_names):
            mistakes.append(f"{name} (environment) is not a setting; did you mean {meant}?")
    for plain, targets in PLAIN_NAMES.items():
        if plain in ours and (ours[plain] or plain != "AUXOT_TOOLS_KEY"):  # empty: AUXOT_GPU_KEY
            yield from ((target, _Given(ours[plain], f"environment {plain}")) for target in targets)
    tables = _Environment({name: ours[name] for name in ours if name in ENV_NAMES})()
    for name, given in _from_file(tables, "environment", mistakes):
        yield name, _Given(given.value, f"environment {SETTINGS[name].env_name}")


def _near_miss(name: str, meant_by: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, meant_by, n=1, cutoff=NEAR_MISS)
    return meant_by[near[0]] if near else ""


def _nearest_setting(name: str) -> str:
    field = name.rsplit(".", 1)[-1]
    elsewhere = [known for known in SETTINGS if known.endswith(f".{field}")]
    near = difflib.get_close_matches(name, [*SETTINGS, *SECTIONS], n=1) or elsewhere
    return f"; did you mean {near[0]}?" if near else "."


def _nearest_env(name: str) -> str:
    near = difflib.get_close_matches(name, list(ENV_NAMES), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _shown(value: object) -> str:
    """A value as the operator wrote it, shortened, without what may be a password in a URL."""
    text = re.sub(r"//[^/\s]*@", f"//{MASK}@", value_text(value))
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _validated(given: Mapping[str, _Given], base: Path, mistakes: list[str]) -> Config | None:
    """The config, or ``None`` after adding a sentence for each setting that does not fit."""
    tables: dict[str, Any] = {}
    for name, (value, _) in given.items():
        *sections, field = name.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
        table[field] = value
    try:
        config = Config(**tables)
    except ValidationError as error:
        details = error.errors(include_url=False)
        if "providers" in given:
            in_tables = [detail for detail in details if detail["loc"][0] == "providers"]
            mistakes.extend(table_mistakes(in_tables, given["providers"].source, _shown))
        others = (detail["loc"] for detail in details if detail["loc"][0] != "providers")
        wrong = dict.fromkeys(map(_setting_at, others))
        mistakes.extend(
            _wrong_value(SETTINGS[name], given[name])
            for name in wrong
            if given[name].source not in SETTINGS  # said once, for the setting it follows
        )
        return None
    return _with_absolute_paths(config, base)


def _setting_at(location: tuple[int | str, ...]) -> str:
    """The setting that pydantic complains of; the location may go on into a list."""
    parts = [str(part) for part in location]
    names = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next(name for name in names if name in SETTINGS)


def _wrong_value(setting: SettingInfo, given: _Given) -> str:
    value = "a hidden value" if setting.is_secret else _shown(given.value)
    return f"{setting.name} is {value} ({given.source}); allowed: {setting.allowed}."


def _with_absolute_paths(config: Config, base: Path) -> Config:
    sections = {
        name: section.model_copy(update={field: _absolute(value, base) for field, value in section})
        for name, section in config
        if isinstance(section, BaseModel)
    }
    return config.model_copy(update=sections)


def _absolute(value: Any, base: Path) -> Any:
    if isinstance(value, tuple):
        return tuple(_absolute(item, base) for item in value)
    return base / value if isinstance(value, Path) else value


def _missing_companions(given: Mapping[str, _Given]) -> Iterator[str]:
    set_names = {name for name, one in given.items() if one.value not in ("", None)}
    for name, needed in _NEEDS:
        if name in set_names and needed not in set_names:
            yield f"{name} is set ({given[name].source}), so {needed} is needed too."


def _contradictions(given: Mapping[str, _Given]) -> Iterator[str]:
    if given.get("providers", _Given((), "")).value:
        for name in given:
            if name.startswith("upstream.") and given[name].source != _ENV_KEY_SOURCE:
                yield (
                    f"{name} is set ({given[name].source}), and so is providers "
                    f"({given['providers'].source}): there can be only one of the two."
                )
    chosen = {name: str(one.value).lower() for name, one in given.items()}
    hides = chosen.get("router.show_tool_calls") == "hidden"
    if hides and chosen.get("router.on_round_limit") == "pause":
        yield (
            f"router.on_round_limit is pause ({given['router.on_round_limit'].source}), but a "
            "client that continues a paused message must have seen its calls: "
            "router.show_tool_calls must be shown then."
        )


def _too_long_a_wait(config: Config, given: Mapping[str, _Given]) -> Iterator[str]:
    """An operator's answer must come while the router still waits for the call."""
    wait_s, call_s = config.worker.approval_wait_s, config.router.call_timeout_s
    names = ("worker.approval_wait_s", "router.call_timeout_s")
    if config.worker.policy_file is not None and wait_s >= call_s:
        sources = (given[name].source if name in given else DEFAULT_SOURCE for name in names)
        told = (
            f"{name} is {value:g} ({source})"
            for name, value, source in zip(names, (wait_s, call_s), sources, strict=True)
        )
        yield f"{', but '.join(told)}: the first must be below the second."


def _forbidden_default(config: Config, given: Mapping[str, _Given]) -> Iterator[str]:
    sandbox = config.sandbox
    if sandbox.isolation not in {"call", *sandbox.allowed_isolation}:
        yield (
            f"sandbox.isolation is {sandbox.isolation} ({given['sandbox.isolation'].source}), but "
            f"sandbox.allowed_isolation ({given['sandbox.allowed_isolation'].source}) does not "
            "allow it."
        )


def value_of(config: Config, name: str) -> Any:
    """The value of a setting by its dotted name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value
