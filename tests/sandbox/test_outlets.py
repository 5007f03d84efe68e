"""A way out ends with its box, and where there is none a claim says why. In real boxes."""

import tempfile
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from auxot_tools.errors import Unavailable
from auxot_tools.ports import BoxLimits, BoxSpec, Isolation
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.types import Deadline
from tests.support.box_runs import program_of, run_in
from tests.support.egress_world import world_of
from tests.support.engine import NOBODY, PATIENCE_S, until_none_left
from tests.support.executor_calls import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture
def short_folder() -> Generator[Path, None, None]:
    """The path of a unix socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="a") as name:
        yield Path(name)


def sockets_in(folder: Path) -> list[Path]:
    return list(folder.rglob("e"))


async def test_everything_is_gone_when_a_box_is_released(short_folder: Path) -> None:
    arrived, gone = anyio.Event(), anyio.Event()

    async def hold(stream: SocketStream) -> None:
        async with stream:
            arrived.set()
            async for _ in stream:
                pass
        gone.set()

    async with (
        world_of(SandboxOptions(ready=0, run_dir=short_folder)) as world,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(server.serve, hold)
        port = server.extra(SocketAttribute.local_port)
        spec = BoxSpec("", BoxLimits(), hosts=(f"good.test:{port}",))
        box = await world.sandbox.claim(spec, NOBODY, Deadline.after(60))
        (socket_path,) = sockets_in(short_folder)
        async with anyio.create_task_group() as running:
            running.start_soon(run_in, box, program_of("curl", "-s", f"http://good.test:{port}/"))
            with anyio.fail_after(PATIENCE_S):
                await arrived.wait()
            await box.cancel()
        await box.release()
        with anyio.fail_after(PATIENCE_S):
            await gone.wait()
        await until_none_left(world.sandbox.identity.worker_id)
        await until(lambda: socket_path not in sockets_in(short_folder))
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("options", "isolation", "hosts", "words"),
    [
        (SandboxOptions(ready=0, channel="attach"), "call", ("good.test",), "shares? one"),
        (SandboxOptions(ready=0), "session", ("good.test",), "keep a session"),
        (SandboxOptions(ready=0), "call", ("good.test", "bad host/"), "bad host/"),
    ],
)
async def test_a_claim_that_cannot_be_served_says_why(
    options: SandboxOptions, isolation: Isolation, hosts: tuple[str, ...], words: str
) -> None:
    async with world_of(options) as world:
        spec = BoxSpec("", BoxLimits(), isolation, hosts=hosts)
        with pytest.raises(Unavailable, match=words):
            await world.sandbox.claim(spec, NOBODY, Deadline.after(60))
        assert await world.sandbox.prepare(spec, NOBODY) is False
        assert (await world.bash("echo fine")).stdout == "fine\n"


async def test_without_a_checked_way_out_there_are_no_boxes_with_hosts(
    sandbox: DockerSandbox,
) -> None:
    spec = BoxSpec("", BoxLimits(), hosts=("good.test",))
    with pytest.raises(Unavailable, match="no way out"):
        await sandbox.claim(spec, NOBODY, Deadline.after(60))
