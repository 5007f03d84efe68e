"""Ready boxes: who gets one, what is made next, and that nothing is made or kept without bound."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from auxot_tools.errors import EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.pool import MAKERS, Pool
from tests.support.fake_init import FakeBoxes, fake_boxes, kind

pytestmark = pytest.mark.anyio

KIND, OTHER = kind(), kind(image="other")


@dataclass
class Running:
    pool: Pool
    boxes: FakeBoxes

    async def settle(self) -> None:
        """Until the makers have nothing to do but wait."""
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()

    async def take(self, wanted: BoxKind = KIND) -> LiveBox:
        with anyio.fail_after(5):
            return await self.pool.take(wanted)


@asynccontextmanager
async def running(
    options: SandboxOptions | None = None,
) -> AsyncGenerator[Running, None]:
    with fake_boxes() as boxes:
        options = options or SandboxOptions()
        pool = Pool(boxes.make, boxes.dispose, options, boxes.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run)
            yield Running(pool, boxes)
            tasks.cancel_scope.cancel()
        pool.close()


async def test_a_claim_gets_a_box_that_waits_and_another_takes_its_place() -> None:
    async with running() as run:
        run.pool.keep([KIND])
        await run.settle()
        assert run.pool.waiting_boxes == 2
        first = await run.take()
        assert first is run.boxes.made[0]
        await run.settle()
        assert run.pool.waiting_boxes == 2
        assert len(run.boxes.made) == 3


async def test_a_kind_that_was_claimed_once_waits_for_the_next_claim() -> None:
    async with running() as run:
        await run.take()
        await run.settle()
        assert run.pool.has_ready(KIND)
        assert not run.pool.has_ready(OTHER)


async def test_with_none_to_be_ready_each_box_is_made_for_its_claim() -> None:
    async with running(SandboxOptions(ready=0)) as run:
        await run.take()
        await run.settle()
        assert (len(run.boxes.made), run.pool.waiting_boxes) == (1, 0)


async def test_at_most_two_boxes_are_made_at_a_time() -> None:
    async with running() as run:
        run.boxes.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(run.take)
            await run.settle()
            run.boxes.gate.set()
        await run.settle()
        assert run.boxes.most_making == MAKERS


async def test_claims_are_served_in_the_order_they_came() -> None:
    async with running(SandboxOptions(ready=0)) as run:
        run.boxes.gate = anyio.Event()
        served: list[int] = []

        async def claim(number: int) -> None:
            await run.take()
            served.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(claim, number)
                await run.settle()
            run.boxes.gate.set()
        assert served == [0, 1, 2, 3, 4]


async def test_what_a_claim_waits_for_is_made_before_what_refills() -> None:
    async with running(SandboxOptions(ready=6)) as run:
        run.boxes.gate = anyio.Event()
        run.pool.keep([KIND])
        await run.settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.take, OTHER)
            await run.settle()
            run.boxes.gate.set()
        assert run.boxes.asked[:MAKERS] == [KIND] * MAKERS
        assert run.boxes.asked[MAKERS] == OTHER


async def test_a_claim_that_leaves_while_its_box_is_made_leaves_it_to_the_next() -> None:
    async with running(SandboxOptions(ready=1)) as run:
        run.boxes.gate = anyio.Event()
        with anyio.move_on_after(0.01):
            await run.pool.take(KIND)
        run.boxes.gate.set()
        await run.settle()
        assert run.pool.waiting_boxes == 1
        assert await run.take() in run.boxes.alive


async def test_a_claim_that_leaves_with_its_box_in_hand_gives_it_back() -> None:
    """Cancelled after the box was given to it and before it could go on."""
    async with running(SandboxOptions(ready=0)) as run:
        run.boxes.gate = anyio.Event()
        claim = asyncio.ensure_future(run.pool.take(KIND))
        await run.settle()
        run.boxes.gate.set()
        while not run.boxes.made:
            await anyio.lowlevel.checkpoint()
        claim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claim
        await run.settle()
        assert run.boxes.alive == []


async def test_a_claim_gets_the_error_of_the_attempt_made_for_it() -> None:
    async with running() as run:
        run.boxes.error = Unavailable("refused")
        with pytest.raises(Unavailable, match="refused"):
            await run.take()
        run.boxes.error = None
        await run.take()  # no back-off holds up a claim


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), ImageMissing("gone")])
async def test_what_concerns_every_box_ends_all_claims_that_waited(error: Unavailable) -> None:
    async with running() as run:
        run.boxes.gate, run.boxes.error = anyio.Event(), error
        errors: list[Unavailable] = []

        async def claim() -> None:
            with pytest.raises(type(error)) as caught:
                await run.take()
            errors.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(claim)
            await run.settle()
            run.boxes.gate.set()
        assert [str(caught) for caught in errors] == ["gone"] * 5
        assert len(run.boxes.asked) <= MAKERS + 1


async def test_a_bug_in_making_is_told_in_our_words(caplog: pytest.LogCaptureFixture) -> None:
    async with running(SandboxOptions(ready=0)) as run:
        run.boxes.error = ZeroDivisionError("secret")
        with pytest.raises(Unavailable, match="bug") as caught:
            await run.take()
        assert "secret" not in str(caught.value)
        assert "secret" in caplog.text


async def test_refilling_backs_off_while_making_fails() -> None:
    async with running() as run:
        run.boxes.error = Unavailable("refused")
        run.pool.keep([KIND])
        await run.settle()
        tries = len(run.boxes.asked)
        assert tries <= MAKERS
        for _ in range(5):
            run.pool.sweep()
            await run.settle()
        assert len(run.boxes.asked) == tries
        run.boxes.error = None
        run.boxes.clock.now += 31
        run.pool.sweep()
        await run.settle()
        assert run.pool.waiting_boxes == 2


async def test_a_waiting_box_that_ends_is_noticed_and_replaced() -> None:
    async with running(SandboxOptions(ready=1)) as run:
        run.pool.keep([KIND])
        await run.settle()
        (box,) = run.boxes.made
        run.boxes.init(box).end()
        await run.settle()
        assert run.boxes.disposed == [box]
        run.boxes.clock.now += 1
        run.pool.sweep()
        await run.settle()
        assert await run.take() is run.boxes.made[1]


async def test_a_hint_makes_one_box_more_until_a_claim_takes_it() -> None:
    async with running(SandboxOptions(ready=0, concurrency=2)) as run:
        assert run.pool.hint(KIND)
        await run.settle()
        assert run.pool.waiting_boxes == 1
        await run.take()
        run.pool.sweep()
        await run.settle()
        assert (len(run.boxes.made), run.pool.waiting_boxes) == (1, 0)


async def test_a_hint_without_a_call_is_forgotten_and_its_box_removed() -> None:
    async with running(SandboxOptions(ready=0)) as run:
        run.pool.hint(KIND)
        await run.settle()
        run.boxes.clock.now += 31
        run.pool.sweep()
        assert run.boxes.alive == []


async def test_hints_are_bounded_by_the_slots() -> None:
    async with running(SandboxOptions(ready=0, concurrency=2)) as run:
        assert [run.pool.hint(KIND), run.pool.hint(OTHER), run.pool.hint(KIND)] == [
            True,
            True,
            False,
        ]
        run.boxes.clock.now += 31
        assert run.pool.hint(KIND)


async def test_a_kind_nobody_asks_for_is_dropped_and_a_kept_one_stays() -> None:
    async with running() as run:
        run.pool.keep([KIND])
        await run.take(OTHER)
        await run.settle()
        assert run.pool.waiting_boxes == 4
        run.boxes.clock.now += 301
        run.pool.sweep()
        assert (run.pool.has_ready(KIND), run.pool.has_ready(OTHER)) == (True, False)
        assert run.pool.kept() == [KIND]


async def test_the_number_of_kinds_is_bounded_and_the_least_used_gives_way() -> None:
    async with running(SandboxOptions(kinds=2, ready=1)) as run:
        for number, image in enumerate(("a", "b", "c")):
            run.boxes.clock.now += number
            await run.take(kind(image=image))
            await run.settle()
        assert not run.pool.has_ready(kind(image="a"))
        assert run.pool.has_ready(kind(image="b"))
        assert run.pool.has_ready(kind(image="c"))


async def test_a_box_that_has_waited_too_long_is_replaced() -> None:
    async with running(SandboxOptions(ready=1)) as run:
        run.pool.keep([KIND])
        await run.settle()
        run.boxes.clock.now += 1801
        run.pool.sweep()
        await run.settle()
        assert run.boxes.disposed == run.boxes.made[:1]
        assert run.boxes.alive == run.boxes.made[1:]


async def test_one_box_waits_of_those_that_are_used_many_times() -> None:
    async with running(SandboxOptions(ready=2)) as run:
        run.pool.keep([kind("warm"), kind("session")])
        await run.settle()
        assert run.pool.waiting_boxes == 2


async def test_after_close_nothing_is_given_and_nothing_stays() -> None:
    async with running() as run:
        run.pool.keep([KIND])
        await run.settle()
        run.boxes.gate = anyio.Event()
        waited = False
        async with anyio.create_task_group() as tasks:

            async def claim() -> None:
                nonlocal waited
                with pytest.raises(Unavailable, match="closed"):
                    await run.take(OTHER)
                waited = True

            tasks.start_soon(claim)
            await run.settle()
            run.pool.close()
        assert waited
        run.boxes.gate.set()
        await run.settle()
        assert run.boxes.alive == []
        with pytest.raises(Unavailable, match="closed"):
            await run.take()
