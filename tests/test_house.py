"""The house rules that no linter checks: layout, ceilings, names, and what tests may not do."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "auxot_tools"
GENERATED = PACKAGE / "v1"
FILE_LINES = 400
FUNCTION_LINES = 60
LAYOUT = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    ".ci/run",
    "proto/auxot_tools/v1/tools.proto",
    "auxot_tools/py.typed",
    "tools/README.md",
    "tools/tool.schema.json",
    "sandbox/README.md",
    "tests/support",
    "tests/contract",
    "benchmarks",
    "deploy",
)
CODE_FOLDERS = ("auxot_tools", "benchmarks", "deploy", "examples", "sandbox", "tests", "tools")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
# Folders of tests that are about more than one module.
SHARED_TEST_FOLDERS = {"contract", "data", "interaction", "support"}
# What would let a test pass without having tested; in two parts, as this file is searched too.
FORBIDDEN_IN_TESTS = ("monkey" + "patch", "unittest." + "mock", "x" + "fail", "pytest." + "skip")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def files(suffix: str) -> tuple[Path, ...]:
    """Every hand-written file of the code folders with this suffix."""
    found = (path for folder in CODE_FOLDERS for path in (ROOT / folder).rglob(f"*{suffix}"))
    return tuple(sorted(path for path in found if GENERATED not in path.parents))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.rglob("*.py")} - {"__init__"}


def test_the_layout_is_there() -> None:
    assert [name for name in LAYOUT if not (ROOT / name).exists()] == []
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_no_file_is_longer_than_the_ceiling() -> None:
    sources = (*files(".py"), *files(".sh"), ROOT / "Makefile")
    lines = {relative(path): len(path.read_text("utf-8").splitlines()) for path in sources}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}


def test_no_function_is_longer_than_the_ceiling() -> None:
    lengths = {
        f"{relative(path)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in files(".py")
        for node in functions(path)
    }
    assert {name: count for name, count in lengths.items() if count > FUNCTION_LINES} == {}


def test_every_module_says_first_what_it_is_for() -> None:
    silent = [
        path for path in files(".py") if tree(path).body and not ast.get_docstring(tree(path))
    ]
    assert [relative(path) for path in silent] == []


def test_nothing_is_imported_inside_a_function() -> None:
    found = [
        f"{relative(path)}:{inner.lineno}"
        for path in files(".py")
        for node in functions(path)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert found == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [path for path in files(".py") if {path.stem, path.parent.name} & FORBIDDEN_NAMES]
    assert [relative(path) for path in named] == []


def test_every_package_with_code_has_tests() -> None:
    packages = [path.parent for path in PACKAGE.glob("*/__init__.py") if path.parent != GENERATED]
    untested = [
        package.name
        for package in packages
        if modules(package) and not list((ROOT / "tests" / package.name).glob("test_*.py"))
    ]
    assert untested == []


def subjects(place: str) -> set[str]:
    """What tests in tests/PLACE may be about; "" is the folder of tests itself."""
    if not place:
        return {"house", *(path.stem.lower() for path in (*PACKAGE.iterdir(), *ROOT.iterdir()))}
    entries = {path.name for path in (ROOT / place).glob("*")}
    suites = modules(ROOT / "tests" / "support")
    return {place} | modules(PACKAGE / place) | modules(ROOT / place) | entries | suites


def test_every_test_file_is_named_after_what_it_tests() -> None:
    """tests/PLACE/test_MODULE.py or test_PLACE.py; `_` and an aspect may follow."""
    strangers = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = "".join(path.relative_to(ROOT / "tests").parts[:-1][:1])
        subject = path.stem.removeprefix("test_")
        is_known = any(f"{subject}_".startswith(f"{name}_") for name in subjects(place))
        if place not in SHARED_TEST_FOLDERS and not is_known:
            strangers.append(relative(path))
    assert strangers == []


def test_no_two_test_files_share_a_name() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_tests_replace_nothing_and_skip_nothing() -> None:
    found = [
        f"{relative(path)}: {word}"
        for path in files(".py")
        if ROOT / "tests" in path.parents
        for word in FORBIDDEN_IN_TESTS
        if word in path.read_text("utf-8")
    ]
    assert found == []


@pytest.mark.engine
def test_the_tests_of_the_engine_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """As xdist itself sees it: it writes a test's group behind its id. Without xdist all do."""
    groups = [mark.args[0] for mark in request.node.iter_markers("xdist_group")]
    assert groups == ["engine"]
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@engine"), "run with --dist loadgroup"
