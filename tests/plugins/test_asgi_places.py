"""Where the middleware stands: servers with and without a lifespan, frameworks, other requests."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from auxot_tools.errors import ConfigError
from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.ports import ToolDispatcher
from tests.support.asgi_client import answered
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.looped_app import ASKED, KEYED, STREAMED, call, looped, said

pytestmark = pytest.mark.anyio

STOP_S = 5.0


class Noting:
    """An app that notes what it is called with, and answers 418."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"teapot"})


async def never() -> Any:
    raise AssertionError("nobody reads")


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "method": "GET", "path": "/v1/messages", "headers": []},
        {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []},
        {"type": "http", "method": "POST", "path": "/v1/messages/batches", "headers": []},
        {"type": "http", "method": "OPTIONS", "path": "/v1/messages", "headers": []},
        {"type": "websocket", "path": "/v1/messages", "headers": []},
    ],
)
async def test_other_requests_reach_the_app_untouched(scope: dict[str, Any]) -> None:
    app, sent = Noting(), []

    async def send(message: Any) -> None:
        sent.append(message)

    await ToolLoop(app, dispatcher=FakeDispatcher())(scope, never, send)
    assert app.calls[0][0] is scope
    assert app.calls[0][1:] == (never, send)
    assert sent[0]["status"] == 418


def anywhere(app: Any) -> Any:
    """The app, whatever path it is asked for."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"path": "/v1/messages"}, receive, send)

    return asked


async def test_a_slash_at_the_end_and_a_root_path_change_nothing() -> None:
    for path, root in (("/v1/messages/", ""), ("/api/v1/messages", "/api")):
        place = looped(said(call("toolu_1")), said("Done."), wrap=anywhere)
        got = await answered(place.app, ASKED, path=path, headers=KEYED, root_path=root)
        assert got.json["content"][-1]["text"] == "Done."


async def test_paths_can_be_chosen() -> None:
    place = looped(said("Plain."), said("Plain."), paths=["/anthropic/v1/messages"])
    await answered(place.app, ASKED, path="/v1/messages", headers=KEYED)
    await answered(place.app, ASKED, path="/anthropic/v1/messages", headers=KEYED)
    assert ["tools" in json.loads(body) for body in place.model.requests] == [False, True]


class Server:
    """The lifespan side of an ASGI server."""

    def __init__(self) -> None:
        self._in, self._out = anyio.create_memory_object_stream[Any](10)
        self.told: list[Any] = []
        self.has_told = anyio.Event()

    async def say(self, kind: str) -> Any:
        """Send one message; what the app told in answer."""
        before, self.has_told = len(self.told), anyio.Event()
        await self.give(kind)
        with anyio.fail_after(STOP_S):
            while len(self.told) == before:
                await self.has_told.wait()
        return self.told[-1]

    async def give(self, kind: str) -> None:
        """Send one message."""
        await self._in.send({"type": kind})

    async def receive(self) -> Any:
        return await self._out.receive()

    def close(self) -> None:
        self._in.close()
        self._out.close()

    async def send(self, message: Any) -> None:
        self.told.append(message)
        self.has_told.set()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


class Opened:
    """Tools in this process that note when they are opened and closed."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.fails = False

    @asynccontextmanager
    async def tools(self) -> AsyncGenerator[ToolDispatcher, None]:
        if self.fails:
            raise ConfigError(["sandbox.engine_url: nobody is there."])
        self.notes.append("opened")
        try:
            yield FakeDispatcher()
        finally:
            self.notes.append("closed")


async def plain_app(scope: Any, receive: Any, send: Any) -> None:
    """An app that knows no lifespan."""
    assert scope["type"] == "http"
    await looped(said(call("toolu_1")), said("Done.")).model_app(scope, receive, send)


def starlette_app(notes: list[str]) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        notes.append("app started")
        yield
        notes.append("app ended")

    return Starlette(lifespan=lifespan)


