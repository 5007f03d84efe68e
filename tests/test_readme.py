"""What the README and the reference pages say of settings, commands and files is what there is."""

import re
from pathlib import Path

import pytest

from auxot_tools.cli.main import COMMANDS
from auxot_tools.config import reference_markdown

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_in(text: str) -> set[str]:
    return set(re.findall(r"`auxot-tools ([a-z][a-z-]*)", text))


def anchors_of(page: Path) -> set[str]:
    """Of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_settings_is_the_one_that_the_settings_make() -> None:
    assert reference_markdown().strip() in (ROOT / "docs" / "settings.md").read_text()


def test_every_command_has_its_row_and_every_command_named_exists() -> None:
    assert commands_in((ROOT / "docs" / "commands.md").read_text()) == set(COMMANDS)
    assert commands_in(README) <= set(COMMANDS)


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) - {"s", "sure"} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_that_a_page_names_exists(page: Path) -> None:
    place = r"`((?:auxot_tools|tools|sandbox|proto|docs)/[a-z_./-]+\.[a-z]+)`"
    for name in re.findall(place, page.read_text()):
        assert (ROOT / name).exists() or (ROOT / "auxot_tools" / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors_of(target), link
