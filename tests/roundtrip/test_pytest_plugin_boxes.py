"""The pytest plugin with real boxes: what `examples/` shows, as it stands there."""

import shutil
from pathlib import Path

import pytest

from auxot_tools.sandbox.listing import list_boxes
from tests.support.engine import sandbox_image
from tests.support.outside_tests import run_outside

pytestmark = pytest.mark.engine

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_examples_pass_and_leave_no_box_behind(tmp_path: Path) -> None:
    sandbox_image()
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    ran = run_outside(tmp_path / "examples" / "testing")
    assert ran.exit_code == 0, ran.output
    assert len(ran.outcomes) == 6
    assert [box for box in list_boxes("") if box.worker.startswith("pytest-")] == []
