"""`roundtrip` fails a broken router on exactly the rule that it breaks: a mutant for each rule.

`make test-mutants` runs them all, in one process (they run side by side in it); `tests/roundtrip` a
few, with every other test.
"""

from collections.abc import Iterator

import pytest

from auxot_tools.roundtrip.rules import ALL
from tests.mutants.table import BLIND_IN_ANY_CASE, MUTANTS, blind
from tests.support.mutant_router import Mutant
from tests.support.mutant_scores import Scores, scored

UNCHANGED = "our router as it is"


@pytest.fixture(scope="module")
def scores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scores]:
    """Scores of the mutants that were asked for."""
    asked_for = [rule for item in request.session.items if (rule := rule_of(item))]
    mutants = {UNCHANGED: Mutant(), **{rule: MUTANTS[rule] for rule in asked_for}}
    with scored(mutants.items(), tmp_path_factory.mktemp("lab")) as made:
        yield made


def rule_of(item: pytest.Item) -> str:
    """The rule whose mutant a test is about, or nothing."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return str(given.get("rule", ""))


def test_every_rule_has_a_mutant() -> None:
    assert {rule.id for rule in ALL} == set(MUTANTS)


def test_our_router_as_it_is_breaks_no_rule(scores: Scores) -> None:
    assert scores.verdicts(UNCHANGED) == (set(), BLIND_IN_ANY_CASE)


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_breaks_its_rule_and_no_other(rule: str, scores: Scores) -> None:
    assert scores.verdicts(rule) == ({rule}, blind(rule))
