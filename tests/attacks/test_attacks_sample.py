"""A seeded few of the attacks, in every test run: they hold, and break where it is weak."""

import pytest

from tests.attacks.catalogue import sample
from tests.support.attack import Attack
from tests.support.attack_weak import WeakHost
from tests.support.attack_worker import AttackedWorker, offered_modes

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SAMPLE = sample()


def name_of(value: object) -> str:
    return value.name.replace(" ", "-") if isinstance(value, Attack) else str(value)


@pytest.mark.parametrize("mode", offered_modes())
@pytest.mark.parametrize("attack", SAMPLE, ids=name_of)
async def test_a_sampled_attack_holds_in_the_product(
    worker: AttackedWorker, mode: str, attack: Attack
) -> None:
    verdict = attack.holds(await worker.run(attack, mode))
    assert verdict.word == "held", verdict.detail


@pytest.mark.parametrize("attack", SAMPLE, ids=name_of)
def test_a_sampled_attack_breaks_in_a_weak_set_up(weak: WeakHost, attack: Attack) -> None:
    verdict = attack.holds(weak.run(attack, {"GATEWAY": weak.gateway}))
    assert verdict.word == "broke", f"{verdict.word}: {verdict.detail}"
