"""What an engine says of itself, read."""

from pathlib import Path

import pytest

from auxot_tools.errors import EngineUnavailable
from auxot_tools.sandbox.engine_facts import engine_facts
from tests.support.engine import sandbox_image


@pytest.mark.engine
def test_an_engine_with_the_image_says_what_it_is() -> None:
    facts = engine_facts(image=sandbox_image())
    assert facts.version
    assert facts.arch in {"amd64", "arm64"}
    assert facts.cgroup in {"1", "2"}
    assert facts.has_image
    assert facts.unix_s
    assert "runc" in facts.runtimes


@pytest.mark.engine
def test_an_image_of_another_recipe_is_not_the_current_one() -> None:
    facts = engine_facts(base="a/base:nobody-has")
    assert not facts.has_image
    assert facts.image.startswith("auxot-tools/sandbox:")


def test_an_engine_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        engine_facts(f"unix://{tmp_path}/none.sock")
