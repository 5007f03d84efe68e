"""`auxot-tools approvals` as an operator types it, against a real gRPC server with a fake desk."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from auxot_tools.cli.approvals import escaped
from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from tests.cli.test_main import auxot
from tests.support.fake_approvals import TRICK, FakeApprovals, waiting_call
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import FACTS, KEY

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the file: grpc.aio calls back into the loop that it was first used in."""
    return "asyncio"


@asynccontextmanager
async def desk(*waiting: tuple[str, bytes]) -> AsyncGenerator[tuple[FakeApprovals, str], None]:
    """A worker where these calls (id, input) wait; yields the record and its address."""
    approvals = FakeApprovals([waiting_call(*one) for one in waiting])
    config = ListenerConfig(("127.0.0.1:0",), key=KEY)
    async with WorkerServer(FakeDispatcher(), FACTS, config, approvals=approvals) as server:
        yield approvals, server.addresses[0]


async def typed(
    folder: Path, worker: str, *arguments: str, key: str = KEY
) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        settings = {"AUXOT_ROUTER__WORKER": worker, "AUXOT_WORKER_KEY": key}
        return auxot("approvals", *arguments, cwd=folder, **settings)

    return await anyio.to_thread.run_sync(run)


async def test_what_waits_is_listed_with_its_id_tool_key_times_and_input(tmp_path: Path) -> None:
    async with desk(("a1", b'{"code":"1"}'), ("a2", b"{}")) as (_, worker):
        done = await typed(tmp_path, worker)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "a1  bash  ann  waited 12 s, 48 s left",
        '    {"code":"1"}',
        "a2  bash  ann  waited 12 s, 48 s left",
        "    {}",
    ]


async def test_nothing_that_waits_is_said_on_stderr(tmp_path: Path) -> None:
    async with desk() as (_, worker):
        done = await typed(tmp_path, worker)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No call waits for approval.\n"


async def test_a_model_cannot_trick_the_terminal(tmp_path: Path) -> None:
    async with desk(("a1\x1b[2K", TRICK.encode() + b"\xff\x9b")) as (_, worker):
        done = await typed(tmp_path, worker)
    first, second = done.stdout.splitlines()
    assert first.startswith("a1\\x1b[2K  bash")
    assert second == "    \\x1b]0;owned\\x07\\x1b[2J\\u202egpj.exe\\r\\nallow\\xff\\x9b"
    assert [one for one in done.stdout if not one.isprintable() and one != "\n"] == []


async def test_an_input_that_was_cut_says_so(tmp_path: Path) -> None:
    async with desk(("a1", b"x" * 9000)) as (_, worker):
        done = await typed(tmp_path, worker)
    assert done.stdout.splitlines()[1] == f"    {'x' * 4096} (cut here)"


async def test_programs_get_one_json_object(tmp_path: Path) -> None:
    async with desk(("a1", TRICK.encode())) as (_, worker):
        done = await typed(tmp_path, worker, "--json")
    told = {
        "id": "a1",
        "tool": "bash",
        "key": "ann",
        "input": TRICK,
        "waited_seconds": 12.5,
        "left_seconds": 47.5,
    }
    assert json.loads(done.stdout) == {"approvals": [told]}
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("verb", "allow", "says"), [("allow", True, "may run"), ("deny", False, "is refused")]
)
async def test_an_answer_reaches_the_desk_with_who_gave_it(
    tmp_path: Path, verb: str, allow: bool, says: str
) -> None:
    async with desk(("a1", b"{}"), ("a2", b"{}")) as (approvals, worker):
        done = await typed(tmp_path, worker, verb, "a2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"The call a2 {says}.\n"
    ((decided, allowed, by),) = approvals.decided
    assert (decided, allowed) == ("a2", allow)
    assert by.startswith("cli:")
    assert len(by) > len("cli:")


async def test_a_call_that_does_not_wait_exits_1_with_one_line(tmp_path: Path) -> None:
    async with desk(("a1", b"{}")) as (approvals, worker):
        done = await typed(tmp_path, worker, "allow", "a9\x1b[2J")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "auxot-tools: no call with this id waits for an answer (any more)\n"
    assert approvals.decided == []


@pytest.mark.parametrize("arguments", [(), ("allow", "a1")])
async def test_the_wrong_worker_key_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    async with desk(("a1", b"{}")) as (approvals, worker):
        done = await typed(tmp_path, worker, *arguments, key="wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert "AUXOT_WORKER_KEY" in done.stderr
    assert approvals.decided == []


async def test_a_watcher_sees_each_call_once_when_it_comes(tmp_path: Path) -> None:
    async with desk(("a1", b"{}")) as (approvals, worker):
        settings = {"AUXOT_ROUTER__WORKER": worker, "AUXOT_WORKER_KEY": KEY}
        command = [sys.executable, "-u", "-m", "auxot_tools.cli.main", "approvals", "watch"]
        async with await anyio.open_process(
            command, cwd=tmp_path, env=os.environ | settings
        ) as watcher:
            assert watcher.stdout is not None
            seen = b""
            with anyio.fail_after(30):
                while seen.count(b"\n") < 2:
                    seen += await watcher.stdout.receive()
                await approvals.until_looks(approvals.looks + 2)  # it looks again, and says nothing
                approvals.waiting.append(waiting_call("a2", b"{}"))
                while seen.count(b"\n") < 4:
                    seen += await watcher.stdout.receive()
            watcher.terminate()
    heads = [line.partition(b" ")[0] for line in seen.splitlines()[::2]]
    assert heads == [b"a1", b"a2"]


async def test_a_watcher_outlives_a_worker_that_is_away(tmp_path: Path) -> None:
    async with desk(("a1", b"{}")) as (approvals, worker):
        approvals.error = RuntimeError("away")
        settings = {"AUXOT_ROUTER__WORKER": worker, "AUXOT_WORKER_KEY": KEY}
        command = [sys.executable, "-u", "-m", "auxot_tools.cli.main", "approvals", "watch"]
        async with await anyio.open_process(
            command, cwd=tmp_path, env=os.environ | settings
        ) as watcher:
            assert watcher.stdout is not None
            await approvals.until_looks(2)
            approvals.error = None
            with anyio.fail_after(30):
                seen = await watcher.stdout.receive()
            watcher.terminate()
    assert seen.startswith(b"a1")


@pytest.mark.parametrize("arguments", [("allow",), ("deny",), ("allow", "a", "b"), ("maybe", "a")])
async def test_a_wrong_command_line_exits_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = await typed(tmp_path, f"unix:{tmp_path}/nobody.sock", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢 🙂", "plain ä 漢 🙂"),
        ("a\tb\x00\x7f\x9b", "a\\tb\\x00\\x7f\\x9b"),
        ("\u200b\u2066\u2028\ufeff\u00a0", "\\u200b\\u2066\\u2028\\ufeff\\xa0"),
        ("\ud800\U000e0041", "\\ud800\\U000e0041"),
    ],
)
def test_what_is_not_plainly_visible_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown
