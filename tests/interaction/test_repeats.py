"""A request that is sent again goes on where it broke off: tools that ran are not run again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import (
    Faults,
    HttpFault,
    Scenario,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.running import KEY, Router, running_router

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100_000,
    "system": [{"type": "text", "text": "x-anthropic-billing-header: cch=1;"}],
    "messages": [{"role": "user", "content": "hi"}],
    "metadata": {"user_id": "one"},
}
# As Claude Code sends it again when a stream breaks.
AGAIN: dict[str, Any] = ASKED | {
    "max_tokens": 64_000,
    "system": [{"type": "text", "text": "x-anthropic-billing-header: cch=2;"}],
    "metadata": {"user_id": "two"},
}
CALL = Turn(
    blocks=(
        ThinkingBlock(thinking="Run it.", signature="c2ln"),
        ToolUseBlock(id="toolu_1", name="echo", raw_input='{"n":  1.10}'),
    ),
    stop_reason="tool_use",
)
ANSWER = Turn(blocks=(TextBlock(text="done"),))
CUT = Turn(blocks=(TextBlock(text="half of an answer"),), faults=Faults(cut_after_events=4))
BUSY = Turn(faults=Faults(http=HttpFault(status=529, error_type="overloaded_error")))
PATIENCE_S = 20.0


def model_of(*turns: Turn) -> ScriptedModel:
    return ScriptedModel(Scenario(turns=turns))


def waiting(until: anyio.Event, *, idempotent: bool = False) -> FakeDispatcher:
    spec = replace(tool_spec("echo"), idempotent=idempotent)
    return FakeDispatcher([FakeTool(spec, until=until)])


async def ask(router: Router, body: dict[str, Any], *, stream: bool = False) -> tuple[int, bytes]:
    with anyio.fail_after(PATIENCE_S):
        async with (
            aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
            session.post(
                router.messages_url, data=json.dumps(body | {"stream": stream})
            ) as response,
        ):
            return response.status, await response.read()


def kinds(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


async def until_running(dispatcher: FakeDispatcher, count: int = 1) -> None:
    await dispatcher.until(lambda fake: fake.running == count, within_s=PATIENCE_S)


@pytest.mark.parametrize("stream", [False, True])
async def test_after_a_broken_stream_the_repeat_goes_on_without_running_the_tool_again(
    tmp_path: Path, stream: bool
) -> None:
    model, dispatcher = model_of(CALL, CUT, ANSWER), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        _, broken = await ask(router, ASKED, stream=True)
        assert b"event: error" in broken
        status, body = await ask(router, AGAIN, stream=stream)

    assert status == 200
    assert len(dispatcher.calls) == 1
    _, second, third = map(json.loads, model.requests)
    assert third["messages"] == second["messages"]
    assert model.requests[2].count(b'{"n":  1.10}') == 1
    assert third["max_tokens"] < AGAIN["max_tokens"]
    if stream:
        assert body.count(b"event: message_start") == 1
        assert body.count(b"event: message_stop") == 1
        assert b"mcp_tool_result" in body
    else:
        message = json.loads(body)
        assert kinds(message) == ["thinking", "mcp_tool_use", "mcp_tool_result", "text"]
        assert message["content"][-1]["text"] == "done"
        assert message["stop_reason"] == "end_turn"


async def test_a_repeat_goes_on_in_the_session_that_its_first_attempt_began(
    tmp_path: Path,
) -> None:
    more = Turn(blocks=(ToolUseBlock(id="toolu_2", name="echo"),), stop_reason="tool_use")
    model = model_of(CALL, CUT, more, ANSWER, CALL, ANSWER)
    spec = replace(tool_spec("echo"), stateful=True)
    dispatcher = FakeDispatcher([FakeTool(spec)])
    async with running_router(tmp_path, model, dispatcher) as router:
        await ask(router, ASKED, stream=True)
        assert (await ask(router, AGAIN))[0] == 200
        assert (await ask(router, ASKED))[0] == 200  # no repeat: the answer was delivered
    first, second, third = (call.session for call in dispatcher.calls)
    assert first == second
    assert third != first


async def test_a_refusal_in_a_later_round_keeps_its_status_and_the_repeat_goes_on(
    tmp_path: Path,
) -> None:
    model, dispatcher = model_of(CALL, BUSY, BUSY, ANSWER), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        assert (await ask(router, ASKED))[0] == 529
        # Nothing has left when the upstream refuses the repeat: a stream keeps the status too.
        assert (await ask(router, AGAIN, stream=True))[0] == 529
        status, body = await ask(router, AGAIN)
    assert status == 200
    assert json.loads(body)["content"][-1]["text"] == "done"
    assert len(dispatcher.calls) == 1


async def test_an_sdk_that_retries_by_itself_runs_no_tool_twice(tmp_path: Path) -> None:
    model, dispatcher = model_of(CALL, BUSY, ANSWER), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        client = await router.client(max_retries=2)
        message = await client.beta.messages.create(
            model="m", max_tokens=1000, messages=[{"role": "user", "content": "hi"}]
        )
    assert message.stop_reason == "end_turn"
    assert len(dispatcher.calls) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repeat_of_a_living_attempt_waits_for_it_and_gets_its_answer(
    tmp_path: Path, stream: bool
) -> None:
    may_end = anyio.Event()
    model, dispatcher = model_of(CALL, ANSWER), waiting(may_end)
    bodies: list[bytes] = []
    async with running_router(tmp_path, model, dispatcher) as router:

        async def client(body: dict[str, Any], *, stream: bool) -> None:
            bodies.append((await ask(router, body, stream=stream))[1])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client(ASKED, stream=True))
            await until_running(dispatcher)
            tasks.start_soon(lambda: client(AGAIN, stream=stream))
            await model_is_idle(router)
            may_end.set()
    assert len(dispatcher.calls) == 1
    assert len(model.requests) == 2
    assert len(bodies) == 2
    assert all(b"done" in body for body in bodies)


async def model_is_idle(router: Router) -> None:
    """Wait until the router serves two requests: the repeat is there, and waits."""
    with anyio.fail_after(PATIENCE_S):
        while router.app.running != 2:
            await anyio.lowlevel.checkpoint()


async def test_a_client_whose_connection_broke_finds_its_call_still_running(
    tmp_path: Path,
) -> None:
    may_end = anyio.Event()
    model, dispatcher = model_of(CALL, ANSWER), waiting(may_end)
    async with running_router(tmp_path, model, dispatcher) as router:
        async with anyio.create_task_group() as first:
            first.start_soon(lambda: ask(router, ASKED, stream=True))
            await until_running(dispatcher)
            first.cancel_scope.cancel()
        async with anyio.create_task_group() as second:

            async def repeat() -> None:
                status, body = await ask(router, AGAIN)
                assert status == 200
                assert json.loads(body)["content"][-1]["text"] == "done"

            second.start_soon(repeat)
            await model_is_idle(router)
            may_end.set()
    assert dispatcher.finished == ["toolu_1"]
    assert dispatcher.cancelled == []
    assert len(dispatcher.calls) == 1


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_call_that_was_killed_with_its_client_runs_again_only_if_that_is_harmless(
    tmp_path: Path, idempotent: bool
) -> None:
    may_end = anyio.Event()
    model, dispatcher = model_of(CALL, ANSWER), waiting(may_end, idempotent=idempotent)
    async with running_router(tmp_path, model, dispatcher) as router:
        async with anyio.create_task_group() as first:
            first.start_soon(lambda: ask(router, ASKED, stream=True))
            await until_running(dispatcher)
            await turn_is_recorded(model)
            first.cancel_scope.cancel()
        await dispatcher.until(lambda fake: fake.cancelled == ["toolu_1"], PATIENCE_S)
        may_end.set()
        status, body = await ask(router, AGAIN)
    assert status == 200
    [told] = [b for b in json.loads(body)["content"] if b["type"] == "mcp_tool_result"]
    assert len(dispatcher.calls) == (2 if idempotent else 1)
    assert told["is_error"] is not idempotent
    if not idempotent:
        assert "not started again" in told["content"][0]["text"]


async def turn_is_recorded(model: ScriptedModel) -> None:
    """Wait for the end of the first turn: an early call starts before it."""
    with anyio.fail_after(PATIENCE_S):
        while model.finished + model.cancelled < 1:
            await anyio.lowlevel.checkpoint()


async def test_a_completed_answer_is_never_given_twice(tmp_path: Path) -> None:
    model, dispatcher = model_of(CALL, ANSWER, CALL, ANSWER), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        for _ in range(2):
            assert (await ask(router, ASKED))[0] == 200
    assert len(dispatcher.calls) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "ho"}]},
        {"model": "n"},
        {"system": "another"},
        {"tools": [{"name": "x", "input_schema": {"type": "object"}}]},
    ],
)
async def test_another_request_is_no_repeat(tmp_path: Path, change: dict[str, Any]) -> None:
    model, dispatcher = model_of(CALL, CUT, CALL, ANSWER), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        await ask(router, ASKED, stream=True)
        assert (await ask(router, ASKED | change))[0] == 200
    assert len(dispatcher.calls) == 2


async def test_the_clients_part_of_a_mixed_turn_comes_again_in_the_repeat(tmp_path: Path) -> None:
    """All results are known, so the message is complete without asking the model."""
    mixed = Turn(
        blocks=(
            ToolUseBlock(id="toolu_1", name="echo"),
            ToolUseBlock(id="toolu_2", name="wait"),
            ToolUseBlock(id="toolu_3", name="theirs"),
        ),
        stop_reason="tool_use",
    )
    forever = FakeTool(tool_spec("wait"), hangs=True)
    model, dispatcher = model_of(mixed), FakeDispatcher([echo_tool(), forever])
    async with running_router(tmp_path, model, dispatcher, allowed=("echo", "wait")) as router:
        async with anyio.create_task_group() as first:
            first.start_soon(lambda: ask(router, ASKED, stream=True))
            await until_running(dispatcher)
            await dispatcher.until(lambda fake: fake.finished == ["toolu_1"], PATIENCE_S)
            first.cancel_scope.cancel()
        await dispatcher.until(lambda fake: "toolu_2" in fake.cancelled, PATIENCE_S)
        status, body = await ask(router, AGAIN)
    message = json.loads(body)
    assert status == 200
    assert message["stop_reason"] == "tool_use"
    assert kinds(message) == ["mcp_tool_use"] * 2 + ["tool_use"] + ["mcp_tool_result"] * 2
    assert len(dispatcher.calls) == 2
    assert len(model.requests) == 1


async def test_an_answer_that_its_client_did_not_wait_for_is_given_to_the_repeat(
    tmp_path: Path,
) -> None:
    slow = Turn(blocks=(TextBlock(text="done"),), first_event_delay_s=0.3)
    model, dispatcher = model_of(CALL, slow), FakeDispatcher()
    async with running_router(tmp_path, model, dispatcher) as router:
        async with anyio.create_task_group() as first:
            first.start_soon(lambda: ask(router, ASKED, stream=True))
            await dispatcher.until(lambda fake: fake.finished == ["toolu_1"], PATIENCE_S)
            first.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE_S):
            while router.app.running:
                await anyio.lowlevel.checkpoint()
        status, body = await ask(router, AGAIN)
    assert (status, json.loads(body)["content"][-1]["text"]) == (200, "done")
    assert len(dispatcher.calls) == 1


async def test_a_repeat_goes_on_with_the_provider_that_wrote_the_rounds(tmp_path: Path) -> None:
    first, second = model_of(BUSY, ANSWER, ANSWER), model_of(CALL, CUT, ANSWER)
    providers = Providers([Provider("first", first), Provider("second", second)])
    async with running_router(tmp_path, first, FakeDispatcher(), providers=providers) as router:
        await ask(router, ASKED, stream=True)
        status, _ = await ask(router, AGAIN)
    assert status == 200
    assert (first.received, second.received) == (1, 3)


async def test_a_repeat_that_waits_when_the_router_stops_starts_nothing_new(
    tmp_path: Path,
) -> None:
    model, dispatcher = model_of(CALL, ANSWER), waiting(anyio.Event())
    statuses: list[int] = []
    async with running_router(tmp_path, model, dispatcher) as router:

        async def client(body: dict[str, Any]) -> None:
            statuses.append((await ask(router, body))[0])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client, ASKED)
            await until_running(dispatcher)
            tasks.start_soon(client, AGAIN)
            await model_is_idle(router)
            router.app.give_up()
    assert statuses == [503, 503]
    assert model.received == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_early_result_of_a_turn_that_breaks_off_disturbs_nobody(
    tmp_path: Path, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ends = anyio.Event()
    ends.set()
    broken = CALL.model_copy(update={"faults": Faults(stall_after_events=9)})
    model = ScriptedModel(Scenario(turns=(broken, ANSWER)), stall_s=0.3)
    async with running_router(tmp_path, model, waiting(ends, idempotent=True)) as router:
        status, body = await ask(router, ASKED, stream=stream)
    assert status == (200 if stream else 502)
    assert b"broke off" in body
    assert "fault of ours" not in caplog.text
