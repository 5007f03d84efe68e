"""The tools on offer stay the same, also while the worker is away."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.errors import Unavailable
from auxot_tools.types import ToolSpec
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool

pytestmark = pytest.mark.anyio


@dataclass
class CountingDispatcher(FakeDispatcher):
    """Counts how often it is asked for its tools; may never answer."""

    asked: int = 0
    hangs: bool = False

    async def list_tools(self) -> Sequence[ToolSpec]:
        self.asked += 1
        await anyio.sleep(3600 if self.hangs else 0.01)
        return await super().list_tools()


async def test_only_allowed_tools_are_offered_in_the_order_of_their_names() -> None:
    dispatcher = FakeDispatcher([echo_tool("b"), echo_tool("c"), echo_tool("a")])
    offered = await Catalogue(dispatcher, ["c", "a", "missing"]).offered()
    assert [tool.name for tool in offered] == ["a", "c"]


async def test_what_reads_long_outputs_comes_with_the_others_and_never_alone() -> None:
    dispatcher = FakeDispatcher([echo_tool("b"), echo_tool("read_output"), echo_tool("c")])
    offered = await Catalogue(dispatcher, ["b"]).offered()
    assert [tool.name for tool in offered] == ["b", "read_output"]
    assert await Catalogue(dispatcher, []).offered() == ()


async def test_an_empty_allow_list_offers_none_and_asks_nobody() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("away"))
    assert await Catalogue(dispatcher, []).offered() == ()


async def test_a_worker_that_was_never_there_is_an_error() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("away"))
    with pytest.raises(Unavailable):
        await Catalogue(dispatcher, ["echo"]).offered()


async def test_a_line_of_requests_shares_one_attempt_to_reach_a_worker_that_is_away() -> None:
    dispatcher = CountingDispatcher(list_error=Unavailable("away"))
    catalogue = Catalogue(dispatcher, ["echo"])
    refused = []

    async def ask() -> None:
        with pytest.raises(Unavailable):
            await catalogue.offered()
        refused.append(1)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert (len(refused), dispatcher.asked) == (20, 1)


async def test_a_worker_that_hangs_does_not_hold_up_those_who_know_its_tools() -> None:
    dispatcher = CountingDispatcher()
    catalogue = Catalogue(dispatcher, ["echo"], fresh_s=0)
    known = await catalogue.offered()
    dispatcher.hangs = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(catalogue.offered)
    assert await catalogue.offered() == known


async def test_known_tools_stay_on_offer_while_the_worker_is_away() -> None:
    dispatcher = FakeDispatcher([echo_tool()])
    catalogue = Catalogue(dispatcher, ["echo"], fresh_s=0)
    before = await catalogue.offered()
    dispatcher.list_error = Unavailable("away")
    assert await catalogue.offered() == before


async def test_a_worker_that_comes_back_with_other_tools_is_noticed() -> None:
    dispatcher = FakeDispatcher([echo_tool("a")])
    catalogue = Catalogue(dispatcher, ["a", "b"], fresh_s=0)
    await catalogue.offered()
    dispatcher.tools = [echo_tool("a"), echo_tool("b")]
    assert [tool.name for tool in await catalogue.offered()] == ["a", "b"]
