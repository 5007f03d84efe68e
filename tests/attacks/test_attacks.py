"""Every attack: it holds in the product, in each mode, and breaks in a weak set-up."""

import pytest

from tests.attacks.catalogue import ATTACKS
from tests.support.attack import Attack
from tests.support.attack_weak import WeakHost
from tests.support.attack_worker import AttackedWorker, offered_modes

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.attacks]

HELD = [(mode, attack) for mode in offered_modes() for attack in ATTACKS if mode in attack.modes]
WITH_WEAK = [attack for attack in ATTACKS if attack.weak is not None]


CHANNEL = [attack for attack in ATTACKS if attack.family == "init"]


def name_of(value: object) -> str:
    return value.name.replace(" ", "-") if isinstance(value, Attack) else str(value)


@pytest.mark.parametrize(("mode", "attack"), HELD, ids=name_of)
async def test_an_attack_holds_in_the_product(
    worker: AttackedWorker, mode: str, attack: Attack
) -> None:
    seen = await worker.run(attack, mode)
    verdict = attack.holds(seen)
    assert verdict.word == "held", verdict.detail


@pytest.mark.parametrize("attached", ["call attach", "warm attach"])
@pytest.mark.parametrize("attack", CHANNEL, ids=name_of)
async def test_an_attack_on_init_holds_over_the_attached_stream(
    attached_worker: AttackedWorker, attached: str, attack: Attack
) -> None:
    mode, _ = attached.split()
    verdict = attack.holds(await attached_worker.run(attack, mode))
    assert verdict.word == "held", verdict.detail


@pytest.mark.parametrize("attack", WITH_WEAK, ids=name_of)
def test_an_attack_breaks_in_a_weak_set_up(weak: WeakHost, attack: Attack) -> None:
    seen = weak.run(attack, {"GATEWAY": weak.gateway})
    verdict = attack.holds(seen)
    assert verdict.word == "broke", f"{verdict.word}: {verdict.detail}"
