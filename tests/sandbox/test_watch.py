"""Whether calls can succeed now is seen, said in a sentence, and taken back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.sandbox.access import EngineAccess
from auxot_tools.sandbox.engine import ENGINE_DISK_FULL
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.watch import Watch
from tests.support.engine import sandbox_image
from tests.support.engine_proxy import engine_proxy
from tests.support.fake_init import Clock

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def watching(url: str = "", images: tuple[str, ...] = ()) -> AsyncGenerator[Watch, None]:
    engine = EngineAccess(SandboxOptions(engine_url=url))
    watch = Watch(engine, lambda: images, every_s=60, clock=Clock())
    try:
        yield watch
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(engine.finish)
        watch.close()


@pytest.mark.engine
async def test_a_well_engine_with_the_image_is_no_problem() -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    async with watching() as watch:
        await watch.look()
        assert watch.problem() == ""


@pytest.mark.engine
async def test_an_image_that_calls_need_and_that_is_missing_is_named() -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    async with watching(images=("", "nobody/has:this")) as watch:
        await watch.look()
        assert "nobody/has:this" in watch.problem()


@pytest.mark.engine
async def test_an_engine_that_goes_and_comes_back_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    async with (
        engine_proxy(tmp_path) as proxy,
        watching(f"unix://{tmp_path}/engine.sock") as watch,
    ):
        await watch.look()
        assert watch.problem() == ""
        await proxy.cut()
        for _ in range(3):
            await watch.look()
        assert "does not answer" in watch.problem()
        assert caplog.text.count("no tool can be run now") == 1  # said once
        proxy.mend()
        await watch.look()
        assert watch.problem() == ""


async def test_an_engine_that_never_was_there_is_a_problem(tmp_path: Path) -> None:
    async with watching(f"unix://{tmp_path}/nobody.sock") as watch:
        await watch.look()
        assert "nobody.sock does not answer" in watch.problem()


async def test_a_full_disk_is_believed_until_a_box_could_be_made() -> None:
    async with watching() as watch:
        watch.launch_failed(Unavailable(ENGINE_DISK_FULL))
        assert watch.problem() == ENGINE_DISK_FULL
        watch.launched()
        assert watch.problem() == ""


async def test_a_full_disk_is_forgotten_after_a_while() -> None:
    clock = Clock()
    watch = Watch(EngineAccess(SandboxOptions()), tuple, every_s=60, clock=clock)
    watch.launch_failed(Unavailable(ENGINE_DISK_FULL))
    clock.now += 61
    assert watch.problem() == ""


async def test_one_box_that_was_refused_is_no_problem_of_all() -> None:
    async with watching() as watch:
        watch.launch_failed(Unavailable("The Docker engine refused what the sandbox asked of it."))
        assert watch.problem() == ""
