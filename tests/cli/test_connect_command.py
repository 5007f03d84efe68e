"""`auxot-tools connect` as a process of its own, against a stand-in of Auxot's router."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, Process
from anyio.streams.text import TextReceiveStream

from auxot_tools.cli.bare_connect import FLAGS, with_connect
from auxot_tools.cli.connect import connect
from tests.support.auxot_router import TOOLS_KEY, AuxotRouter, auxot_router
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.raw_server import Asked, raw_server
from tests.support.served_worker import served

pytestmark = pytest.mark.anyio

END_S = 30.0
URL = {"AUXOT_ROUTER_URL": "router:8080"}


@pytest.mark.parametrize(
    ("given", "environ", "meant"),
    [
        ([], URL, ["connect"]),
        ([], {}, []),
        ([], {"AUXOT_ROUTER_URL": ""}, []),
        (["--config", "a.toml"], URL, ["--config", "a.toml", "connect"]),
        (["--config=a.toml"], URL, ["--config=a.toml", "connect"]),
        (["--router-url", "x"], {}, ["connect", "--router-url", "x"]),
        (["--tools-key=k"], {}, ["connect", "--tools-key=k"]),
        (["--deny-by-default"], URL, ["connect", "--deny-by-default"]),
        (["--help"], URL, ["--help"]),
        (["help"], URL, ["--help"]),
        (["-h"], {}, ["--help"]),
        (["version"], {}, ["--version"]),
        (["worker"], URL, ["worker"]),
        (["connect", "--router-url", "x"], URL, ["connect", "--router-url", "x"]),
    ],
)
def test_connect_goes_without_saying_as_auxots_users_write_it(
    given: list[str], environ: dict[str, str], meant: list[str]
) -> None:
    assert with_connect(given, environ) == meant


def test_every_option_of_connect_works_without_the_word() -> None:
    assert {option for one in connect.params for option in one.opts} == FLAGS


class Command:
    """The running command; ``told`` is what it has written to stderr so far."""

    def __init__(self, process: Process) -> None:
        assert process.stderr is not None
        self.process = process
        self.told = ""
        self._pieces = TextReceiveStream(process.stderr)

    async def until_told(self, words: str) -> None:
        with anyio.fail_after(END_S):
            while words not in self.told:
                self.told += await self._pieces.receive()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        with anyio.fail_after(END_S):
            async for piece in self._pieces:
                self.told += piece
            return await self.process.wait()


@asynccontextmanager
async def command(
    folder: Path, *arguments: str, **environment: str
) -> AsyncGenerator[Command, None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUXOT_")}
    line = [sys.executable, "-m", "auxot_tools.cli.main", *arguments]
    process = await anyio.open_process(
        line, stdout=subprocess.DEVNULL, cwd=folder, env=kept | environment
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


def environment(router: AuxotRouter, key: str = TOOLS_KEY) -> dict[str, str]:
    return {"AUXOT_ROUTER_URL": router.address, "AUXOT_TOOLS_KEY": key}


async def test_alone_it_connects_runs_jobs_on_a_worker_and_ends_in_good_order(
    tmp_path: Path,
) -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate), echo_tool()])
    async with (
        served(dispatcher, f"unix:{tmp_path}/w.sock"),
        auxot_router() as router,
        command(
            tmp_path,
            **environment(router),
            AUXOT_CONNECT__WORKER=f"unix:{tmp_path}/w.sock",
            AUXOT_ALLOWED_TOOLS="echo,wait",
        ) as running,
    ):
        with anyio.fail_after(END_S):
            link = await router.connected()
            assert link.tools == ["echo", "wait"]
            begun = await router.begin(("wait", {"a": 1}))
            await dispatcher.until(lambda fake: fake.running == 1)
            running.process.send_signal(signal.SIGTERM)
            await running.until_told("SIGTERM: finishing running jobs")
            refused = await router.call("echo", {})
            gate.set()
            await router.over(begun)
        assert await running.ended() == 0
        assert begun.result() == {"a": 1}
        assert refused.error().startswith("The worker is stopping")
        starting = f"auxot-tools starting version=0.1.0 router_url={router.address} tools=echo,wait"
        assert starting in running.told
        assert f"connected to router id={link.worker_id} url={router.url} tools=echo,wait" in (
            running.told
        )
        assert TOOLS_KEY not in running.told


async def test_a_wrong_key_ends_it_with_advice(tmp_path: Path) -> None:
    flags = ["--router-url", "", "--worker", f"unix:{tmp_path}/w.sock", "--log-level", "warn"]
    async with served(FakeDispatcher(), f"unix:{tmp_path}/w.sock"), auxot_router() as router:
        flags[1] = router.url
        (tmp_path / "key").write_text("rtr_secret-part\n")
        async with command(
            tmp_path, *flags, "--tools-key-file", "key", AUXOT_TOOLS_KEY=TOOLS_KEY
        ) as running:
            assert await running.ended() == 1
        assert "authentication failed" in running.told
        assert "an API caller's key; a tools worker needs the `tls_…` key" in running.told
        assert "secret-part" not in running.told
        assert "starting" not in running.told  # an info line


async def test_a_key_on_the_command_line_is_taken_and_told_to_be_seen(tmp_path: Path) -> None:
    async with served(FakeDispatcher(), f"unix:{tmp_path}/w.sock"), auxot_router() as router:
        socket = f"unix:{tmp_path}/w.sock"
        arguments = ("connect", "--tools-key", TOOLS_KEY, "--router-url", router.url)
        async with command(tmp_path, *arguments, "--worker", socket) as running:
            with anyio.fail_after(END_S):
                await router.connected()
            running.process.send_signal(signal.SIGINT)
            assert await running.ended() == 0
        assert "--tools-key can be seen by everybody who can list processes" in running.told


async def test_without_a_key_it_says_which_one_and_where_from(tmp_path: Path) -> None:
    async with command(tmp_path, AUXOT_ROUTER_URL="router:8080") as running:
        assert await running.ended() == 2
    assert running.told.startswith("auxot-tools: AUXOT_TOOLS_KEY is required (use --tools-key-file")
    assert "auxot-router setup --new-tools-key" in running.told


async def test_a_router_is_reached_through_the_proxy_of_the_environment(tmp_path: Path) -> None:
    asked = anyio.Event()

    async def answer(_asked: Asked, stream: ByteStream) -> None:
        asked.set()
        await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    socket = f"unix:{tmp_path}/w.sock"
    async with served(FakeDispatcher(), socket), raw_server(answer) as proxy:
        given = {
            "AUXOT_ROUTER_URL": "wss://router.invalid",
            "AUXOT_TOOLS_KEY": TOOLS_KEY,
            "HTTPS_PROXY": proxy.url(""),
            "NO_PROXY": "",
        }
        async with command(tmp_path, "connect", "--worker", socket, **given) as running:
            with anyio.fail_after(END_S):
                await asked.wait()
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0
        (first, *_) = proxy.asked
        assert (first.method, first.path) == ("CONNECT", "router.invalid:443")
        assert TOOLS_KEY not in str(proxy.asked)


@pytest.mark.engine
async def test_by_itself_it_runs_jobs_in_boxes_here(tmp_path: Path) -> None:
    async with auxot_router() as router:
        settings = {"AUXOT_SANDBOX__READY": "0", "AUXOT_ALLOWED_TOOLS": "code_executor"}
        async with command(tmp_path, **environment(router), **settings) as running:
            with anyio.fail_after(END_S):
                link = await router.connected()
                assert link.tools == ["code_executor"]
                begun = await router.call("code_executor", {"code": "console.log(1); [6 * 7]"})
            assert begun.result()["return_value"] == [42]
            assert begun.result()["output"] == "1"
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0
