"""The examples as processes, and the clients, against a real worker on the real engine."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.streams.text import TextReceiveStream

from auxot_tools import AsyncClient, Client
from auxot_tools.assembly.serving import serving
from auxot_tools.client import Status
from auxot_tools.scripted.demo import demo_model
from auxot_tools.scripted.server import scripted_app
from tests.support.client_calls import message, use
from tests.support.engine import sandbox_image
from tests.support.fake_dispatcher import text_of
from tests.support.node_example import NodeRun, run_node_example

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

ROOT = Path(__file__).parents[2]
KEY = "worker-key-of-the-examples"
PATIENCE_S = 60.0
ASKED = "run this python: print(6 * 7)\nrun this python: print(6 * 8)"


@asynccontextmanager
async def real_worker(home: Path) -> AsyncGenerator[str, None]:
    """`auxot-tools worker` as a process; its address."""
    await anyio.to_thread.run_sync(sandbox_image)
    address = f"unix:{home}/w.sock"
    process = await anyio.open_process(
        [sys.executable, "-m", "auxot_tools.cli.main", "worker"],
        cwd=home,
        env={
            **os.environ,
            "AUXOT_WORKER_KEY": KEY,
            "AUXOT_WORKER__LISTEN": address,
            "AUXOT_SANDBOX__READY": "1",
        },
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        with anyio.fail_after(PATIENCE_S):
            assert f"worker ready: {address}" in await TextReceiveStream(process.stdout).receive()
        yield address
    finally:
        process.terminate()
        with anyio.move_on_after(PATIENCE_S, shield=True):
            await process.wait()
        await process.aclose()


async def run_example(name: str, worker: str, model_url: str) -> str:
    with anyio.fail_after(PATIENCE_S):
        done = await anyio.run_process(
            [sys.executable, f"examples/{name}", ASKED],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "WORKER": worker,
                "AUXOT_WORKER_KEY": KEY,
                "ANTHROPIC_BASE_URL": model_url,
                "ANTHROPIC_API_KEY": "k",
                "MODEL": "demo",
            },
            stdin=subprocess.DEVNULL,
        )
    return done.stdout.decode()


async def test_everything_works_with_a_real_worker(tmp_path: Path) -> None:
    said: list[str] = []
    toured: list[NodeRun] = []

    async def run_loop(worker: str, model_url: str) -> None:
        said.append(await run_example("own_loop_anthropic.py", worker, model_url))

    async def run_node(worker: str) -> None:
        toured.append(await run_node_example(worker, KEY))

    async with (
        real_worker(tmp_path) as worker,
        serving(scripted_app(demo_model(delta_delay_s=0))) as origin,
        anyio.create_task_group() as tasks,
        AsyncClient(worker, key=KEY) as client,
    ):
        tasks.start_soon(run_loop, worker, origin)
        tasks.start_soon(run_node, worker)
        given = {"language": "python", "code": "print(open('a.txt').read())"}
        read = await client.call("code_executor", given, files={"a.txt": b"from a file"})
        drawn = "open('/work/out/out.csv', 'w').write('1,2')"
        answers = await client.run(
            message(
                use("toolu_1", "code_executor", {"language": "python", "code": drawn}),
                use("toolu_2", "code_executor", {"language": "python", "cod": ""}),
            )
        )
    [text] = said
    assert "> 42" in text
    assert "> 48" in text
    assert "I read 2 tool results back; none failed." in text
    [node] = toured
    assert (node.exit_code, node.errors) == (0, "")
    assert "cancelled: the program is killed" in node.output
    assert "deadline: STATUS_TIMED_OUT" in node.output
    assert (read.status, read.exit_code) == (Status.COMPLETED, 0)
    assert "from a file" in text_of(read)
    assert answers is not None
    assert [result.status for result in answers.results] == [
        Status.COMPLETED,
        Status.INVALID_ARGUMENTS,
    ]
    assert [(one.name, one.data) for one in answers.artifacts] == [("out.csv", b"1,2")]


def test_tools_in_the_process_itself_without_any_worker(tmp_path: Path) -> None:
    sandbox_image()
    config = tmp_path / "auxot.toml"
    config.write_text('[worker]\nstate_dir = "state"\n[sandbox]\nready = 0\n')
    with Client.local(config, tools=["code_executor"]) as client:
        assert [spec["name"] for spec in client.specs()] == ["code_executor"]
        result = client.call("code_executor", {"language": "python", "code": "print(6 * 7)"})
    assert (result.status, text_of(result).strip()) == (Status.COMPLETED, "42")
