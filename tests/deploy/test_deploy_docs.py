"""docs/sidecar.md names files and settings that there are."""

import re
from pathlib import Path

from auxot_tools.config.secret_files import SUFFIX
from tests.deploy.settings_of import KNOWN

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sidecar.md").read_text()
# What compose and its script take themselves.
OF_COMPOSE = {"AUXOT_IMAGE", "AUXOT_HOME", "AUXOT_PORT", "AUXOT_WORKER_NETWORK"}


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(re.findall(r"AUXOT_[A-Z_]*[A-Z]", PAGE))
    assert named - KNOWN - OF_COMPOSE == set()
    assert any(name.endswith(SUFFIX) for name in named)


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"\b(?:deploy|docs|sandbox|proto)/[a-z/_.-]+[a-z]", PAGE))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    for folder in ("kubernetes", "systemd"):
        for file in (ROOT / "deploy" / folder).iterdir():
            assert file.name in PAGE


def test_a_line_of_the_page_can_be_read_in_one_look() -> None:
    assert [line for line in PAGE.splitlines() if len(line) > 160] == []
