"""Two thousand streams that clients drop midway leave nothing behind: no task, file or call."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import anyio
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import (
    Faults,
    Scenario,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.server import scripted_app
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import KEY, Router, http_model, running_router

pytestmark = pytest.mark.anyio

STREAMS = 2000
AT_ONCE = 50
CALLS_EVERY = 10  # each so many-th stream is dropped while its call runs
UNREAD_EVERY = 7  # each so many-th of the others is dropped before its answer has begun
ENDS_S = 10.0
# A connection that is kept for the next request would be a file more.
ALONE = {"connection": "close"}
STALLED = Turn(
    blocks=(TextBlock(text="hello there, and on and on"),),
    faults=Faults(stall_after_events=6),
    headers=ALONE,
)
CALLING = Turn(
    blocks=(ToolUseBlock(id="toolu_1", name="echo", input={}),),
    stop_reason="tool_use",
    headers=ALONE,
)
ANSWER = Scenario(turns=(Turn(blocks=(TextBlock(text="done"),), headers=ALONE),))
# What the client has read last when it goes: nothing of the body, its first event, a piece of text.
MARKS = (b"", b"event: message_start", b"text_delta")


def script(request: ScriptedRequest) -> Turn:
    scripts: dict[str, Turn] = {"stalls": STALLED, "calls": CALLING}
    found = scripts.get(request.body["model"])
    return found if found is not None else ANSWER.turns[0]


@dataclass(frozen=True)
class Standing:
    """What is open in this process."""

    tasks: int
    files: int

    @classmethod
    def now(cls) -> "Standing":
        return cls(len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())))

    def is_back_at(self, before: "Standing") -> bool:
        return self.tasks <= before.tasks and self.files <= before.files


async def until(reached: Callable[[], bool]) -> None:
    with anyio.fail_after(ENDS_S):
        while not reached():
            await anyio.lowlevel.checkpoint()


async def settled() -> Standing:
    """What is open when what has just ended is gone."""
    standings = []
    for _ in range(100):
        await anyio.lowlevel.checkpoint()
        standings.append(Standing.now())
    return Standing(min(s.tasks for s in standings), min(s.files for s in standings))


async def drop(session: aiohttp.ClientSession, router: Router, number: int) -> None:
    """Open the stream of this number, read a little of it, and leave."""
    is_calling = number % CALLS_EVERY == 0
    body = {
        "model": "calls" if is_calling else "stalls",
        "max_tokens": 100,
        "stream": True,
        "messages": [{"role": "user", "content": f"stream {number}"}],
    }
    mark = b"mcp_tool_use" if is_calling else MARKS[number % len(MARKS)]
    asking = session.post(router.messages_url, json=body)
    if not is_calling and number % UNREAD_EVERY == 0:
        with anyio.move_on_after(number % 5 / 1000):
            async with asking:
                return
        return
    with anyio.fail_after(ENDS_S):
        async with asking as response:
            assert response.status == 200
            while mark and mark not in await response.content.readline():
                assert not response.content.at_eof()
            response.close()


async def drop_all(router: Router) -> None:
    numbers = iter(range(STREAMS))
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers={"x-api-key": KEY}) as session:

        async def drop_some() -> None:
            for number in numbers:
                await drop(session, router, number)

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(drop_some)


async def ask_once(router: Router) -> str:
    body = {"model": "answers", "max_tokens": 100}
    body["messages"] = [{"role": "user", "content": "hi"}]
    async with (
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(router.messages_url, json=body) as response,
    ):
        return str((await response.json())["content"][0]["text"])


async def test_two_thousand_dropped_streams_leave_nothing_behind(tmp_path: Path) -> None:
    model = ScriptedModel(script, requests_kept=0)
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    async with (
        serving(scripted_app(model)) as url,
        http_model(url) as client,
        running_router(tmp_path, client, dispatcher) as router,
    ):
        assert await ask_once(router) == "done"  # what is made once is made by now
        await until(lambda: router.app.running == 0)
        before = await settled()
        await drop_all(router)
        await dispatcher.until(lambda fake: fake.running == 0, within_s=ENDS_S)
        await until(lambda: router.app.running == 0)
        await until(lambda: model.cancelled + model.finished == model.received)
        await until(lambda: Standing.now().is_back_at(before))
        assert await ask_once(router) == "done"

    calls = STREAMS // CALLS_EVERY
    assert len(dispatcher.calls) == len(dispatcher.cancelled) == calls
    assert model.finished >= calls
    assert model.cancelled >= STREAMS // 2
