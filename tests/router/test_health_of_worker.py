"""What `/health` says of the worker: reached, serving, or not."""

from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from auxot_tools.errors import Unavailable
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool
from tests.support.fake_model_server import FakeModelServer
from tests.support.running import running_router

pytestmark = pytest.mark.anyio


class WorkersWord:
    """Whether the worker serves, as it says itself; `error` is raised in place of a word."""

    def __init__(self, *, serves: bool, error: Unavailable | None = None) -> None:
        self.serves, self.error, self.asked = serves, error, 0

    async def __call__(self) -> bool:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return self.serves


async def health(tmp_path: Path, word: WorkersWord, times: int = 1, **more: Any) -> dict[str, Any]:
    dispatcher = more.pop("dispatcher", FakeDispatcher([echo_tool()]))
    router_of = running_router(tmp_path, FakeModelServer(), dispatcher, worker_serves=word, **more)
    async with router_of as router, aiohttp.ClientSession() as session:
        for _ in range(times):
            async with session.get(f"{router.origin}/health") as response:
                assert response.status == 200  # a probe must not restart a router for its worker
                told: dict[str, Any] = await response.json()
    return told


async def test_a_worker_that_serves_is_well(tmp_path: Path) -> None:
    told = await health(tmp_path, WorkersWord(serves=True))
    assert told["status"] == "ok"
    assert "worker" not in told


async def test_a_worker_that_does_not_serve_is_told_and_its_tools_all_the_same(
    tmp_path: Path,
) -> None:
    told = await health(tmp_path, WorkersWord(serves=False))
    assert (told["status"], told["worker"]) == ("degraded", "not serving")
    assert told["tools"] == ["echo"]


async def test_a_worker_that_has_gone_since_its_tools_were_listed_is_unreachable(
    tmp_path: Path,
) -> None:
    told = await health(tmp_path, WorkersWord(serves=True, error=Unavailable("gone")))
    assert (told["status"], told["worker"]) == ("degraded", "unreachable")


async def test_a_router_without_tools_asks_no_worker(tmp_path: Path) -> None:
    word = WorkersWord(serves=False)
    assert (await health(tmp_path, word, allowed=()))["status"] == "ok"
    assert word.asked == 0


async def test_many_that_ask_cost_the_worker_one_question(tmp_path: Path) -> None:
    word = WorkersWord(serves=True)
    await health(tmp_path, word, times=5)
    assert word.asked == 1
