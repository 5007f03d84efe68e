"""All attacks, in order of their families, and the seeded sample that every test run does."""

import random

from tests.attacks import (
    cases_artifacts,
    cases_disk,
    cases_exhaustion,
    cases_files,
    cases_init,
    cases_leaks,
    cases_network,
    cases_privileges,
    cases_tenants,
    cases_text,
)
from tests.support.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *cases_exhaustion.CASES,
    *cases_disk.CASES,
    *cases_network.CASES,
    *cases_files.CASES,
    *cases_privileges.CASES,
    *cases_init.CASES,
    *cases_leaks.CASES,
    *cases_tenants.CASES,
    *cases_artifacts.CASES,
    *cases_text.CASES,
)
SEED = 20261122
SAMPLE_PER_FAMILY = 1


def sample() -> tuple[Attack, ...]:
    """The same few of every family each time: those that have a weak run."""
    chosen: list[Attack] = []
    dice = random.Random(SEED)
    for family in dict.fromkeys(attack.family for attack in ATTACKS):
        members = [one for one in ATTACKS if one.family == family and one.weak is not None]
        chosen += dice.sample(members, SAMPLE_PER_FAMILY)
    return tuple(chosen)
