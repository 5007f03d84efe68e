"""A few of the mutants of `make test-mutants`: one for each way in which they break a router."""

from collections.abc import Iterator

import pytest

from auxot_tools.roundtrip.rules import ALL
from tests.mutants.table import BLIND_IN_ANY_CASE, MUTANTS, blind
from tests.support.mutant_router import LEFT_OUT_BY_QUICK, QUICK, Mutant
from tests.support.mutant_scores import Scores, scored

UNCHANGED = "our router as it is"
SAMPLE = (
    "auth.missing-key",  # another answer
    "shapes.model",  # another member of a message
    "sse.index-contiguous",  # other events
    "keep-alive.headers",  # other times
    "pairing.upstream-next",  # other requests upstream
    "rounds.bounded",  # another loop
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scores]:
    mutants = {UNCHANGED: Mutant(), **{name: MUTANTS[name] for name in SAMPLE}}
    with scored(mutants.items(), tmp_path_factory.mktemp("lab"), QUICK) as made:
        yield made


def test_every_rule_has_its_mutant() -> None:
    assert {rule.id for rule in ALL} == set(MUTANTS)


def test_our_router_as_it_is_fails_no_rule(scores: Scores) -> None:
    assert scores.verdicts(UNCHANGED) == (set(), BLIND_IN_ANY_CASE | LEFT_OUT_BY_QUICK)


@pytest.mark.parametrize("rule", SAMPLE)
def test_a_broken_router_fails_exactly_the_broken_rule(rule: str, scores: Scores) -> None:
    assert scores.verdicts(rule) == ({rule}, blind(rule) | LEFT_OUT_BY_QUICK)
