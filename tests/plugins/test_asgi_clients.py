"""Clients of the middleware: kept apart, kept alive, and let go with all that runs for them."""

import json
from typing import Any

import anyio
import pytest

from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.router.services import RouterLimits
from tests.support.asgi_client import answered, exchange
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.looped_app import ASKED, KEYED, STREAMED, call, looped, said

pytestmark = pytest.mark.anyio

HANGING = FakeTool(tool_spec("echo"), hangs=True)
TURNS = said(call("toolu_1")), said("Done.")


async def test_two_keys_are_two_tenants_and_one_key_is_one() -> None:
    place = looped(*TURNS, *TURNS, *TURNS)
    for key in ("one", "two", "one"):
        await answered(place.app, ASKED, headers={"x-api-key": key})
    first, second, again = (call.tenant for call in place.dispatcher.calls)
    assert first == again != second
    assert "one" not in first


async def test_a_bearer_token_counts_like_a_key_and_no_key_is_a_tenant_too() -> None:
    place = looped(*TURNS, *TURNS, *TURNS)
    for headers in ({"authorization": "Bearer x"}, {"x-api-key": "Bearer x"}, {}):
        await answered(place.app, ASKED, headers=headers)
    assert len({call.tenant for call in place.dispatcher.calls}) == 3


async def test_conversations_of_one_client_have_sessions_of_their_own() -> None:
    place = looped(*TURNS, *TURNS)
    await answered(place.app, ASKED, headers=KEYED)
    other = ASKED | {"messages": [{"role": "user", "content": "something else"}]}
    await answered(place.app, other, headers=KEYED)
    assert len({call.session for call in place.dispatcher.calls}) == 2


async def test_whose_a_request_is_can_be_said() -> None:
    place = looped(*TURNS, tenant_of=lambda scope: scope["state"]["user"])
    await answered(place.app, ASKED, headers=KEYED, state={"user": "ada"})
    assert [call.tenant for call in place.dispatcher.calls] == ["ada"]


async def test_the_answer_of_another_request_is_never_given_to_one_with_another_key() -> None:
    place = looped(*TURNS, *TURNS, tenant_of=lambda _: "all")
    async with exchange(place.app, ASKED, headers={"x-api-key": "one"}) as one:
        await place.dispatcher.until(lambda tools: tools.finished == ["toolu_1"])
        one.leave()
    got = await answered(place.app, ASKED, headers={"x-api-key": "two"})
    assert got.status == 200
    assert len(place.dispatcher.calls) == 2


async def test_the_app_sees_the_clients_headers_in_every_call() -> None:
    place = looped(*TURNS)
    told = KEYED | {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "cookie": "c=1"}
    await answered(place.app, ASKED, headers=told | {"accept-encoding": "gzip, br"})
    for headers, body in zip(place.model.request_headers, place.model.requests, strict=True):
        assert told.items() <= headers.items()
        assert headers["accept-encoding"] == "identity"
        assert headers["content-length"] == str(len(body))


async def test_pings_come_while_a_tool_runs() -> None:
    place = looped(*TURNS, tools=[HANGING], limits=RouterLimits(ping_interval_s=0.02))
    async with exchange(place.app, STREAMED, headers=KEYED) as one:
        await one.take_until(b"mcp_tool_use")
        await one.take_until(b"event: ping")


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_a_client_that_leaves_ends_its_tools(asked: dict[str, Any]) -> None:
    place = looped(*TURNS, tools=[HANGING])
    async with exchange(place.app, asked, headers=KEYED) as one:
        if asked is STREAMED:
            await one.take_until(b"mcp_tool_use")
        await place.dispatcher.until(lambda tools: tools.running == 1)
        one.leave()
        await place.dispatcher.until(lambda tools: tools.cancelled == ["toolu_1"])
    assert place.model.received == 1


async def test_a_client_that_leaves_ends_the_call_of_the_app() -> None:
    place = looped(said("word " * 50, delta_delay_s=0.05))
    async with exchange(place.app, STREAMED, headers=KEYED) as one:
        await one.take_until(b"word")
        one.leave()
        with anyio.fail_after(5):
            await one.is_over.wait()
    assert (place.model.cancelled, place.model.finished) == (1, 0)


async def test_a_client_that_leaves_ends_an_app_that_looks_at_nothing() -> None:
    ended = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    looping = ToolLoop(app, dispatcher=FakeDispatcher(), tools=["echo"])
    async with exchange(looping, ASKED, headers=KEYED) as one:
        await anyio.wait_all_tasks_blocked()
        one.leave()
        with anyio.fail_after(5):
            await ended.wait()


async def test_the_app_is_offered_no_way_around_the_body() -> None:
    scopes: list[Any] = []
    place = looped(*TURNS)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await place.model_app(scope, receive, send)

    looping = ToolLoop(app, dispatcher=place.dispatcher, tools=["echo"])
    ways: dict[str, Any] = {"http.response.pathsend": {}, "http.response.trailers": {}}
    await answered(looping, ASKED, headers=KEYED, extensions=ways, state={"user": "ada"})
    assert [scope["extensions"] for scope in scopes] == [{}, {}]
    assert [scope["state"] for scope in scopes] == [{"user": "ada"}] * 2
    assert scopes[0]["state"] is not scopes[1]["state"]


async def test_a_client_that_does_not_read_holds_the_app_up() -> None:
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        start = {"type": "message_start", "message": {"type": "message", "content": []}}
        ping = {"type": "odd"}
        for number in range(1000):
            data = json.dumps(ping if number else start)
            name = "odd" if number else "message_start"
            body = f"event: {name}\ndata: {data}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            sent.append(number)

    looping = ToolLoop(app, dispatcher=FakeDispatcher(), tools=["echo"])
    async with exchange(looping, STREAMED, headers=KEYED) as one:
        await one.take_until(b"message_start")
        await anyio.wait_all_tasks_blocked()
        assert len(sent) < 10


async def test_what_the_app_does_after_its_answer_is_done() -> None:
    done = anyio.Event()
    model = looped(said("Hi.")).model_app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await model(scope, receive, send)
        await anyio.wait_all_tasks_blocked()
        done.set()

    looping = ToolLoop(app, dispatcher=FakeDispatcher(), tools=["echo"])
    await answered(looping, STREAMED, headers=KEYED)
    assert done.is_set()
