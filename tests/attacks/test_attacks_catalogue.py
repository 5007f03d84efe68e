"""The catalogue itself: enough attacks, in every family, and each shown to be able to break."""

from collections import Counter

from tests.attacks.catalogue import ATTACKS, sample
from tests.support.attack import ALL
from tests.support.attack_weak import WEAK
from tests.support.attack_worker import offered_modes

FAMILIES = {
    "exhaustion",
    "network",
    "files",
    "privileges",
    "init",
    "leaks",
    "tenants",
    "files out",
    "files in",
    "encodings",
}
WANTED = 80


def test_eighty_attacks_and_more_are_shown_to_break_where_it_is_weak() -> None:
    assert sum(attack.weak is not None for attack in ATTACKS) >= WANTED


def test_every_attack_has_a_weak_run_or_says_why_it_cannot_have_one() -> None:
    silent = [one.name for one in ATTACKS if (one.weak is None) is not bool(one.why_not_weak)]
    assert silent == []
    assert [one.name for one in ATTACKS if one.weak is not None and one.weak not in WEAK] == []


def test_every_weak_set_up_is_used() -> None:
    assert {one.weak for one in ATTACKS} - {None} == set(WEAK)


def test_every_family_has_attacks_with_names_of_their_own() -> None:
    assert {one.family for one in ATTACKS} == FAMILIES
    names = Counter((one.family, one.name) for one in ATTACKS)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_attack_is_tried_in_every_mode_that_a_tool_can_have() -> None:
    assert set(offered_modes()) == set(ALL)
    assert all(one.modes and set(one.modes) <= set(ALL) for one in ATTACKS)


def test_the_sample_is_the_same_each_time_and_of_every_family() -> None:
    assert sample() == sample()
    assert {one.family for one in sample()} == FAMILIES
