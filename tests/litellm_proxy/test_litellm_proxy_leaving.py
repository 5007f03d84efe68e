"""Clients that leave LiteLLM's proxy while a tool runs: the box must not outlive their interest."""

import threading
from contextlib import suppress
from typing import Any

import anthropic
import anyio
import pytest

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from tests.litellm_proxy.conftest import NewClient
from tests.litellm_proxy.lab import WORKER_KEY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

FREE_S = 20.0  # the tool sleeps for a minute
_LOOK_S = 0.1  # a worker tells of its slots when it is asked


async def _until_slots(address: str, *, free: bool) -> None:
    async with RemoteDispatcher(WorkerTarget(address, WORKER_KEY)) as worker:
        with anyio.fail_after(FREE_S):
            while True:
                facts = await worker.get_info()
                if (facts.free_slots == facts.total_slots) is free:
                    return
                await anyio.sleep(_LOOK_S)


def until_busy(address: str) -> None:
    anyio.run(lambda: _until_slots(address, free=False))


def until_free(address: str) -> None:
    anyio.run(lambda: _until_slots(address, free=True))


def asked(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "slow"}]
    return {"model": model, "max_tokens": 1000, "messages": messages}


def test_leaving_a_stream_ends_its_tool(proxy: str, worker: str, new_client: NewClient) -> None:
    until_free(worker)
    with new_client(proxy).beta.messages.stream(**asked("slow")) as stream:
        for event in stream:
            if event.type == "content_block_stop" and event.content_block.type == "mcp_tool_use":
                break
        until_busy(worker)
    until_free(worker)


def test_leaving_a_blocking_request_ends_its_tool(
    proxy: str, worker: str, new_client: NewClient
) -> None:
    until_free(worker)
    client = new_client(proxy)

    def ask() -> None:
        with suppress(anthropic.APIError):
            client.with_options(timeout=5).beta.messages.create(**asked("slow"))

    asking = threading.Thread(target=ask)
    asking.start()
    until_busy(worker)
    asking.join()
    until_free(worker)
