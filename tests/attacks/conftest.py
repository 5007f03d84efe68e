"""One worker, one set of weak set-ups and one event loop for all attacks; a table at the end.

They are gone when the last attack of a file is over: a worker clears away what dead workers left,
which other tests want to see. (The scope "package" would be the whole session here: no
`__init__.py`, no package for pytest.)

`test_attacks.py` is run by `make test-attacks` only, that is with `-m attacks`.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

import pytest

from tests.attacks.catalogue import ATTACKS
from tests.support.attack_canary import canaries
from tests.support.attack_weak import WeakHost, weak_host
from tests.support.attack_worker import AttackedWorker, attacked_worker

MARKER = "attacks: every attack through the real worker and its weak set-up (make test-attacks)"
_RESULTS = pytest.StashKey[Counter[tuple[str, str, str]]]()
_FACTS = "attack"  # of a report: it may come from another process


class _Counting:
    """Counts what was reported, wherever it ran."""

    def __init__(self, results: Counter[tuple[str, str, str]]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, facts in report.user_properties:
            if name == _FACTS and report.when == "call":
                family, mode, word = str(facts).split("|")
                self._results[family, mode, word] += 1


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[_RESULTS] = Counter()
    config.pluginmanager.register(_Counting(config.stash[_RESULTS]), "attacks-counting")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the whole catalogue out unless it is asked for: it takes minutes."""
    if config.getoption("markexpr"):
        return
    left = [item for item in items if item.get_closest_marker("attacks") is not None]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    facts: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    if report.when == "call" and "attack" in facts:
        mode = facts.get("mode", facts.get("attached", "weak"))
        word = "as it must" if report.passed else "NOT"
        report.user_properties.append((_FACTS, f"{facts['attack'].family}|{mode}|{word}"))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Of each family and mode: how many held (or, in the weak set-up, broke), of how many."""
    results = config.stash[_RESULTS]
    if not results:
        return
    families = list(dict.fromkeys(family for family, _, _ in results))
    modes = list(dict.fromkeys(mode for _, mode, _ in results))
    heading = [f"{'held in ' + m if m != 'weak' else 'weak broke':>20}" for m in modes]
    terminalreporter.write_sep("-", "attacks")
    terminalreporter.write_line(f"{'family':14}{'cases':>6}" + "".join(heading))
    for family in (*families, "all"):
        rows = {k: n for k, n in results.items() if family in {k[0], "all"}}
        cells: list[str] = []
        for mode in modes:
            good = sum(n for k, n in rows.items() if k[1:] == (mode, "as it must"))
            every = sum(n for k, n in rows.items() if k[1] == mode)
            cells.append(f"{good:>16}/{every:<3}" if every else " " * 20)
        cases = sum(1 for one in ATTACKS if family in {one.family, "all"})
        terminalreporter.write_line(f"{family:14}{cases:>6}" + "".join(cells))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all: the worker is called over one channel."""
    return "asyncio"


@pytest.fixture(scope="module")
def canary() -> Iterator[Mapping[str, str]]:
    with canaries() as facts:
        yield facts


@pytest.fixture(scope="module")
def weak(canary: Mapping[str, str]) -> Iterator[WeakHost]:
    with weak_host(canary) as host:
        yield host


@pytest.fixture(scope="module")
def facts(canary: Mapping[str, str], weak: WeakHost) -> Mapping[str, str]:
    """With the address at which the weak set-ups reach the host."""
    return {**canary, "GATEWAY": weak.gateway}


@pytest.fixture(scope="module")
async def worker(
    anyio_backend: str, facts: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[AttackedWorker, None]:
    """The real worker."""
    async with attacked_worker(tmp_path_factory.mktemp("worker"), ATTACKS, facts) as running:
        yield running


@pytest.fixture(scope="module")
async def attached_worker(
    anyio_backend: str, facts: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[AttackedWorker, None]:
    """The same, without a path shared with the engine: init speaks on stdin and stdout."""
    home = tmp_path_factory.mktemp("attached")
    async with attacked_worker(home, ATTACKS, facts, channel="attach") as running:
        yield running
