"""Short ways to make calls of an `Executor` and to look at what came back and what is left."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import anyio

from auxot_tools.types import CallEvent, Deadline, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from tests.support.fake_sandbox import FakeSandbox, Script

WAIT_S = 10.0  # of every wait in a test: it fails, it never hangs
FOREVER = Script(until_stopped=True)


def a_call(name: str = "run", text: str = "{}", **rest: Any) -> ToolCall:
    return ToolCall("toolu_1", name, text.encode(), **rest)


async def events_of(
    executor: Executor, call: ToolCall, deadline: Deadline | None = None
) -> list[CallEvent]:
    async with aclosing(executor.execute(call, deadline or Deadline.after(60))) as events:
        return [event async for event in events]


async def result_of(
    executor: Executor, call: ToolCall, deadline: Deadline | None = None
) -> ToolResult:
    last = (await events_of(executor, call, deadline))[-1]
    assert isinstance(last, ToolResult)
    return last


def text_of(result: ToolResult) -> str:
    return "".join(block["text"] for block in result.content)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - it looks at state that has no event
            await anyio.sleep(0.001)


def assert_nothing_left(executor: Executor, sandbox: FakeSandbox) -> None:
    assert executor.free_slots == executor.total_slots
    assert (executor.waiting_calls, executor.running_calls) == (0, 0)
    assert sandbox.open_boxes == set()
