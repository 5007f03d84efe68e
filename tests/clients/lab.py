"""The router under test between a real client and a scripted upstream, all on real sockets.

One job: start them, and remember what the client sent to the router and what the router sent on.
It must not know which client it is.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from auxot_tools.assembly.serving import serving
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, Script, Turn
from auxot_tools.scripted.server import scripted_app
from auxot_tools.types import JSON, ToolCall
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import http_model, running_router

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PING = b"event: ping"


@dataclass
class Received:
    """One request of the client, as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes = b""
    status: int = 0
    pings: int = 0

    @property
    def body(self) -> JSON:
        parsed: JSON = json.loads(self.raw)
        return parsed

    @property
    def is_stream(self) -> bool:
        return self.body.get("stream") is True


@dataclass
class Recorder:
    """An ASGI app before ours that changes nothing and remembers every request."""

    app: Any
    received: list[Received] = field(default_factory=list)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        seen = Received(scope["method"], scope["path"], headers)
        self.received.append(seen)

        async def noting_receive() -> Message:
            message = await receive()
            seen.raw += message.get("body", b"")
            return message

        async def noting_send(message: Message) -> None:
            seen.status = message.get("status", seen.status)
            seen.pings += message.get("body", b"").count(PING)
            await send(message)
            self._changed.set()
            self._changed = anyio.Event()

        await self.app(scope, noting_receive, noting_send)

    async def until(self, reached: Callable[[list[Received]], bool], within_s: float) -> None:
        """Wait until `reached` holds; raises ``TimeoutError`` after `within_s`."""
        with anyio.fail_after(within_s):
            while not reached(self.received):
                await self._changed.wait()


@dataclass(frozen=True)
class Call:
    """A `tool_use` as the upstream saw it, and the text of the `tool_result` that it got."""

    tool_use_id: str
    name: str
    input: JSON
    result: str


@dataclass(frozen=True)
class Lab:
    """A client's address, and the record of what happened behind it."""

    origin: str
    model: ScriptedModel
    dispatcher: FakeDispatcher
    recorder: Recorder

    @property
    def posts(self) -> list[Received]:
        """What the client asked, in order."""
        return [seen for seen in self.recorder.received if seen.method == "POST"]

    @property
    def answered(self) -> list[Received]:
        """The requests of the client that got an answer.

        Not those that it refused as it must: message threads, from which the SDK finds back.
        """
        return [seen for seen in self.posts if seen.status == 200]

    def upstream(self, number: int) -> JSON:
        """The body of an upstream request, counted from 0; -1 is the last."""
        parsed: JSON = json.loads(self.model.requests[number])
        return parsed

    def rounds(self, number: int) -> list[list[Call]]:
        """The calls of each assistant turn of an upstream request, each with its result.

        Asserts what the Messages API demands: the results of a turn are first in the one message
        that follows it, a user's, in `tool_use` order, and nowhere else.
        """
        messages = self.upstream(number)["messages"]
        found = []
        results_seen = 0
        for message, following in zip(messages, [*messages[1:], None], strict=True):
            uses = blocks_of(message, "tool_use")
            results_seen += len(blocks_of(message, "tool_result"))
            if not uses:
                continue
            assert message["role"] == "assistant"
            assert following is not None, "calls without results"
            assert following["role"] == "user"
            results = following["content"][: len(uses)]
            ids = [use["id"] for use in uses]
            assert [block.get("tool_use_id") for block in results] == ids, following["content"]
            found.append(
                [
                    Call(use["id"], use["name"], use["input"], text_of(result["content"]))
                    for use, result in zip(uses, results, strict=True)
                ]
            )
        assert results_seen == sum(len(calls) for calls in found), messages
        return found

    def assistant_texts(self, number: int) -> list[str]:
        """What an upstream request says that the model said."""
        messages = self.upstream(number)["messages"]
        return [text_of(each["content"]) for each in messages if each["role"] == "assistant"]


def blocks_of(message: JSON, kind: str) -> list[JSON]:
    content = message["content"]
    return [] if isinstance(content, str) else [b for b in content if b.get("type") == kind]


def text_of(content: str | Sequence[JSON]) -> str:
    """The text of a message's or a result's content, which may be one or a list of blocks."""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


def echo(**more: Any) -> FakeTool:
    """A tool that answers with its input, spelled the same whether the upstream streamed it."""
    return FakeTool(tool_spec("echo"), reply=_spelled, **more)


def _spelled(call: ToolCall) -> str:
    return json.dumps(json.loads(call.input_json), ensure_ascii=False)


@asynccontextmanager
async def running_lab(
    tmp_path: Path,
    *turns: Turn,
    script: Script | None = None,
    dispatcher: FakeDispatcher | None = None,
    limits: RouterLimits | None = None,
    settings: LoopSettings | None = None,
) -> AsyncGenerator[Lab, None]:
    """The router in front of an upstream that plays `script`, or `turns`, one for each request."""
    model = ScriptedModel(script or Scenario(turns=turns))
    tools = dispatcher or FakeDispatcher([echo()])
    async with (
        serving(scripted_app(model)) as upstream,
        http_model(upstream) as client,
        running_router(
            tmp_path / "router", client, tools, limits=limits, settings=settings
        ) as router,
    ):
        recorder = Recorder(router.app)
        async with serving(recorder) as origin:
            yield Lab(origin, model, tools, recorder)
