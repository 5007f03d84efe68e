"""The tools on offer stay the same, also while the worker is away."""

import pytest

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.errors import Unavailable
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool

pytestmark = pytest.mark.anyio


async def test_only_allowed_tools_are_offered_in_the_order_of_their_names() -> None:
    dispatcher = FakeDispatcher([echo_tool("b"), echo_tool("c"), echo_tool("a")])
    offered = await Catalogue(dispatcher, ["c", "a", "missing"]).offered()
    assert [tool.name for tool in offered] == ["a", "c"]


async def test_an_empty_allow_list_offers_none_and_asks_nobody() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("away"))
    assert await Catalogue(dispatcher, []).offered() == ()


async def test_a_worker_that_was_never_there_is_an_error() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("away"))
    with pytest.raises(Unavailable):
        await Catalogue(dispatcher, ["echo"]).offered()


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
