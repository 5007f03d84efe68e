"""The lock check: pins that fit, hashes, and no addresses."""

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "project": {
        "dependencies": ["first>=2"],
        "optional-dependencies": {"dev": ["second[extra]>=1"]},
    },
    "build-system": {"requires": ["Third_Party"]},
}
LOCK = """\
first==2.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
second==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:cc
third-party==9 \\
    --hash=sha256:dd
"""


@pytest.fixture(scope="module")
def check_lock() -> ModuleType:
    """The script, which is no part of any package."""
    spec = importlib.util.spec_from_file_location("check_lock", ROOT / "deploy" / "check_lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("lock", "sentences"),
    [
        (LOCK, []),
        (
            LOCK.replace("first==2.1", "first==1.9"),
            ["first is pinned to 1.9, but pyproject.toml asks for first>=2."],
        ),
        (LOCK.replace("second==", "another=="), ["second is not pinned."]),
        (LOCK.replace("    --hash=sha256:dd\n", ""), ["third-party has no hash."]),
        (
            "--index-url x\n" + LOCK,
            ["An address or an option is in it; only names, versions and hashes belong there."],
        ),
    ],
)
def test_a_lock_is_told_what_does_not_fit(
    check_lock: ModuleType, lock: str, sentences: list[str]
) -> None:
    assert list(check_lock.problems(PROJECT, lock)) == sentences


def test_our_lock_fits_our_project(check_lock: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert list(check_lock.problems(project, lock)) == []
