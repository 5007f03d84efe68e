"""Which client a test is about, and the table at the end: scenario by client.

One job: the fixtures that make clients, and the record of what passed. It must not know scenarios:
each test says in `@pytest.mark.scenario(...)` which line of the table it belongs to.
"""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import CLAUDE, INSTALLED, NODE_PROGRAMS, ClaudeCode, Client

CLIENTS: tuple[type[Any], ...] = (ClaudeCode, *NODE_PROGRAMS)
PACKAGES = ("@anthropic-ai/claude-code", "@anthropic-ai/sdk", "ai", "@ai-sdk/anthropic")
PASSED, FAILED, NOT_RUN = "pass", "FAIL", "-"
# (scenario, client) -> whether every test of it passed
RESULTS: pytest.StashKey[dict[tuple[str, str], bool]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "scenario(title, clients=all): its line in the table, and who plays it"
    )
    config.stash[RESULTS] = {}


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """The clients are there: `make test-clients` sees to it."""
    assert CLAUDE.exists(), "The clients are not installed: run deploy/ensure-clients.sh."


@pytest.fixture
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    """A conversation that has not begun, by the client of this run of the test."""
    made: Client = request.param(tmp_path / "home")
    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `client` runs once for each, or for those that its `scenario` names."""
    if "client" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("scenario")
        chosen = marker.kwargs.get("clients", CLIENTS) if marker is not None else CLIENTS
        metafunc.parametrize("client", chosen, ids=[made.name for made in chosen], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    marker = item.get_closest_marker("scenario")
    if marker is not None and (report.when == "call" or report.failed):
        callspec = getattr(item, "callspec", None)
        chosen = callspec.params.get("client", ClaudeCode) if callspec else ClaudeCode
        cell = (marker.args[0], chosen.name)
        results = item.config.stash[RESULTS]
        results[cell] = results.get(cell, True) and report.passed
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    results = config.stash[RESULTS]
    if not results:
        return
    terminalreporter.section("clients")
    for line in (versions(), "", *table(results)):
        terminalreporter.write_line(line)


def versions() -> str:
    """The clients under test, as they are installed."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    found = []
    for name in PACKAGES:
        package = INSTALLED / "node_modules" / name / "package.json"
        found.append(f"{name} {json.loads(package.read_text('utf-8'))['version']}")
    return f"{', '.join(found)}; Node.js {node.stdout.strip()}"


def table(results: dict[tuple[str, str], bool]) -> list[str]:
    """One line for each scenario, one column for each client."""
    names = [client.name for client in CLIENTS]
    titles = list(dict.fromkeys(title for title, _ in results))
    width = max(len(title) for title in ("scenario", *titles))
    rows = [["scenario".ljust(width), *names]]
    for title in titles:
        cells = [results.get((title, name)) for name in names]
        words = [NOT_RUN if cell is None else PASSED if cell else FAILED for cell in cells]
        rows.append([title.ljust(width), *map(str.center, words, map(len, names))])
    return ["  ".join(row).rstrip() for row in rows]
