"""Showing settings: what is in force, and the reference table."""

from pathlib import Path

from auxot_tools.config import describe, load_config, reference_markdown
from auxot_tools.config.catalog import ENV_NAMES, PLAIN_NAMES, SETTINGS


def test_what_is_in_force_is_shown_with_its_source_and_secrets_are_not(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text('[worker]\nlisten = ["unix:/a", "b:1"]\nslots = 3\n')
    environ = {"AUXOT_UPSTREAM_API_KEY": "sk-123", "AUXOT_WORKER__ALLOW_PLAINTEXT": "true"}
    lines = {line.name: line for line in describe(load_config(None, environ, tmp_path))}
    assert list(lines) == list(SETTINGS)
    shown = {name: (line.value_text, line.source) for name, line in lines.items()}
    assert shown["worker.listen"] == ('["unix:/a", "b:1"]', "file auxot.toml")
    assert shown["worker.slots"] == ("3", "file auxot.toml")
    assert shown["worker.tls_cert"] == ('""', "default")
    assert shown["worker.key"] == ("(not set)", "default")
    plaintext = ("true", "environment AUXOT_WORKER__ALLOW_PLAINTEXT")
    assert shown["worker.allow_plaintext"] == plaintext
    assert shown["upstream.api_key"] == ("********", "environment AUXOT_UPSTREAM_API_KEY")


def test_every_setting_is_documented_with_its_meaning_and_what_is_allowed() -> None:
    table = reference_markdown()
    assert table.startswith("<!-- config:begin -->\n")
    assert table.endswith("\n<!-- config:end -->")
    for name, setting in SETTINGS.items():
        assert setting.description.endswith("."), name
        assert f"| `{name}` | " in table
        assert f" | {setting.allowed} | {setting.description} |" in table
    for name in PLAIN_NAMES:
        assert f"`{name}`" in table


def test_no_two_settings_share_an_environment_name() -> None:
    assert len(ENV_NAMES) == len(SETTINGS)
    assert not set(PLAIN_NAMES) & set(ENV_NAMES)
    assert {target for targets in PLAIN_NAMES.values() for target in targets} <= set(SETTINGS)


def test_every_default_is_itself_allowed(tmp_path: Path) -> None:
    lines = describe(load_config(None, {}, tmp_path))
    tables: dict[str, list[str]] = {}
    for line in lines:
        section, _, field = line.name.rpartition(".")
        if not section:
            continue  # a list of tables
        value = '""' if SETTINGS[line.name].is_secret else line.value_text
        tables.setdefault(section, []).append(f"{field} = {value}")
    text = "\n".join(f"[{name}]\n" + "\n".join(rows) for name, rows in tables.items())
    (tmp_path / "auxot.toml").write_text(text)
    again = load_config(None, {}, tmp_path)
    assert [line.value_text for line in describe(again)] == [line.value_text for line in lines]
