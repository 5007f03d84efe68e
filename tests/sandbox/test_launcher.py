"""Boxes are made with what this host can do, and it is said when that is second best; in real ones.

What cannot be had is arranged: a folder that the engine does not see, a profile without clone.
"""

import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.errors import EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.sandbox.access import EngineAccess
from auxot_tools.sandbox.identity import this_process
from auxot_tools.sandbox.launcher import Launcher
from auxot_tools.sandbox.options import ChannelChoice, SandboxOptions
from auxot_tools.sandbox.run_dir import RunDir
from auxot_tools.sandbox.seccomp import Profile, read_profiles
from tests.support.engine import containers_of, sandbox_image
from tests.support.fake_init import kind

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

PROFILES = read_profiles()
WITHOUT_NAMESPACES: Mapping[Profile, str] = {"uid": PROFILES["uid"], "ns": PROFILES["uid"]}


@dataclass
class Launching:
    launcher: Launcher
    engine: EngineAccess
    run_dir: RunDir
    worker_id: str


@asynccontextmanager
async def launching(
    options: SandboxOptions | None = None, profiles: Mapping[Profile, str] = PROFILES
) -> AsyncGenerator[Launching, None]:
    await anyio.to_thread.run_sync(sandbox_image)
    options = options or SandboxOptions()
    identity = this_process(f"launch-{os.getpid()}")
    engine = EngineAccess(options)
    run_dir = RunDir(identity, options.run_dir)
    launcher = Launcher(engine, identity, options, profiles=profiles, run_dir=run_dir)
    try:
        yield Launching(launcher, engine, run_dir, identity.worker_id)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(engine.finish)
    assert containers_of(identity.worker_id) == []
    assert list(run_dir.path.glob("*")) == []
    run_dir.remove()


@pytest.fixture
def unseen(tmp_path: Path) -> Generator[Path, None, None]:
    """A folder of ours under a path that means something else to the engine."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Path(f"/proc/self/fd/{descriptor}/place")
    os.close(descriptor)


async def test_a_box_is_reached_over_a_unix_socket_where_that_can_be() -> None:
    async with launching() as host:
        box = await host.launcher.launch(kind())
        assert (host.launcher.transport, box.form, box.is_ready) == ("unix", "uid", True)
        (container,) = containers_of(host.worker_id)
        labels = container["Labels"]
        assert labels["io.auxot.tools.mode"] == "call"
        assert labels["io.auxot.tools.form"] == "uid"
        host.launcher.dispose(box)


async def test_the_socket_is_gone_once_it_is_used() -> None:
    async with launching() as host:
        box = await host.launcher.launch(kind())
        assert list(host.run_dir.path.rglob("s")) == []
        host.launcher.dispose(box)


async def test_a_folder_that_the_engine_does_not_see_is_done_without_and_that_is_logged(
    unseen: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with launching(SandboxOptions(run_dir=unseen)) as host:
        boxes = [await host.launcher.launch(kind()) for _ in range(2)]
        assert host.launcher.transport == "stdio"
        assert caplog.text.count("cannot share a folder") == 1
        for box in boxes:
            host.launcher.dispose(box)


async def test_a_channel_that_was_set_is_not_departed_from(unseen: Path) -> None:
    async with launching(SandboxOptions(run_dir=unseen, channel="unix")) as host:
        with pytest.raises(Unavailable):
            await host.launcher.launch(kind())


@pytest.mark.parametrize("channel", ["unix", "attach"])
async def test_warm_boxes_make_namespaces_where_they_can(channel: ChannelChoice) -> None:
    async with launching(SandboxOptions(channel=channel)) as host:
        box = await host.launcher.launch(kind("warm"))
        assert (box.form, host.launcher.namespaces) == ("ns", True)
        host.launcher.dispose(box)


@pytest.mark.parametrize("channel", ["auto", "attach"])
async def test_warm_boxes_without_namespaces_have_another_user_instead_and_that_is_logged(
    channel: ChannelChoice, caplog: pytest.LogCaptureFixture
) -> None:
    async with launching(SandboxOptions(channel=channel), WITHOUT_NAMESPACES) as host:
        boxes = [await host.launcher.launch(kind("warm")) for _ in range(2)]
        assert [box.form for box in boxes] == ["uid", "uid"]
        assert host.launcher.namespaces is False
        assert caplog.text.count("no box can make namespaces here (clone") == 1
        for box in boxes:
            host.launcher.dispose(box)


async def test_an_engine_that_is_down_proves_nothing_of_channels(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    async with launching(SandboxOptions(engine_url=url)) as host:
        for isolation in ("call", "warm"):
            with pytest.raises(EngineUnavailable):
                await host.launcher.launch(kind(isolation))
        assert (host.launcher.transport, host.launcher.namespaces) == (None, None)


async def test_a_missing_image_proves_nothing_either() -> None:
    async with launching() as host:
        with pytest.raises(ImageMissing):
            await host.launcher.launch(kind("warm", "auxot-tools/sandbox:never-built"))
        assert (host.launcher.transport, host.launcher.namespaces) == (None, None)


async def test_an_unknown_runtime_is_refused_with_those_that_there_are() -> None:
    async with launching(SandboxOptions(runtime="no-such")) as host:
        with pytest.raises(Unavailable, match=r"no-such.*runc"):
            await host.launcher.launch(kind())


async def test_a_launch_that_is_cancelled_at_any_moment_leaves_nothing() -> None:
    """`launching` looks for containers and folders at the end."""
    async with launching() as host:
        host.launcher.dispose(await host.launcher.launch(kind()))
        for step in range(12):
            with anyio.move_on_after(0.015 * step) as scope:
                host.launcher.dispose(await host.launcher.launch(kind()))
            assert scope.cancelled_caught or step > 0
