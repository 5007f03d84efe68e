"""A client that leaves takes everything with it; silence is filled; time is bounded."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Faults, Scenario, TextBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import KEY, Router, running_router

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}
CALL = Turn(blocks=(ToolUseBlock(id="toolu_1", name="echo"),), stop_reason="tool_use")
ANSWER = Turn(blocks=(TextBlock(text="done"),))


def hanging() -> FakeDispatcher:
    return FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])


async def ask(router: Router, *, stream: bool) -> bytes:
    body = json.dumps(ASKED | {"stream": stream})
    async with (
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(router.messages_url, data=body) as response,
    ):
        return await response.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_running_tool(tmp_path: Path, stream: bool) -> None:
    dispatcher = hanging()
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    async with running_router(tmp_path, model, dispatcher) as router:
        async with anyio.create_task_group() as client:

            async def leave() -> None:
                await dispatcher.until(lambda fake: fake.running == 1)
                client.cancel_scope.cancel()

            client.start_soon(leave)
            await ask(router, stream=stream)
        await dispatcher.until(lambda fake: fake.cancelled == ["toolu_1"])
    assert len(model.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_upstream(tmp_path: Path, stream: bool) -> None:
    stalled = Turn(blocks=(TextBlock(text="hello"),), faults=Faults(stall_after_events=3))
    model = ScriptedModel(Scenario(turns=(stalled,)))
    async with running_router(tmp_path, model, FakeDispatcher()) as router:
        with anyio.move_on_after(0.5):
            await ask(router, stream=stream)
        with anyio.fail_after(5):
            while model.cancelled == 0:
                await anyio.lowlevel.checkpoint()
    assert model.finished == 0


async def test_a_stream_is_never_silent_while_a_tool_runs(tmp_path: Path) -> None:
    may_end = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), until=may_end)])
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    limits = RouterLimits(ping_interval_s=0.05)
    pings = 0
    async with (
        running_router(tmp_path, model, dispatcher, limits=limits) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(router.messages_url, data=json.dumps(ASKED | {"stream": True})) as response,
    ):
        with anyio.fail_after(10):
            async for line in response.content:
                pings += line.startswith(b"event: ping")
                if pings == 3:
                    may_end.set()
    assert pings >= 3


async def test_a_slow_upstream_gets_a_200_and_pings_after_one_interval(tmp_path: Path) -> None:
    slow = Turn(blocks=(TextBlock(text="hello"),), first_event_delay_s=0.3)
    limits = RouterLimits(ping_interval_s=0.05)
    async with running_router(
        tmp_path, ScriptedModel(Scenario(turns=(slow,))), FakeDispatcher(), limits=limits
    ) as router:
        body = await ask(router, stream=True)
    assert body.startswith(b"event: ping")
    assert b"message_stop" in body


async def test_a_blocking_request_comes_to_its_end_when_its_budget_is_used_up(
    tmp_path: Path,
) -> None:
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    dispatcher = hanging()
    limits = RouterLimits(blocking_budget_s=0.3)
    async with running_router(tmp_path, model, dispatcher, limits=limits) as router:
        message = json.loads(await ask(router, stream=False))
        await dispatcher.until(lambda fake: fake.cancelled == ["toolu_1"])
    assert message["stop_reason"] == "end_turn"
    assert message["content"][-1] == {"type": "text", "text": "done"}
    assert json.loads(model.requests[1])["tool_choice"] == {"type": "none"}


async def test_a_blocking_request_whose_last_answer_never_ends_is_a_504(tmp_path: Path) -> None:
    endless = Turn(blocks=(TextBlock(text="hello"),), faults=Faults(stall_after_events=4))
    model = ScriptedModel(Scenario(turns=(CALL, endless)))
    limits = RouterLimits(blocking_budget_s=0.2, last_answer_s=0.2)
    async with (
        running_router(tmp_path, model, hanging(), limits=limits) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(router.messages_url, data=json.dumps(ASKED)) as response,
    ):
        told = await response.json()
    assert response.status == 504
    assert told["error"]["type"] == "timeout_error"
    assert "x-should-retry" not in response.headers  # a repeat goes on from here


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_given_up_at_the_stop_ends_in_an_error_that_can_be_read(
    tmp_path: Path, stream: bool
) -> None:
    dispatcher = hanging()
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    body = b""
    async with running_router(tmp_path, model, dispatcher) as router:

        async def client() -> None:
            nonlocal body
            body = await ask(router, stream=stream)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            await dispatcher.until(lambda fake: fake.running == 1)
            router.app.give_up()
        assert dispatcher.cancelled == ["toolu_1"]
    told = json.loads(body.rpartition(b"data: ")[2] if stream else body)
    assert told["error"]["message"] == "The router is stopping."
    assert told["request_id"].startswith("req_")


async def test_a_dispatcher_that_fails_gives_an_error_result_and_the_loop_goes_on(
    tmp_path: Path,
) -> None:
    broken = FakeDispatcher([FakeTool(tool_spec("echo"), error=ZeroDivisionError("inner"))])
    model = ScriptedModel(Scenario(turns=(CALL, ANSWER)))
    async with running_router(tmp_path, model, broken) as router:
        message = json.loads(await ask(router, stream=False))
    shown = message["content"][1]
    assert shown["is_error"] is True
    assert "inner" not in json.dumps(message)
    assert message["stop_reason"] == "end_turn"