async def test_tools_live_as_long_as_the_app(server: Server) -> None:
    opened = Opened()
    app = ToolLoop(starlette_app(opened.notes), dispatcher=opened.tools(), tools=["echo"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, server.receive, server.send)
        assert (await server.say("lifespan.startup"))["type"] == "lifespan.startup.complete"
        assert (await server.say("lifespan.shutdown"))["type"] == "lifespan.shutdown.complete"
    assert opened.notes == ["opened", "app started", "app ended", "closed"]


async def test_an_app_without_a_lifespan_gets_its_tools_all_the_same(server: Server) -> None:
    opened = Opened()
    app = ToolLoop(plain_app, dispatcher=opened.tools(), tools=["echo"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, server.receive, server.send)
        assert (await server.say("lifespan.startup"))["type"] == "lifespan.startup.complete"
        assert (await answered(app, ASKED, headers=KEYED)).status == 200
        assert (await server.say("lifespan.shutdown"))["type"] == "lifespan.shutdown.complete"
    assert opened.notes == ["opened", "closed"]


async def test_tools_that_cannot_be_opened_fail_the_start_in_words(server: Server) -> None:
    opened = Opened()
    opened.fails = True
    app = ToolLoop(plain_app, dispatcher=opened.tools(), tools=["echo"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, server.receive, server.send)
        told = await server.say("lifespan.startup")
    assert told["type"] == "lifespan.startup.failed"
    assert told["message"] == "sandbox.engine_url: nobody is there."


async def test_names_that_no_tool_has_fail_the_start_with_the_nearest(server: Server) -> None:
    opened = Opened()
    for dispatcher in (opened.tools(), FakeDispatcher()):
        app = ToolLoop(plain_app, dispatcher=dispatcher, tools=("ecko", "nope"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan"}, server.receive, server.send)
            told = await server.say("lifespan.startup")
        assert told["type"] == "lifespan.startup.failed"
        assert told["message"].endswith("that the worker has: ecko (did you mean echo?), nope.")
    assert opened.notes == ["opened", "closed"]


async def test_a_worker_that_is_away_does_not_fail_the_start(server: Server) -> None:
    app = ToolLoop(plain_app, worker="127.0.0.1:1", tools=("nope",))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, server.receive, server.send)
        assert (await server.say("lifespan.startup"))["type"] == "lifespan.startup.complete"
        await server.say("lifespan.shutdown")


async def test_an_app_whose_own_start_fails_says_so_itself(server: Server) -> None:
    @asynccontextmanager
    async def broken(_: Any) -> AsyncGenerator[None, None]:
        raise ZeroDivisionError
        yield

    opened = Opened()
    app = ToolLoop(Starlette(lifespan=broken), dispatcher=opened.tools(), tools=["echo"])
    errors: list[BaseException] = []

    async def run() -> None:
        try:
            await app({"type": "lifespan"}, server.receive, server.send)
        except ZeroDivisionError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        assert (await server.say("lifespan.startup"))["type"] == "lifespan.startup.failed"
    assert len(errors) == 1


async def test_an_app_that_raises_in_its_start_is_not_said_to_have_started(server: Server) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ZeroDivisionError

    opened = Opened()
    looping = ToolLoop(app, dispatcher=opened.tools(), tools=["echo"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(raising, looping, server)
        await server.give("lifespan.startup")
    assert server.told == []
    assert opened.notes == ["opened", "closed"]


async def raising(app: Any, server: Server) -> None:
    with pytest.raises(ZeroDivisionError):
        await app({"type": "lifespan"}, server.receive, server.send)


async def test_tools_that_were_never_opened_are_told_as_unavailable() -> None:
    app = ToolLoop(plain_app, dispatcher=Opened().tools(), tools=["echo"])
    got = await answered(app, ASKED, headers=KEYED)
    assert got.status == 503
    assert "lifespan" in got.json["error"]["message"]


async def test_it_is_added_to_starlette_like_any_middleware() -> None:
    after: list[str] = []

    async def messages(request: Request) -> Response:
        turns = sum(one["role"] == "assistant" for one in (await request.json())["messages"])
        blocks = [{"type": "tool_use", "id": "toolu_1", "name": "echo", "input": {}}, DONE]
        message = {"type": "message", "role": "assistant", "content": [blocks[turns]]}
        message["stop_reason"] = ("tool_use", "end_turn")[turns]
        task = BackgroundTask(after.append, request.headers["x-api-key"])
        return JSONResponse(message, background=task)

    async def health(_: Request) -> Response:
        return PlainTextResponse("well")

    api = Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])
    app = Starlette(routes=[Route("/health", health), Mount("/api", api)])
    app.add_middleware(
        ToolLoop, dispatcher=FakeDispatcher(), tools=["echo"], paths=["/api/v1/messages"]
    )
    got = await answered(app, ASKED, path="/api/v1/messages", headers=KEYED)
    assert [block["type"] for block in got.json["content"]] == [
        "mcp_tool_use",
        "mcp_tool_result",
        "text",
    ]
    assert after == ["the-key", "the-key"]
    assert (await answered(app, path="/health", method="GET")).body == b"well"


DONE = {"type": "text", "text": "Done."}


async def test_a_streaming_response_of_starlette_is_streamed_on() -> None:
    model = looped(said("Let me see.", call("toolu_1")), said("Done."))

    async def messages(request: Request) -> Response:
        body = await request.body()
        played = model.model.answer(body, dict(request.headers))

        async def pieces() -> AsyncGenerator[bytes, None]:
            for piece in played.pieces:
                data = await model.model.in_time(piece)
                assert isinstance(data, bytes)
                yield data

        return StreamingResponse(pieces(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])
    app.add_middleware(ToolLoop, dispatcher=model.dispatcher, tools=["echo"])
    got = await answered(app, STREAMED, headers=KEYED)
    assert [data["type"] for data in got.events].count("content_block_start") == 4
