"""A worker whose tools do nothing: what a call costs without what it does.

One job: a real gRPC worker process; each call is answered at once with the instant at which it
came. Two tools that differ in one word: `bench_eager` says that it is idempotent.

    .venv/bin/python -m benchmarks.router_worker unix:/path
"""

import sys
import time
from collections.abc import AsyncGenerator, Sequence

import anyio

from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.types import (
    CallEvent,
    CallHint,
    Deadline,
    Started,
    Status,
    ToolCall,
    ToolSpec,
    text_result,
)
from benchmarks.router_stub import STARTED

NOOP, EAGER = "bench_noop", "bench_eager"
SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
_SLOTS = 64


class NoopDispatcher:
    """A `ToolDispatcher` that runs nothing."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        return (
            ToolSpec(EAGER, "Does nothing, and may do it twice.", SCHEMA, idempotent=True),
            ToolSpec(NOOP, "Does nothing.", SCHEMA),
        )

    async def prepare(self, hint: CallHint) -> bool:
        del hint
        return False

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        at = time.monotonic()
        del deadline
        yield Started(call.tool_use_id)
        yield text_result(call.tool_use_id, Status.COMPLETED, f"{STARTED}{at:.6f} ")


class Info:
    """A `WorkerInfo` of a worker that is never busy."""

    worker_id = "bench"
    software_version = "bench"
    capabilities: Sequence[str] = ()
    free_slots = _SLOTS
    total_slots = _SLOTS
    waiting_calls = 0


async def serve(address: str) -> None:
    async with WorkerServer(NoopDispatcher(), Info(), ListenerConfig((address,))) as server:
        print(f"worker ready: {server.addresses[0]}", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
