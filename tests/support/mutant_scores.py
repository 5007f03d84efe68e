"""Scores of many mutants at once, for tests that ask for them one after another.

One job: the runs in a thread, side by side; a test waits for its own. It must not know the rules.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from auxot_tools.roundtrip.judging import Score
from auxot_tools.roundtrip.verdicts import Verdict
from tests.support.mutant_router import UNHURRIED, Mutant, Pace, mutant_lab

WAIT_S = 100.0  # until a score must be there: the runs before it are over, or run beside it


@dataclass(frozen=True)
class Scores:
    """What came of each mutant, by the name that it was given."""

    _futures: Mapping[str, Future[Score]]

    def verdicts(self, name: str) -> tuple[set[str], set[str]]:
        """The rules that this mutant fails, and those of which nothing can be said."""
        judged = self._futures[name].result(WAIT_S).judged
        assert all(each.outcome.notes for each in judged)  # each says what it rests on
        failed = {each.rule.id for each in judged if each.verdict is Verdict.FAIL}
        silent = {each.rule.id for each in judged if each.verdict is Verdict.NOT_TESTABLE}
        return failed, silent


@contextmanager
def scored(
    mutants: Iterable[tuple[str, Mutant]], home: Path, pace: Pace = UNHURRIED
) -> Iterator[Scores]:
    """Run them, as many side by side as a lab takes; ``home`` is a folder of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(mutant_lab(home, pace)) as lab,
    ):
        futures = {
            name: portal.start_task_soon(lab.judged, mutant, name=name) for name, mutant in mutants
        }
        try:
            yield Scores(futures)
        finally:
            for future in futures.values():
                future.cancel()
