"""An upstream over real HTTP that sends the bytes it is told to, behind a router for many cases.

Each case is a model of its own, with a provider of its own: what one case breaks is not counted
against the next.
"""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import anyio

from auxot_tools.assembly.serving import serving
from auxot_tools.dialects.anthropic.sse import encode_event
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.messages.events import Event
from auxot_tools.net.http import HttpTimeouts
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.server import Receive, Send
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import KEY, Router, http_model, running_router

CASES = 1000
ANSWER_S = 10.0
PINGS = 3  # after so many an answer that waits for it begins


@dataclass(frozen=True)
class Played:
    """One answer of the upstream. It `ends` properly, or its connection drops, or it stalls."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    ends: Literal["properly", "cut", "stalls"] = "properly"
    begins: anyio.Event | None = None  # nothing at all is sent before


@dataclass
class Upstream:
    """An ASGI app that plays answers: those of the model that a request names, in order."""

    answers: dict[str, list[Played]] = field(default_factory=dict)
    bodies: dict[str, list[Any]] = field(default_factory=dict)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        whole, more = b"", True
        while more:
            message = await receive()
            whole += message.get("body", b"")
            more = message.get("more_body", False)
        body = json.loads(whole)
        self.bodies[body["model"]].append(body)
        answer = self.answers[body["model"]].pop(0)
        if answer.begins is not None:
            await answer.begins.wait()
        headers = {"content-type": answer.content_type} | answer.headers
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        if answer.ends == "stalls":
            while (await receive())["type"] != "http.disconnect":
                continue
        elif answer.ends == "properly":
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def sse(events: Iterable[Event]) -> bytes:
    return b"".join(map(encode_event, events))


def refusal(status: int, kind: str, message: str, **headers: str) -> Played:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Played(json.dumps(error).encode(), status, named, "application/json")


@dataclass(frozen=True)
class Answered:
    """What the client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: list[Any]  # the bodies that the upstream got

    @property
    def events(self) -> list[Any]:
        lines = self.body.splitlines()
        return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]

    @property
    def kinds(self) -> list[str]:
        return [data["type"] for data in self.events if data["type"] != "ping"]

    @property
    def error(self) -> Any:
        """The error, be it the body or the last event."""
        told = self.events[-1] if self.events else json.loads(self.body)
        assert told["request_id"] == self.headers["request-id"]
        return told["error"]

    @property
    def message(self) -> Any:
        assert self.status == 200, self.body
        return json.loads(self.body)


@dataclass(frozen=True)
class Place:
    """A router with its upstream and its tools."""

    router: Router
    upstream: Upstream
    dispatcher: FakeDispatcher
    session: aiohttp.ClientSession
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(CASES)))

    def case(self, *answers: Played) -> str:
        """A model that has these answers, one for each request."""
        name = f"case-{next(self.numbers)}"
        self.upstream.answers[name], self.upstream.bodies[name] = list(answers), []
        return name

    async def ask(self, *answers: Played, stream: bool, **more: Any) -> Answered:
        """One request, for which the upstream has these answers.

        Those of them that wait begin after a few pings.
        """
        model = self.case(*answers)
        asked = {"model": model, "max_tokens": 1000, "stream": stream} | more
        asked["messages"] = [{"role": "user", "content": "hi"}]
        body = bytearray()
        with anyio.fail_after(ANSWER_S):
            async with self.session.post(self.router.messages_url, json=asked) as response:
                async for line in response.content:
                    body += line
                    if body.count(b"event: ping") >= PINGS:
                        _begin(answers)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status, headers, bytes(body), self.upstream.bodies[model])

    def calls_of(self, tool_use_id: str) -> int:
        return sum(call.tool_use_id == tool_use_id for call in self.dispatcher.calls)


def _begin(answers: Sequence[Played]) -> None:
    for answer in answers:
        if answer.begins is not None:
            answer.begins.set()


@asynccontextmanager
async def running_place(folder: Path, *, idle_s: float) -> AsyncGenerator[Place, None]:
    """A router that pings after 50 ms, whose upstream may be silent for `idle_s`."""
    upstream, dispatcher = Upstream(), FakeDispatcher()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(upstream))
        timeouts = HttpTimeouts(idle_s=idle_s)
        model = await stack.enter_async_context(http_model(url, timeouts=timeouts))
        names = [f"case-{number}" for number in range(CASES)]
        running = running_router(
            folder,
            model,
            dispatcher,
            limits=RouterLimits(ping_interval_s=0.05),
            providers=Providers([Provider(name, model, [name]) for name in names]),
        )
        router = await stack.enter_async_context(running)
        session = aiohttp.ClientSession(headers={"x-api-key": KEY})
        await stack.enter_async_context(session)
        yield Place(router, upstream, dispatcher, session)


def check_stream(answered: Answered) -> str:
    """A stream is in order up to its end; how it ended."""
    assert answered.status == 200
    *before, last = answered.kinds
    assert last in ("message_stop", "error")
    assert not {"message_stop", "error"} & set(before)
    assert before[:1] in ([], ["message_start"])
    assert before.count("message_start") <= 1
    started, open_blocks = 0, set()
    for data in answered.events:
        if data["type"] == "content_block_start":
            assert data["index"] == started
            open_blocks.add(started)
            started += 1
        elif data["type"] == "content_block_delta":
            assert data["index"] in open_blocks
        elif data["type"] == "content_block_stop":
            open_blocks.remove(data["index"])
    if last == "message_stop":
        assert not open_blocks
        assert before[-1] == "message_delta"
    else:
        assert answered.error["message"]
    return last
