"""Ends that nobody wished for, and beginnings that take long: the client is told what is so."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.scenario import Faults, HttpFault, Turn
from tests.support.asgi_client import answered, exchange
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.looped_app import ASKED, KEYED, STREAMED, call, looped, said

pytestmark = pytest.mark.anyio

PINGING = RouterLimits(ping_interval_s=0.01)
TURNS = said("Hm.", call("toolu_1")), said("Done.")
MANY_PINGS = 10


def cancelled_in(turn: int) -> Any:
    """Makes an app of which one call ends in a cancellation that nobody asked for."""

    def wrap(model: Any) -> Any:
        calls = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            calls.append(scope)
            if len(calls) == turn:
                raise asyncio.CancelledError
            await model(scope, receive, send)

        return app

    return wrap


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_an_app_that_cancels_itself_has_failed(asked: dict[str, Any]) -> None:
    place = looped(*TURNS, wrap=cancelled_in(1))
    with pytest.raises(RuntimeError, match="by a cancellation"):
        await answered(place.app, asked, headers=KEYED)


async def test_an_app_that_cancels_itself_after_tools_ran_is_told() -> None:
    place = looped(*TURNS, wrap=cancelled_in(2))
    got = await answered(place.app, ASKED, headers=KEYED)
    assert (got.status, got.json["error"]["message"]) == (500, "The app failed while it answered.")


async def test_a_stream_whose_app_cancels_itself_has_an_end() -> None:
    place = looped(*TURNS, wrap=cancelled_in(2))
    async with exchange(place.app, STREAMED, headers=KEYED) as one:
        await one.take_rest()
    assert one.events[-1]["type"] == "error"
    assert one.messages[-1]["more_body"] is False


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_bodies_of_an_app_may_be_views(asked: dict[str, Any]) -> None:
    def wrap(model: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                seen = {"body": memoryview(message["body"])} if "body" in message else {}
                await send(message | seen)

            await model(scope, receive, sending)

        return app

    got = await answered(looped(*TURNS, wrap=wrap).app, asked, headers=KEYED)
    assert b"mcp_tool_result" in got.body
    assert b"Done." in got.body


class Late:
    """An app that says its status when it is let."""

    def __init__(self, model: Any, status: int) -> None:
        self._model = model
        self._status = status
        self.may_answer = anyio.Event()
        self.is_asked = anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.is_asked.set()
        await self.may_answer.wait()
        if self._status == 200:
            await self._model(scope, receive, with_header(send))
            return
        start = {"type": "http.response.start", "status": self._status}
        await with_header(send)(start | {"headers": []})
        await send({"type": "http.response.body", "body": b"No."})


def with_header(send: Any) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], (b"x-app", b"1")]}
        await send(message)

    return sending


@pytest.mark.parametrize("status", [200, 401])
async def test_an_app_that_takes_its_time_still_has_its_status_and_headers(status: int) -> None:
    late = Late(looped(said("Hi.")).model_app, status)
    looping = ToolLoop(late, dispatcher=FakeDispatcher(), tools=["echo"], limits=PINGING)
    watched = Watched(looping)
    async with exchange(watched, STREAMED, headers=KEYED) as one:
        with anyio.fail_after(5):
            await watched.has_waited.wait()
        assert watched.sent == []
        late.may_answer.set()
        await one.take_rest()
    assert one.status == status
    assert ("x-app", "1") in one.headers


class Watched:
    """Notes what an app sends, and when it has looked so often whether its client is there that
    pings were due: it looks anew after each interval.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._looks = 0
        self.has_waited = anyio.Event()
        self.sent: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def looking() -> Any:
            self._looks += 1
            if self._looks > MANY_PINGS:
                self.has_waited.set()
            return await receive()

        async def sending(message: Any) -> None:
            self.sent.append(message)
            await send(message)

        await self._app(scope, looking, sending)


async def test_pings_come_while_a_repeat_waits_for_its_first_attempt() -> None:
    tool = FakeTool(tool_spec("echo"), hangs=True)
    place = looped(*TURNS, tools=[tool], limits=PINGING)
    async with exchange(place.app, ASKED, headers=KEYED):
        await place.dispatcher.until(lambda tools: tools.running == 1)
        async with exchange(place.app, STREAMED, headers=KEYED) as repeat:
            await repeat.take_until(b"event: ping")


async def test_a_key_that_was_never_taken_is_not_told_as_taken_back() -> None:
    """A repeat has waited, with pings, for an attempt that failed; now the app refuses the key."""
    gate = anyio.Event()
    failed = Turn(faults=Faults(http=HttpFault(status=500, error_type="api_error")))
    refused = Turn(faults=Faults(http=HttpFault(status=401, error_type="authentication_error")))
    tool = FakeTool(tool_spec("echo"), until=gate)
    place = looped(TURNS[0], failed, refused, tools=[tool], limits=PINGING)
    async with exchange(place.app, ASKED, headers=KEYED) as first:
        await place.dispatcher.until(lambda tools: tools.running == 1)
        async with exchange(place.app, STREAMED, headers=KEYED) as repeat:
            await repeat.take_until(b"event: ping")
            gate.set()
            await first.take_rest()
            await repeat.take_rest()
    text = "The app does not take the key that this request came with."
    assert repeat.events[-1]["error"]["message"] == text


async def test_the_stop_of_a_server_ends_a_stream_with_an_error() -> None:
    place = looped(*TURNS, tools=[FakeTool(tool_spec("echo"), hangs=True)])
    tasks: list[asyncio.Task[Any] | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        await place.app(scope, receive, send)

    async with exchange(app, STREAMED, headers=KEYED) as one:
        await one.take_until(b"mcp_tool_use")
        await place.dispatcher.until(lambda tools: tools.running == 1)
        assert tasks[0] is not None
        tasks[0].cancel()
        await one.take_rest()
        one.is_over.set()
    assert one.events[-1]["error"]["message"] == "The server is stopping."
    assert one.messages[-1]["more_body"] is False
    assert place.dispatcher.cancelled == ["toolu_1"]


async def test_a_client_that_does_not_read_does_not_hold_up_the_stop() -> None:
    place = looped(*TURNS, tools=[FakeTool(tool_spec("echo"), hangs=True)])
    is_stuck = anyio.Event()

    async def send(message: Any) -> None:
        if b"mcp_tool_use" in message.get("body", b""):
            is_stuck.set()
            await anyio.sleep_forever()

    async def pieces() -> AsyncGenerator[Any, None]:
        yield {"type": "http.request", "body": json.dumps(STREAMED).encode()}
        await anyio.sleep_forever()

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    receiving = pieces()
    task = asyncio.create_task(place.app(scope, receiving.__anext__, send))
    await is_stuck.wait()
    task.cancel()
    with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
        await task
    await receiving.aclose()
