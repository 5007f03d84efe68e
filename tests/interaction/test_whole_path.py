"""Client, router, gRPC, worker, container and back: nothing here is a stand-in but the model."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anthropic
import anyio
import pytest

from tests.support.running import KEY
from tests.support.whole import Whole, ask, containers_of, until_containers, whole

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.timeout(300)]


SLEEP = "run this python: import time; time.sleep(60)"
CURL = ("curl", "-sS", "-i", "-N", "-m", "60")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


def result_texts(message: Any) -> list[str]:
    results = [block for block in message.content if block.type == "mcp_tool_result"]
    return ["".join(part.text for part in block.content) for block in results]


def auxot(product: Whole, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "auxot_tools.cli.main", *arguments],
        env=os.environ | product.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def streaming(client: anthropic.AsyncAnthropic, text: str) -> Any:
    return client.beta.messages.stream(**ask(text))


async def until_the_call_is_shown(stream: Any) -> None:
    async for event in stream:
        if event.type == "content_block_stop" and event.content_block.type == "mcp_tool_use":
            return


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def test_two_parallel_programs_run_in_two_containers(home: Path) -> None:
    text = "run this python: print(6 * 7)\nrun this bash: echo $((6 * 9)); exit 3"
    async with whole(home) as product:
        async with product.client() as client, streaming(client, text) as stream:
            message = await stream.get_final_message()
        await until_containers(product.stack.worker_process.pid, 0)
        log = product.stack.worker_log.read_text().splitlines()

    first, second = result_texts(message)
    assert first == "42"
    assert "exit code: 3" in second
    assert "54" in second
    boxes = {told["box_id"] for told in map(json.loads, log) if "box_id" in told}
    assert len(boxes) == 2
    assert message.stop_reason == "end_turn"


async def test_curl_gets_one_well_formed_stream(home: Path) -> None:
    body = json.dumps(ask("run this python: print('from curl')") | {"stream": True})
    async with whole(home) as product:
        got = await anyio.run_process(
            [*CURL, product.messages_url, "-H", f"x-api-key: {KEY}", "-d", body]
        )
    head, _, stream = got.stdout.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "x-accel-buffering: no" in head
    assert "from curl" in stream
    told = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    starts = [event["index"] for event in told if event["type"] == "content_block_start"]
    assert starts == list(range(len(starts)))
    assert told[-1] == {"type": "message_stop"}


async def test_a_worker_killed_in_mid_call_ends_in_a_clear_result_and_leaves_nothing(
    home: Path,
) -> None:
    async with whole(home) as product:
        pid = product.stack.worker_process.pid
        async with product.client() as client, streaming(client, SLEEP) as stream:
            await until_the_call_is_shown(stream)
            await until_containers(pid, 1)
            os.kill(pid, signal.SIGKILL)
            message = await stream.get_final_message()

    assert message.stop_reason == "end_turn"
    [told] = result_texts(message)
    assert "may or may not have had effects" in told
    with TemporaryDirectory(prefix="auxot-") as second:
        async with whole(Path(second)):
            await until_containers(pid, 0)


async def test_a_client_that_leaves_kills_the_running_container(home: Path) -> None:
    async with whole(home) as product:
        pid = product.stack.worker_process.pid
        async with (
            product.client() as client,
            streaming(client, "run this bash: sleep 60") as stream,
        ):
            await until_the_call_is_shown(stream)
            await until_containers(pid, 1)
        await until_containers(pid, 0)
        assert len(auxot(product, "call", "code_executor", "--input", '{"code":"1"}').stdout) > 0


async def test_streams_that_are_dropped_in_mid_call_leave_no_container_and_no_connection(
    home: Path,
) -> None:
    async with whole(home) as product, product.client() as client:
        pids = (product.stack.worker_process.pid, product.stack.router_process.pid)
        places = anyio.CapacityLimiter(4)

        async def drop_one() -> None:
            async with places, streaming(client, SLEEP) as stream:
                await until_the_call_is_shown(stream)

        await drop_one()
        await until_containers(pids[0], 0)
        before = [open_files(pid) for pid in pids]
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(drop_one)
        await until_containers(pids[0], 0)
        with anyio.fail_after(20):
            while any(open_files(pid) > files + 4 for pid, files in zip(pids, before, strict=True)):
                await anyio.lowlevel.checkpoint()


async def test_a_stopped_worker_finishes_the_running_call_first(home: Path) -> None:
    async with whole(home) as product:
        pid = product.stack.worker_process.pid
        async with (
            product.client() as client,
            streaming(client, "run this bash: sleep 2; echo finished") as stream,
        ):
            await until_the_call_is_shown(stream)
            await until_containers(pid, 1)
            os.kill(pid, signal.SIGTERM)
            message = await stream.get_final_message()
        await until_containers(pid, 0)
    assert result_texts(message) == ["finished"]


async def test_the_call_command_is_readable_and_exact(home: Path) -> None:
    async with whole(home) as product:
        readable = auxot(product, "call", "code_executor", "--input", '{"code":"print(6*7)"}')
        exact = auxot(product, "call", "code_executor", "--json", "--input", '{"code":"exit(3)"}')
        wrong = auxot(product, "call", "code_executor", "--input", '{"kode":"x"}')
        cut = auxot(product, "call", "code_executor", "--input", '{"code":')
        unknown = auxot(product, "call", "code_exekutor")
    assert (readable.returncode, readable.stdout) == (0, "42\n")
    assert "exit code 0" in readable.stderr
    result = json.loads(exact.stdout)
    assert (result["status"], result["exit_code"], result["is_error"]) == ("completed", 3, False)
    assert wrong.returncode == 1
    assert "did you mean `code`?" in wrong.stdout
    assert cut.returncode == 1
    assert "cut off" in cut.stdout
    assert "code_executor" in unknown.stdout


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("engine_url", "unix:///nonexistent.sock", "does not answer"),
        ("image", "auxot-tools/none:none", "sandbox build"),
    ],
)
async def test_without_engine_or_image_the_model_is_told_and_the_worker_stays_up(
    home: Path, setting: str, value: str, words: str
) -> None:
    async with whole(home, **{setting: value}) as product, product.client() as client:
        message = await client.beta.messages.create(**ask("run this python: print(1)"))
        assert words in result_texts(message)[0]
        assert message.stop_reason == "end_turn"
        again = await client.beta.messages.create(**ask("hello"))
    assert "no language model" in again.content[0].text


async def test_200_calls_in_a_row_and_50_side_by_side_leak_nothing(home: Path) -> None:
    async with whole(home) as product, product.client() as client:
        pids = (product.stack.worker_process.pid, product.stack.router_process.pid)

        async def once(number: int) -> None:
            message = await client.beta.messages.create(**ask(f"run this python: print({number})"))
            assert result_texts(message) == [str(number)]

        for number in range(20):  # what is made once is made by now
            await once(number)
        before = [(open_files(pid), memory_bytes(pid)) for pid in pids]
        for number in range(20, 200):
            await once(number)
        in_a_row = [(open_files(pid), memory_bytes(pid)) for pid in pids]
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(once, number)
        await until_containers(pids[0], 0)
        after = [(open_files(pid), memory_bytes(pid)) for pid in pids]

    for (files, memory), (files_now, memory_now) in zip(before, in_a_row, strict=True):
        assert files_now <= files + 3
        assert memory_now <= memory + 16 * 2**20
    for (files, memory), (files_now, memory_now) in zip(before, after, strict=True):
        assert files_now <= files + 60  # fifty connections of the client are still open
        assert memory_now <= memory + 48 * 2**20
    assert containers_of(pids[0]) == []
