"""Whose a request is: what is never shared, and what is known of a request when it comes again."""

import logging
from contextlib import suppress
from typing import Any

import anyio
import pytest

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.request import parse_request
from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.plugins.door import Door
from auxot_tools.plugins.scopes import IDENTIFYING
from auxot_tools.plugins.taken import Desk, Service, Taken, Tools
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.services import RouterLimits
from tests.support.asgi_client import answered, exchange
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.looped_app import ASKED, KEYED, STREAMED, Looped, call, looped, said

pytestmark = pytest.mark.anyio

TURNS = said(call("toolu_1")), said("Done.")
SESSION = {"auxot-session": "mine"}


@pytest.mark.parametrize("header", sorted(name.decode() for name in IDENTIFYING))
async def test_every_kind_of_key_tells_clients_apart(header: str) -> None:
    place = looped(*TURNS, *TURNS, *TURNS)
    for key in ("alice", "bob", "alice"):
        await answered(place.app, ASKED, headers={header: key} | SESSION)
    alice, bob, again = (call.tenant for call in place.dispatcher.calls)
    assert alice == again != bob


async def test_a_cookie_tells_users_of_one_key_apart() -> None:
    place = looped(*TURNS, *TURNS)
    for user in ("alice", "bob"):
        await answered(place.app, ASKED, headers=KEYED | SESSION | {"cookie": f"user={user}"})
    assert len({call.tenant for call in place.dispatcher.calls}) == 2


@pytest.mark.parametrize("options", [{}, {"tenant_of": lambda _: ""}])
async def test_requests_of_nobody_share_nothing(options: dict[str, Any]) -> None:
    place = looped(*TURNS, *TURNS, **options)
    for _ in range(2):
        await answered(place.app, ASKED, headers=SESSION)
    assert len({call.tenant for call in place.dispatcher.calls}) == 2


async def test_what_was_hidden_from_one_user_is_not_shown_to_another() -> None:
    place = looped(*TURNS, said("Two."), show_calls=False)
    got = await answered(place.app, ASKED, headers={"cookie": "user=a"})
    history = [
        *ASKED["messages"],
        {"role": "assistant", "content": got.json["content"]},
        {"role": "user", "content": "and?"},
    ]
    await answered(place.app, ASKED | {"messages": history}, headers={"cookie": "user=b"})
    assert b"toolu_1" not in place.model.requests[-1]


class App:
    """An app that says 401, and notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"Who are you?"})


async def test_a_request_whose_tenant_cannot_be_said_is_the_apps_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    looping = ToolLoop(
        app, dispatcher=FakeDispatcher(), tenant_of=lambda scope: scope["session"]["user_id"]
    )
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            got = await answered(looping, ASKED, session={})
            assert (got.status, got.body) == (401, b"Who are you?")
    assert "extensions" not in app.calls[0][0]
    assert [record.message[:11] for record in caplog.records] == ["`tenant_of`"]


async def left_after_its_call(place: Looped, **asked: Any) -> None:
    async with exchange(place.app, ASKED, **asked) as one:
        await place.dispatcher.until(lambda tools: tools.finished == ["toolu_1"])
        one.leave()


async def test_a_repeat_finds_what_was_done() -> None:
    place = looped(*TURNS, said("Done."))
    await left_after_its_call(place, headers=KEYED)
    assert (await answered(place.app, ASKED, headers=KEYED)).status == 200
    assert len(place.dispatcher.calls) == 1


class Keys:
    """Makes an app that takes these keys and no others."""

    def __init__(self) -> None:
        self.taken = {b"the-key"}

    def wrap(self, model: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            known = dict(scope["headers"])[b"x-api-key"] in self.taken
            await (model if known else App())(scope, receive, send)

        return app


async def left_with_its_answer_complete(place: Looped, asked: dict[str, Any]) -> None:
    """As by a server: what is sent to a client that has left goes nowhere, without an error."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            with suppress(anyio.BrokenResourceError):
                await send(message)

        await place.app(scope, receive, sending)

    async with exchange(served, asked, headers=KEYED) as one:
        if asked is STREAMED:
            await one.take_until(b"mcp_tool_use")
        await place.dispatcher.until(lambda tools: tools.running == 1)
        one.leave()
        gate = place.dispatcher.tools[0].until
        assert gate is not None
        gate.set()
        with anyio.fail_after(5):
            await one.is_over.wait()
    assert len(place.model.requests) == 2


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_what_was_done_is_not_given_for_a_key_that_is_taken_no_more(
    asked: dict[str, Any],
) -> None:
    keys = Keys()
    tools = [FakeTool(tool_spec("echo"), until=anyio.Event())]
    place = looped(*TURNS, *TURNS, tools=tools, wrap=keys.wrap)
    await left_with_its_answer_complete(place, asked)
    keys.taken.clear()
    got = await answered(place.app, asked, headers=KEYED)
    assert (got.status, got.body) == (401, b"Who are you?")


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_the_last_words_of_what_was_done_are_asked_for_again(asked: dict[str, Any]) -> None:
    tools = [FakeTool(tool_spec("echo"), until=anyio.Event())]
    place = looped(*TURNS, said("Once more."), tools=tools)
    await left_with_its_answer_complete(place, asked)
    got = await answered(place.app, asked, headers=KEYED)
    assert (b"mcp_tool_result" in got.body, b"Once more." in got.body) == (True, True)
    assert len(place.dispatcher.calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/b/v1/messages"},
        {"query_string": b"user=2"},
        {"headers": KEYED | {"host": "another"}},
        {"headers": KEYED | {"cookie": "user=2"}},
        {"headers": KEYED | {"x-goog-api-key": "2"}},
    ],
)
async def test_what_was_asked_otherwise_is_no_repeat(other: dict[str, Any]) -> None:
    paths = ["/v1/messages", "/b/v1/messages"]

    def anywhere(app: Any) -> Any:
        async def asked(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {"path": "/v1/messages"}, receive, send)

        return asked

    place = looped(*TURNS, *TURNS, wrap=anywhere, paths=paths, tenant_of=lambda _: "all")
    first = {"headers": KEYED | {"cookie": "user=1"}} if "cookie" in str(other) else {}
    await left_after_its_call(place, **({"headers": KEYED} | first))
    await answered(place.app, ASKED, **({"headers": KEYED} | other))
    assert len(place.dispatcher.calls) == 2


@pytest.mark.parametrize(("status", "known"), [(200, 1), (401, 0)])
async def test_only_requests_that_the_app_has_taken_begin_a_session(
    status: int, known: int
) -> None:
    """Else strangers could displace the sessions by which repeats of others go on."""
    place = looped(said("Hi."))
    desk = Desk(RouterLimits(), LoopSettings(), KeptHistory())
    tools = Tools(place.dispatcher, Catalogue(place.dispatcher, ["echo"]))
    service = Service(desk, tools, place.model_app if status == 200 else App())

    async def take(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        taken = Taken(parse_request(body), body, scope, "req_1", "tenant")
        await service.answer(taken, receive, Door(send))

    assert (await answered(take, ASKED, headers=KEYED)).status == status
    assert len(desk.sessions) == known
