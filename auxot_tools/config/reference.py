"""Shows settings to people: what is in force, and what there is to set.

One job: render. No secret's value is ever in a rendered text. It must not read anything.
"""

from dataclasses import dataclass
from typing import Any

from auxot_tools.config.catalog import PLAIN_NAMES, SETTINGS, SettingInfo, value_text
from auxot_tools.config.load import LoadedConfig, value_of
from auxot_tools.config.provider_tables import reference_rows

REFERENCE_BEGIN = "<!-- config:begin -->"
REFERENCE_END = "<!-- config:end -->"
_FILES_LINE = (
    "A secret may be in a file instead, which its name with `_FILE` names: "
    "`AUXOT_WORKER_KEY_FILE=/run/secrets/worker.key`. Both at once are a mistake; an empty value "
    "does not count beside a file."
)


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting in force: its dotted name, its value as TOML would have it, and who set it."""

    name: str
    value_text: str
    source: str


def describe(loaded: LoadedConfig) -> tuple[SettingLine, ...]:
    """Every setting in force, in the order of the reference; secrets only as set or not."""
    return tuple(
        SettingLine(name, value_text(value_of(loaded.config, name)), loaded.sources[name])
        for name in SETTINGS
    )


def reference_markdown() -> str:
    """The table of all settings, between its two markers, as docs/settings.md holds it."""
    rows = [_row(setting) for setting in SETTINGS.values()]
    plain = [
        f"`{name}` sets {' and '.join(f'`{target}`' for target in targets)}."
        for name, targets in PLAIN_NAMES.items()
    ]
    return "\n".join(
        [
            REFERENCE_BEGIN,
            "The file is the one that `--config` names, else `AUXOT_CONFIG`, else `./auxot.toml`.",
            "In the environment a setting is `AUXOT_<SECTION>__<FIELD>`, for example",
            "`AUXOT_ROUTER__MAX_ROUNDS` for `router.max_rounds`; a list is written with commas.",
            *plain,
            _FILES_LINE,
            "The environment wins over the file. Relative paths count from the folder of the file.",
            "",
            "| setting | default | allowed | meaning |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            "A `[[providers]]` table:",
            "",
            "| setting | default | allowed | meaning |",
            "| --- | --- | --- | --- |",
            *map(_provider_row, reference_rows()),
            REFERENCE_END,
        ]
    )


def _provider_row(row: tuple[str, Any, str, str]) -> str:
    name, default, allowed, meaning = row
    shown = default if default == "required" else f"`{value_text(default)}`"
    return f"| {' | '.join((f'`{name}`', shown, allowed, meaning))} |"


def _row(setting: SettingInfo) -> str:
    default = "not set" if setting.is_secret else f"`{value_text(setting.default)}`"
    cells = (f"`{setting.name}`", default, setting.allowed, setting.description)
    return f"| {' | '.join(cells)} |"
