"""The tools API with nothing faked: HTTP, router, gRPC, worker, container and back."""

import base64
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.router.key_file import KeyEntry, append_key
from tests.support.running import CHEAP, KEY
from tests.support.whole import until_containers, whole

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.timeout(300)]

BARRED_KEY = "rtr_a-key-without-tools"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


class Client:
    """Sends to the router of a running product."""

    def __init__(self, session: aiohttp.ClientSession, root: str, worker_pid: int) -> None:
        self.session, self.root, self.worker_pid = session, root, worker_pid

    async def get(self, path: str) -> Any:
        with anyio.fail_after(60):
            async with self.session.get(f"{self.root}/{path}") as got:
                return await got.json()

    async def run(self, language: str, code: str, key: str = KEY, **more: Any) -> tuple[int, Any]:
        body = {"tool": "code_executor", "input": {"language": language, "code": code}} | more
        with anyio.fail_after(60):
            async with self.session.post(
                f"{self.root}/execute", json=body, headers={"x-api-key": key}
            ) as got:
                return got.status, await got.json()


@asynccontextmanager
async def product(home: Path) -> AsyncGenerator[Client, None]:
    async with whole(home) as running:
        barred = KeyEntry(name="barred", hash=CHEAP.hash(BARRED_KEY), allowed_tools=())
        append_key(home / "keys.toml", barred)
        root = f"{running.stack.origin}/api/tools/v1"
        async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
            yield Client(session, root, running.stack.worker_process.pid)


async def test_programs_run_and_their_results_come_back(home: Path) -> None:
    data = base64.b64encode(b"41").decode()
    files = [{"name": "in.txt", "data": data}]
    python = "import json; print(json.dumps({'sum': int(open('in.txt').read()) + 1}))"
    bash = "printf 'a\\x00b' > /work/out/f.bin; echo oh >&2; exit 3"
    async with product(home) as client:
        listed = await client.get("list")
        status, summed = await client.run("python", python, files=files)
        failed_status, failed = await client.run("bash", bash)
        late_status, late = await client.run("bash", "sleep 60", timeout_seconds=0.5)
        wrong_status, wrong = await client.run("cobol", "x")
        barred_status, barred = await client.run("python", "print(1)", BARRED_KEY)
        assert (await client.get("approvals"))["error"]["type"] == "permission_error"
        await until_containers(client.worker_pid, 0)
    assert listed["workers"] == 1
    assert "code_executor" in [tool["name"] for tool in listed["tools"]]
    assert listed["tools"][0]["input_schema"]["type"] == "object"
    assert (status, summed["status"], summed["exit_code"]) == (200, "completed", 0)
    assert (summed["result"], summed["duration_ms"] > 0) == ({"sum": 42}, True)
    assert (failed_status, failed["exit_code"], failed["is_error"]) == (200, 3, False)
    assert "oh" in failed["result"]
    (artifact,) = failed["artifacts"]
    assert (artifact["name"], base64.b64decode(artifact["data"])) == ("f.bin", b"a\x00b")
    assert (late_status, late["error"]["type"], late["status"]) == (500, "tool_error", "timed_out")
    assert (wrong_status, wrong["status"]) == (400, "invalid_arguments")
    assert "language" in wrong["error"]["message"]
    assert (barred_status, barred["error"]["type"]) == (403, "permission_error")


async def test_output_is_streamed_while_the_program_runs_and_leaving_kills_it(home: Path) -> None:
    code = "echo first; sleep 0.3; echo second >&2"
    body = {"tool": "code_executor", "arguments": {"language": "bash", "code": code}}
    async with product(home) as client:
        url, accept = f"{client.root}/execute", {"accept": "text/event-stream"}
        with anyio.fail_after(60):
            async with client.session.post(url, json=body, headers=accept) as response:
                lines = [line async for line in response.content]
            told = [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]
            hanging = {"language": "bash", "code": "echo up; sleep 600"}
            stream = body | {"arguments": hanging, "stream": True}
            async with client.session.post(url, json=stream) as response:
                async for line in response.content:
                    if b'"up\\n"' in line:
                        break
                await until_containers(client.worker_pid, 1)
        await until_containers(client.worker_pid, 0)
    kinds = [event["type"] for event in told if event["type"] != "ping"]
    assert kinds == ["started", "output", "output", "result"]
    assert [one["text"] for one in told if one["type"] == "output"] == ["first\n", "second\n"]
    assert told[0]["isolation"] == "call"
    assert told[-1]["status"] == "completed"
