"""What the README says of settings and commands is what there is."""

import re
from pathlib import Path

from auxot_tools.cli.main import COMMANDS
from auxot_tools.config import reference_markdown

README = (Path(__file__).parent.parent / "README.md").read_text()
MAKEFILE = (Path(__file__).parent.parent / "Makefile").read_text()


def test_the_table_of_settings_is_the_one_that_the_settings_make() -> None:
    assert reference_markdown().strip() in README


def test_every_command_is_in_the_readme_and_every_command_in_it_exists() -> None:
    named = set(re.findall(r"`auxot-tools ([a-z-]+)", README))
    assert named == set(COMMANDS)


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) - {"s", "sure"} <= targets


def test_every_file_that_the_readme_follows_exists() -> None:
    root = Path(__file__).parent.parent
    named = re.findall(r"`((?:auxot_tools|tools|sandbox|proto|docs)/[a-z_./-]+\.[a-z]+)`", README)
    for name in named:
        assert (root / name).exists() or (root / "auxot_tools" / name).exists(), name
