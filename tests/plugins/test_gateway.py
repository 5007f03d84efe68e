"""The loop inside a gateway: from a changed request and a first answer to the client's message."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.errors import RequestError, Unavailable
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.events import message_events
from auxot_tools.plugins.gateway import Gateway, Held
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.services import RouterLimits
from auxot_tools.types import JSON
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.played_upstream import sse

pytestmark = pytest.mark.anyio

ASKED: JSON = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
OWN: JSON = {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}
TENANT = "tenant"


def gateway(dispatcher: FakeDispatcher, *, show: bool = True, ping_s: float = 10.0) -> Gateway:
    return Gateway(
        dispatcher,
        Catalogue(dispatcher, [tool.spec.name for tool in dispatcher.tools]),
        LoopSettings(show_calls=show),
        RouterLimits(ping_interval_s=ping_s),
        KeptHistory(is_hiding=not show),
    )


def message(*blocks: JSON) -> JSON:
    calls = any(block["type"] == "tool_use" for block in blocks)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(blocks),
        "stop_reason": "tool_use" if calls else "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def words(text: str) -> JSON:
    return {"type": "text", "text": text}


def use(tool_use_id: str, name: str = "echo") -> JSON:
    return {"type": "tool_use", "id": tool_use_id, "name": name, "input": {"a": 1}}


class Asked:
    """The gateway asked again: its bodies, and what it answers."""

    def __init__(self, *answers: JSON | Exception, stream: bool = False) -> None:
        self.bodies: list[JSON] = []
        self._answers = list(answers)
        self._stream = stream
        self.streams: list[Streaming] = []

    async def __call__(self, body: JSON) -> Any:
        self.bodies.append(body)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if not self._stream:
            return answer
        self.streams.append(Streaming(answer))
        return self.streams[-1]


class Streaming:
    """A message as a gateway streams it, one piece for each event, and an end of its own."""

    def __init__(self, told: JSON, form: str = "bytes") -> None:
        self._pieces = list(message_events(told))
        self._form = form
        self.is_at_its_end = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._pieces:
            self.is_at_its_end = True
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        forms = {"bytes": sse([piece]), "text": sse([piece]).decode(), "dict": piece.data}
        return forms[self._form]


async def taken(pieces: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])


def kinds(stream: bytes) -> list[str]:
    lines = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith(b"data:")]
    return [one["type"] for one in lines]


async def held_of(place: Gateway, body: JSON = ASKED) -> Held:
    return await place.hold(body, TENANT, {})


async def test_a_request_is_offered_our_tools_beside_its_own() -> None:
    held = await held_of(gateway(FakeDispatcher()), ASKED | {"tools": [OWN]})
    assert [tool["name"] for tool in held.changes["tools"]] == ["read", "echo"]
    assert held.changes["messages"] == ASKED["messages"]
    assert held.has_call_of_ours(message(use("toolu_1")))
    assert not held.has_call_of_ours(message(use("toolu_1", "read")))


async def test_a_tool_that_the_client_declares_is_not_ours() -> None:
    held = await held_of(gateway(FakeDispatcher()), ASKED | {"tools": [OWN | {"name": "echo"}]})
    assert not held.has_call_of_ours(message(use("toolu_1")))
    assert len(held.changes["tools"]) == 1


@pytest.mark.parametrize("odd", [None, "text", {}, {"content": None}, {"content": ["x", {}]}])
async def test_what_is_no_message_calls_no_tool(odd: Any) -> None:
    held = await held_of(gateway(FakeDispatcher()))
    assert not held.has_call_of_ours(odd)


async def test_what_is_no_request_is_refused_for_the_gateway_to_tell() -> None:
    with pytest.raises(RequestError):
        await held_of(gateway(FakeDispatcher()), {"model": "m"})


async def test_a_worker_that_was_never_there_is_told() -> None:
    place = gateway(FakeDispatcher(list_error=Unavailable("not there")))
    with pytest.raises(Unavailable):
        await held_of(place)


async def test_a_blocking_answer_is_completed() -> None:
    dispatcher = FakeDispatcher()
    place, asked = gateway(dispatcher), Asked(message(words("Done.")))
    first = message(words("Hm."), use("toolu_1"))
    told = await place.answer(await held_of(place), first, asked)
    assert told is not None
    shown = ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert [block["type"] for block in told["content"]] == shown
    assert told["usage"] == {"input_tokens": 6, "output_tokens": 4}
    assert [call.tenant for call in dispatcher.calls] == [TENANT]
    (body,) = asked.bodies
    assert body["messages"][1] == {"role": "assistant", "content": first["content"]}
    assert body["messages"][2]["content"][0]["tool_use_id"] == "toolu_1"


async def test_what_the_gateway_raises_is_kept_for_it() -> None:
    place, refusal = gateway(FakeDispatcher()), ZeroDivisionError()
    held = await held_of(place)
    assert await place.answer(held, message(use("toolu_1")), Asked(refusal)) is None
    assert held.failure is refusal


@pytest.mark.parametrize("form", ["bytes", "text", "dict"])
async def test_a_stream_goes_on_over_all_turns(form: str) -> None:
    place, asked = gateway(FakeDispatcher()), Asked(message(words("Done.")), stream=True)
    first = Streaming(message(words("Hm."), use("toolu_1")), form)
    held = await held_of(place, ASKED | {"stream": True})
    told = kinds(await taken(place.stream(held, first, asked)))
    assert told.count("message_start") == told.count("message_stop") == 1
    assert told.count("content_block_start") == 4
    assert asked.bodies[0]["stream"] is True


async def test_the_gateways_streams_are_read_to_their_end() -> None:
    place, asked = gateway(FakeDispatcher()), Asked(message(words("Done.")), stream=True)
    first = Streaming(message(use("toolu_1")))
    await taken(place.stream(await held_of(place, ASKED | {"stream": True}), first, asked))
    assert first.is_at_its_end
    assert asked.streams[0].is_at_its_end


async def test_pieces_leave_before_the_tool_has_run_and_pings_while_it_runs() -> None:
    gate = anyio.Event()
    place = gateway(FakeDispatcher([FakeTool(tool_spec("echo"), until=gate)]), ping_s=0.02)
    first = Streaming(message(words("Hm."), use("toolu_1")))
    held = await held_of(place, ASKED | {"stream": True})
    got = b""
    pieces = place.stream(held, first, Asked(message(words("Done.")), stream=True))
    async with aclosing(pieces):
        with anyio.fail_after(5):
            async for piece in pieces:
                got += piece
                if not gate.is_set() and b"mcp_tool_use" in got and b"ping" in got:
                    assert b"mcp_tool_result" not in got
                    gate.set()
    assert kinds(got)[-1] == "message_stop"


async def test_a_later_refusal_is_the_streams_last_event_with_its_status() -> None:
    class Busy(Exception):
        status_code = 429

    place = gateway(FakeDispatcher())
    first = Streaming(message(words("Hm."), use("toolu_1")))
    held = await held_of(place, ASKED | {"stream": True})
    got = await taken(place.stream(held, first, Asked(Busy("secret"), stream=True)))
    assert kinds(got)[-1] == "error"
    assert b"rate_limit_error" in got
    assert b"secret" not in got


async def test_a_piece_that_cannot_be_read_ends_the_stream_with_an_error() -> None:
    class Odd:
        def __aiter__(self) -> AsyncIterator[object]:
            return self

        async def __anext__(self) -> object:
            return 7

    place = gateway(FakeDispatcher())
    got = await taken(place.stream(await held_of(place), Odd(), Asked()))
    assert kinds(got) == ["error"]


async def test_a_stream_that_is_left_ends_its_tools() -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    place = gateway(dispatcher)
    first = Streaming(message(use("toolu_1")))
    async with aclosing(place.stream(await held_of(place), first, Asked())) as pieces:
        async for piece in pieces:
            if b"mcp_tool_use" in piece:
                await dispatcher.until(lambda tools: tools.running == 1)
                break
    assert dispatcher.cancelled == ["toolu_1"]


async def test_a_stream_that_is_left_is_closed_at_once() -> None:
    is_closed = anyio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            yield sse(list(message_events(message(words("One, two"))))[:3])
            while True:
                yield b'event: ping\ndata: {"type": "ping"}\n\n'
        finally:
            is_closed.set()

    first = endless()  # kept here: it is not closed for want of a holder
    place = gateway(FakeDispatcher())
    async with aclosing(place.stream(await held_of(place), first, Asked())) as pieces:
        await anext(pieces)
    assert is_closed.is_set()


async def test_hidden_calls_are_found_again_in_the_next_request() -> None:
    place = gateway(FakeDispatcher((echo_tool(),)), show=False)
    told = await place.answer(
        await held_of(place), message(words("Hm."), use("toolu_1")), Asked(message(words("One.")))
    )
    assert told is not None
    history = [
        *ASKED["messages"],
        {"role": "assistant", "content": told["content"]},
        {"role": "user", "content": "and?"},
    ]
    held = await held_of(place, ASKED | {"messages": history})
    assert held.changes["messages"][1]["content"][1]["id"] == "toolu_1"
    assert held.sent_messages == 5
