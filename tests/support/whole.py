"""The whole product for tests: a worker and a router as processes, on the real engine."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import anyio
import anyio.to_thread

from auxot_tools.cli.stack import Stack, running_stack
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.profile import LABEL, LABEL_PID
from tests.support.engine import sandbox_image
from tests.support.running import CHEAP, KEY

WORKER_KEY = "worker-key-of-the-tests"


@dataclass(frozen=True)
class Whole:
    """A running worker and router."""

    stack: Stack
    config: Path

    @property
    def messages_url(self) -> str:
        return f"{self.stack.origin}/api/anthropic/v1/messages"

    def client(self) -> anthropic.AsyncAnthropic:
        base_url = f"{self.stack.origin}/api/anthropic"
        return anthropic.AsyncAnthropic(base_url=base_url, api_key=KEY, max_retries=0, timeout=120)

    def environment(self) -> dict[str, str]:
        return {"AUXOT_WORKER_KEY": WORKER_KEY, "AUXOT_CONFIG": str(self.config)}


def ask(text: str) -> dict[str, Any]:
    """A request to the `demo` upstream."""
    message = {"role": "user", "content": text}
    return {"model": "demo", "max_tokens": 4096, "messages": [message]}


@asynccontextmanager
async def whole(home: Path, **sandbox: Any) -> AsyncGenerator[Whole, None]:
    """Everything real: router, gRPC over a unix socket, worker, containers, `demo` upstream.

    ``sandbox`` are settings of that section; by default no box is made ahead, so that the
    containers there are those of running calls.
    """
    await anyio.to_thread.run_sync(sandbox_image)
    append_key(home / "keys.toml", KeyEntry(name="tester", hash=CHEAP.hash(KEY)))
    config = home / "auxot.toml"
    settings = "\n".join(
        f"{name} = {json.dumps(value)}" for name, value in ({"ready": 0} | sandbox).items()
    )
    config.write_text(f"""\
[worker]
listen = ["unix:{home}/w.sock"]
max_waiting = 256
[router]
listen = "127.0.0.1:0"
worker = "unix:{home}/w.sock"
allowed_tools = ["code_executor"]
[sandbox]
{settings}
[log]
format = "json"
""")
    async with running_stack(home, {"AUXOT_WORKER_KEY": WORKER_KEY}, config) as stack:
        yield Whole(stack, config)


def containers_of(pid: int) -> list[str]:
    """The ids of the containers, running or not, that the worker with this pid made."""
    client = connect()
    try:
        labels = [f"{LABEL}=1", f"{LABEL_PID}={pid}"]
        found = client.containers(all=True, filters={"label": labels})
        return [str(container["Id"]) for container in found]
    finally:
        client.close()


async def until_containers(pid: int, count: int, within_s: float = 20.0) -> None:
    """Wait until the worker has exactly `count` containers. Raises `TimeoutError`."""
    with anyio.fail_after(within_s):
        while len(await anyio.to_thread.run_sync(containers_of, pid)) != count:
            await anyio.lowlevel.checkpoint()
