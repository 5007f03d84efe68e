"""Turns: one place for each tenant, and nobody waits behind all of another's."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from auxot_tools.hosted.turns import Turns

pytestmark = pytest.mark.anyio


class Work:
    """Tasks that take a turn and keep it until they are let go, and who has one."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.running: list[str] = []
        self._done: dict[str, anyio.Event] = {}

    async def run(self, name: str) -> None:
        """`name`: the tenant, then anything."""
        done = self._done[name] = anyio.Event()
        async with self.turns.turn(name[0]):
            self.running.append(name)
            await done.wait()
            self.running.remove(name)

    async def end(self, name: str) -> None:
        self._done[name].set()
        await wait_all_tasks_blocked()


async def test_a_tenant_has_one_place_and_leaves_the_others_free() -> None:
    work = Work(places=2)
    async with anyio.create_task_group() as tasks:
        for name in ("a1", "a2", "a3", "b1"):
            tasks.start_soon(work.run, name)
        await wait_all_tasks_blocked()
        assert work.running == ["a1", "b1"]
        tasks.cancel_scope.cancel()


async def test_those_who_wait_take_turns() -> None:
    work, order = Work(places=1), []
    async with anyio.create_task_group() as tasks:
        for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            tasks.start_soon(work.run, name)
        await wait_all_tasks_blocked()
        for _turn in range(6):
            (name,) = work.running
            order.append(name)
            await work.end(name)
    assert order == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_who_leaves_takes_no_place_along() -> None:
    work = Work(places=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work.run, "a1")
        await wait_all_tasks_blocked()
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(work.run, "b1")
            await wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        tasks.start_soon(work.run, "b2")
        await wait_all_tasks_blocked()
        await work.end("a1")
        assert work.running == ["b2"]
        await work.end("b2")
        assert work.running == []


async def test_who_leaves_just_when_called_hands_the_place_on() -> None:
    turns = Turns(1)
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def leaving() -> None:
            with scope:
                async with turns.turn("b"):
                    await checkpoint()

        async with turns.turn("a"):
            tasks.start_soon(leaving)
            await wait_all_tasks_blocked()
        scope.cancel()  # the place was given to it just now
        with anyio.fail_after(5):
            async with turns.turn("c"):
                pass
