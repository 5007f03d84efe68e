"""`auxot-tools new` and `auxot-tools test` as a person types them."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from auxot_tools.cli.new import TEMPLATES
from auxot_tools.worker.cases import read_cases
from auxot_tools.worker.registry import Registry
from tests.support.command import auxot_tools
from tests.support.engine import sandbox_image


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """Every command here runs in a folder of its own."""
    with chdir(tmp_path):
        yield tmp_path


def refused(*arguments: str) -> str:
    result = auxot_tools(*arguments)
    assert result.exit_code == 2, result
    return result.errors


@pytest.mark.parametrize("language", TEMPLATES)
def test_what_it_makes_is_a_tool(language: str) -> None:
    result = auxot_tools("new", "word_count", "--language", language)
    assert result.exit_code == 0, result.output
    assert "auxot-tools test word_count --dir tools" in result.output
    tool = Registry.load([Path("tools")]).tools["word_count"]
    assert tool.spec.title == "Word count"
    assert len(read_cases(Path("tools/word_count/cases.json"))) == 1


@pytest.mark.parametrize("name", ["two words", "../up", "", "x" * 65, "dot.ted"])
def test_a_name_that_no_tool_may_have_is_refused(name: str) -> None:
    assert "1 to 64 letters" in refused("new", name)
    assert not Path("tools").exists()


def test_what_is_there_is_kept() -> None:
    auxot_tools("new", "count", "--dir", "mine")
    Path("mine/count/main.sh").write_text("mine")
    assert "is there already; nothing was changed" in refused("new", "count", "--dir", "mine")
    assert Path("mine/count/main.sh").read_text() == "mine"


def test_tools_and_cases_that_are_not_there_are_told() -> None:
    auxot_tools("new", "count")
    assert "did you mean count?" in refused("test", "cuont", "--dir", "tools")
    Path("tools/count/cases.json").unlink()
    assert "it has no cases" in refused("test", "count", "--dir", "tools")
    Path("tools/count/main.sh").chmod(0o644)
    assert "executable" in refused("test", "count", "--dir", "tools")


@pytest.mark.engine
def test_the_case_of_a_new_tool_passes_and_a_wrong_one_does_not() -> None:
    sandbox_image()
    for language in TEMPLATES:
        auxot_tools("new", f"count_{language}", "--language", language)
    result = auxot_tools("test", "--dir", "tools")
    assert result.exit_code == 0, result.output
    assert "PASS  count_bash: two words\n" in result.output
    assert result.output.endswith("3 of 3 passed\n")
    path = Path("tools/count_bash/cases.json")
    (case,) = json.loads(path.read_text())
    path.write_text(json.dumps([case | {"text": "3"}]))
    result = auxot_tools("test", "count_bash", "--dir", "tools")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "FAIL  count_bash: two words",
        '      text: expected "3"',
        "      the text was: 2",
        "0 of 1 passed",
    ]
