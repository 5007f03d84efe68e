"""Warm boxes: bound to one tenant for ever, recycled when in doubt, bounded in number."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from anyio.abc import TaskGroup

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.pool import Pool
from auxot_tools.sandbox.warm import WarmBoxes
from tests.support.fake_init import FakeBoxes, fake_boxes, kind, serve

pytestmark = pytest.mark.anyio

KIND = kind("warm")


@dataclass
class Running:
    warm: WarmBoxes
    boxes: FakeBoxes
    tasks: TaskGroup

    async def settle(self) -> None:
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()

    async def take(self, tenant: str = "a") -> LiveBox:
        with anyio.fail_after(5):
            return await self.warm.take(tenant, KIND)

    async def call(self, tenant: str = "a") -> LiveBox:
        """One whole call: the box is back, and PID 1 ready."""
        box = await self.take(tenant)
        serve(box)
        self.boxes.init(box).say(b"r")
        self.warm.put_back(tenant, box)
        await self.settle()
        return box


@asynccontextmanager
async def running(options: SandboxOptions | None = None) -> AsyncGenerator[Running, None]:
    with fake_boxes() as boxes:
        options = options or SandboxOptions(ready=0)
        pool = Pool(boxes.make, boxes.dispose, options, boxes.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run)
            warm = WarmBoxes(pool, tasks)
            yield Running(warm, boxes, tasks)
            tasks.cancel_scope.cancel()
        warm.close()
        pool.close()


async def test_a_tenant_gets_its_box_again() -> None:
    async with running() as run:
        first = await run.call()
        assert await run.call() is first
        assert run.warm.has("a", KIND)
        assert not run.warm.has("b", KIND)


async def test_a_box_never_serves_a_second_tenant() -> None:
    async with running() as run:
        first = await run.call("a")
        second = await run.call("b")
        third = await run.call("")
        assert len({first.id, second.id, third.id}) == 3


async def test_a_claim_waits_for_a_box_that_is_just_recovering() -> None:
    async with running() as run:
        box = await run.take()
        serve(box)
        run.warm.put_back("a", box)
        got: list[LiveBox] = []

        async def claim() -> None:
            got.append(await run.take())

        run.tasks.start_soon(claim)
        await run.settle()
        assert got == []
        run.boxes.init(box).say(b"r")
        await run.settle()
        assert got == [box]
        assert len(run.boxes.made) == 1


async def test_a_claim_whose_box_did_not_recover_gets_a_new_one() -> None:
    async with running() as run:
        box = await run.take()
        serve(box)
        run.warm.put_back("a", box)
        got: list[LiveBox] = []

        async def claim() -> None:
            got.append(await run.take())

        run.tasks.start_soon(claim)
        await run.settle()
        run.boxes.init(box).end()
        await run.settle()
        assert run.boxes.disposed == [box]
        assert got == [run.boxes.made[1]]


async def test_a_claim_that_leaves_while_it_waits_leaves_nothing() -> None:
    async with running() as run:
        box = await run.take()
        serve(box)
        run.warm.put_back("a", box)
        with anyio.move_on_after(0.01):
            await run.warm.take("a", KIND)
        run.boxes.init(box).say(b"r")
        await run.settle()
        assert run.warm.resting_boxes == 1
        assert await run.take() is box


async def test_a_spoiled_box_is_recycled() -> None:
    async with running() as run:
        box = await run.take()
        box.spoil("it ran out of memory")
        run.warm.put_back("a", box)
        assert run.boxes.disposed == [box]
        assert not run.warm.has("a", KIND)


async def test_a_box_that_was_not_used_rests_at_once() -> None:
    async with running() as run:
        box = await run.take()
        run.warm.put_back("a", box)
        assert run.warm.resting_boxes == 1
        assert await run.take() is box


async def test_a_box_is_recycled_after_so_many_calls() -> None:
    async with running(SandboxOptions(ready=0, warm_calls=3)) as run:
        used = [await run.call() for _ in range(4)]
        assert used[0] is used[1] is used[2]
        assert used[3] is not used[0]
        assert run.boxes.disposed == [used[0]]


@pytest.mark.parametrize("later_s", [301, 3601])
async def test_a_box_is_recycled_when_it_rests_or_lives_too_long(later_s: float) -> None:
    async with running() as run:
        box = await run.call()
        run.boxes.clock.now += later_s
        run.warm.sweep()
        assert run.boxes.disposed == [box]


async def test_a_resting_box_that_ends_is_forgotten() -> None:
    async with running() as run:
        box = await run.call()
        run.boxes.init(box).end()
        await run.settle()
        assert run.boxes.disposed == [box]
        assert await run.take() is not box


async def test_the_longest_unused_gives_way_when_there_are_too_many() -> None:
    async with running(SandboxOptions(concurrency=2, ready=0)) as run:
        first, second = await run.call("a"), await run.call("b")
        third = await run.call("c")
        assert run.boxes.disposed == [first]
        assert {box.id for box in run.boxes.alive} == {second.id, third.id}


async def test_an_error_of_making_is_passed_on_and_counts_for_nothing() -> None:
    async with running(SandboxOptions(concurrency=1, ready=0)) as run:
        run.boxes.error = Unavailable("refused")
        for _ in range(3):
            with pytest.raises(Unavailable, match="refused"):
                await run.take()
        run.boxes.error = None
        box = await run.call()
        assert await run.call() is box


async def test_after_close_nothing_rests() -> None:
    async with running() as run:
        resting = await run.call("a")
        serving = await run.take("b")
        run.warm.close()
        run.warm.put_back("b", serving)
        assert run.boxes.disposed == [resting, serving]


async def test_a_busy_tenant_does_not_push_out_its_own_boxes() -> None:
    """While its boxes recover, others wait in the pool: taking those must come to an end."""
    options = SandboxOptions(concurrency=2, ready=2)
    async with running(options) as run:
        for _ in range(40):
            first, second = await run.take(), await run.take()
            for box in (first, second):
                serve(box)
                run.warm.put_back("a", box)
                run.boxes.init(box).say(b"r")
        await run.settle()
        assert run.boxes.disposed == []
        assert len(run.boxes.made) <= options.concurrency + options.ready + 1  # one more waits
