"""Each RPC of the client, cancelled: no foreign ``CancelledError`` gets out and none runs on."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
import pytest

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import CallHint, ToolSpec
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.served_worker import remote, result_of, served

pytestmark = pytest.mark.anyio

Ask = Callable[[RemoteDispatcher], Coroutine[Any, Any, Any]]
ASKS: dict[str, Ask] = {
    "list_tools": RemoteDispatcher.list_tools,
    "prepare": lambda client: client.prepare(CallHint("echo")),
    "execute": result_of,
}


class _Stuck(FakeDispatcher):
    """Lists and hints never end."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        self.hints.append(CallHint("list"))
        self.note()
        await anyio.sleep_forever()
        return ()

    async def prepare(self, hint: CallHint) -> bool:
        is_ready = await super().prepare(hint)
        await anyio.sleep_forever()
        return is_ready


@pytest.fixture(params=sorted(ASKS))
def ask(request: pytest.FixtureRequest) -> Ask:
    return ASKS[request.param]


def _stuck() -> _Stuck:
    return _Stuck([FakeTool(tool_spec("echo"), hangs=True)])


def _has_arrived(fake: FakeDispatcher) -> bool:
    return bool(fake.running or fake.hints)


async def test_a_scope_that_ends_a_call_is_the_one_that_catches_it(ask: Ask) -> None:
    fake = _stuck()
    async with remote(fake) as client, anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:

            async def cancel_on_arrival() -> None:
                await fake.until(_has_arrived)
                scope.cancel()

            tasks.start_soon(cancel_on_arrival)
            await ask(client)
        assert scope.cancelled_caught
        await anyio.lowlevel.checkpoint()
        await fake.until(lambda fake: not fake.running)


async def test_a_task_that_is_cancelled_ends_as_cancelled(ask: Ask) -> None:
    fake = _stuck()
    async with remote(fake) as client:
        task = asyncio.ensure_future(ask(client))
        await fake.until(_has_arrived)
        task.cancel()
        with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
            await task
        await fake.until(lambda fake: not fake.running)


async def test_a_first_call_may_be_cancelled_at_any_moment(ask: Ask) -> None:
    fake = FakeDispatcher([echo_tool()])
    async with served(fake) as server:
        for turns in range(30):
            async with RemoteDispatcher(WorkerTarget(server.addresses[0])) as client:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask, client)
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
                await anyio.lowlevel.checkpoint()
        await fake.until(lambda fake: not fake.running)
