"""Tests as others write them: files in a folder of their own, run by a pytest of their own.

Only the plugins that are named are loaded, so that it does not matter how this package is
installed.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PLUGIN = "auxot_tools.roundtrip.pytest_plugin"
RUN_S = 100


@dataclass(frozen=True)
class Ran:
    """What became of each test by its name, and what was said; `reasons` of those that failed."""

    exit_code: int
    outcomes: Mapping[str, str]
    reasons: Mapping[str, str]
    output: str


def run_outside(
    folder: Path,
    *arguments: str,
    plugins: tuple[str, ...] = (PLUGIN, "anyio"),
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run pytest in a folder, with warnings as errors. Outcomes: passed, failed, error, skipped."""
    named = [word for plugin in plugins for word in ("-p", plugin)]
    report = folder / "junit.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *named, f"--junitxml={report}"),
            *("--strict-markers", "-W", "error", "-p", "no:cacheprovider", *arguments),
        ],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    outcomes: dict[str, str] = {}
    reasons: dict[str, str] = {}
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
    for case in cases:
        name = case.get("name", "")
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        if problem is not None:
            outcomes[name] = "failed" if problem.tag == "failure" else "error"
            reasons[name] = problem.text or ""
        else:
            outcomes.setdefault(name, "passed")
    return Ran(done.returncode, outcomes, reasons, done.stdout + done.stderr)
