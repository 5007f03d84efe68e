"""Sessions: one box and one call at a time, an end that is told, and bounds for all of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from anyio.abc import TaskGroup

from auxot_tools.errors import Unavailable
from auxot_tools.ports import BoxOwner
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.pool import Pool
from auxot_tools.sandbox.session import SessionBox, Sessions
from tests.support.fake_init import FakeBoxes, fake_boxes, kind, serve

pytestmark = pytest.mark.anyio

KIND = kind("session")
OWNER = BoxOwner("tenant", "one")


@dataclass
class Running:
    sessions: Sessions
    boxes: FakeBoxes
    tasks: TaskGroup

    async def settle(self) -> None:
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()

    async def take(self, owner: BoxOwner = OWNER) -> SessionBox:
        with anyio.fail_after(5):
            return await self.sessions.take(owner, KIND)

    async def call(self, owner: BoxOwner = OWNER) -> SessionBox:
        """One whole call: the box is back, and PID 1 ready."""
        taken = await self.take(owner)
        self.end_call(taken.box, owner)
        self.boxes.init(taken.box).say(b"r")
        await self.settle()
        return taken

    def end_call(self, box: LiveBox, owner: BoxOwner = OWNER) -> None:
        serve(box)
        self.sessions.put_back(owner, box)


@asynccontextmanager
async def running(**bounds: int) -> AsyncGenerator[Running, None]:
    with fake_boxes() as boxes:
        options = SandboxOptions(ready=0, **bounds)  # type: ignore[arg-type]
        pool = Pool(boxes.make, boxes.dispose, options, boxes.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run)
            sessions = Sessions(pool, tasks)
            yield Running(sessions, boxes, tasks)
            tasks.cancel_scope.cancel()
        sessions.close()
        pool.close()


async def test_a_session_keeps_its_box_and_has_no_notice() -> None:
    async with running() as run:
        first, second = await run.call(), await run.call()
        assert first.box is second.box
        assert (first.notice, second.notice) == ("", "")
        assert run.sessions.has(OWNER, KIND)


@pytest.mark.parametrize(
    "stranger", [BoxOwner("tenant", "two"), BoxOwner("other", "one"), BoxOwner("", "")]
)
async def test_no_box_serves_another_tenant_or_session(stranger: BoxOwner) -> None:
    async with running() as run:
        mine = await run.call()
        assert (await run.call(stranger)).box is not mine.box


async def test_calls_of_one_session_come_one_after_another() -> None:
    async with running() as run:
        first = await run.take()
        order: list[int] = []

        async def call(number: int) -> None:
            taken = await run.take()
            order.append(number)
            run.end_call(taken.box)
            run.boxes.init(taken.box).say(b"r")

        for number in range(3):
            run.tasks.start_soon(call, number)
            await run.settle()
        assert order == []
        run.end_call(first.box)
        await run.settle()
        assert order == []  # PID 1 is not ready yet
        run.boxes.init(first.box).say(b"r")
        for _ in range(4):
            await run.settle()
        assert order == [0, 1, 2]
        assert len(run.boxes.made) == 1


async def test_two_first_calls_of_a_session_make_one_box() -> None:
    async with running() as run:
        run.boxes.gate = anyio.Event()
        for _ in range(2):
            run.tasks.start_soon(run.call)
        await run.settle()
        run.boxes.gate.set()
        for _ in range(4):
            await run.settle()
        assert len(run.boxes.made) == 1


async def test_a_claim_that_leaves_while_its_box_is_made_leaves_no_session() -> None:
    async with running() as run:
        run.boxes.gate = anyio.Event()
        with anyio.move_on_after(0.01):
            await run.sessions.take(OWNER, KIND)
        assert run.sessions.count == 0
        run.boxes.gate.set()
        await run.settle()
        assert run.boxes.alive == []


async def test_an_error_of_making_is_passed_on_and_leaves_no_session() -> None:
    async with running() as run:
        run.boxes.error = Unavailable("refused")
        with pytest.raises(Unavailable, match="refused"):
            await run.take()
        assert run.sessions.count == 0


@pytest.mark.parametrize(
    ("later_s", "reason"),
    [(601, "it was not used for 600 s"), (3601, "it was older than 3600 s")],
)
@pytest.mark.parametrize("swept", [True, False])
async def test_an_expired_session_is_started_anew_and_that_is_told_once(
    later_s: float, reason: str, swept: bool
) -> None:
    async with running() as run:
        first = await run.call()
        run.boxes.clock.now += later_s
        if swept:
            run.sessions.sweep()
        second = await run.call()
        assert second.box is not first.box
        assert second.notice.startswith(f"The session was started anew: {reason}.")
        assert run.boxes.disposed == [first.box]
        assert (await run.call()).notice == ""


async def test_a_session_in_use_does_not_expire() -> None:
    async with running() as run:
        taken = await run.take()
        run.boxes.clock.now += 10_000
        run.sessions.sweep()
        assert run.boxes.disposed == []
        run.end_call(taken.box)


async def test_a_session_that_does_not_answer_is_destroyed_and_that_is_told() -> None:
    async with running() as run:
        taken = await run.take()
        run.end_call(taken.box)
        run.boxes.init(taken.box).end()
        await run.settle()
        assert run.boxes.disposed == [taken.box]
        assert "did not become ready again" in (await run.call()).notice


async def test_a_session_whose_container_ended_between_calls_is_told() -> None:
    async with running() as run:
        taken = await run.call()
        run.boxes.init(taken.box).end()
        await run.settle()
        assert run.boxes.disposed == [taken.box]
        assert "its container ended" in (await run.call()).notice


async def test_a_spoiled_box_ends_its_session_with_the_reason() -> None:
    async with running() as run:
        taken = await run.take()
        taken.box.spoil("it did not answer after a call was stopped")
        run.sessions.put_back(OWNER, taken.box)
        assert run.boxes.disposed == [taken.box]
        assert "did not answer after a call was stopped" in (await run.call()).notice


async def test_the_least_recently_used_session_of_a_tenant_gives_way_and_is_told() -> None:
    async with running(sessions_per_tenant=2) as run:
        one, two, three = (BoxOwner("tenant", name) for name in ("one", "two", "three"))
        other = BoxOwner("other", "one")
        for owner in (other, one, two):
            await run.call(owner)
            run.boxes.clock.now += 1
        await run.call(one)
        run.boxes.clock.now += 1
        await run.call(three)
        assert not run.sessions.has(two, KIND)
        assert all(run.sessions.has(owner, KIND) for owner in (other, one, three))
        assert "make room for another session" in (await run.call(two)).notice


async def test_sessions_are_bounded_over_all_tenants() -> None:
    async with running(sessions=3) as run:
        for number in range(6):
            await run.call(BoxOwner(f"tenant-{number}", ""))
            run.boxes.clock.now += 1
        assert run.sessions.count == 3
        assert len(run.boxes.alive) == 3


async def test_a_claim_waits_while_all_sessions_that_could_give_way_are_in_use() -> None:
    async with running(sessions_per_tenant=1) as run:
        taken = await run.take()
        got: list[SessionBox] = []

        async def claim() -> None:
            got.append(await run.take(BoxOwner("tenant", "two")))

        run.tasks.start_soon(claim)
        await run.settle()
        assert got == []
        run.end_call(taken.box)
        run.boxes.init(taken.box).say(b"r")
        await run.settle()
        assert len(got) == 1
        assert run.boxes.disposed == [taken.box]


async def test_after_close_nothing_stays() -> None:
    async with running() as run:
        resting = await run.call()
        busy_owner = BoxOwner("tenant", "busy")
        busy = await run.take(busy_owner)
        run.sessions.close()
        run.sessions.put_back(busy_owner, busy.box)
        assert run.boxes.disposed == [resting.box, busy.box]
        with pytest.raises(Unavailable, match="closed"):
            await run.take()
