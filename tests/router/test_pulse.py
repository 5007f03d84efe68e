"""A streamed answer: one start, one end, pings only in between and only in silence."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from auxot_tools.messages.events import event
from auxot_tools.router.pulse import PulsedStream, until_client_leaves

pytestmark = pytest.mark.anyio

HELLO = event({"type": "hello"})
BYE = event({"type": "bye"})


class Wire:
    """The server's side: what was sent, and a client that leaves when it is told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.left = anyio.Event()
        self.may_write = anyio.Event()
        self.may_write.set()

    async def send(self, message: Any) -> None:
        await self.may_write.wait()
        self.sent.append(message)

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if "body" in message]

    async def until(self, count: int) -> None:
        with anyio.fail_after(5):
            while len(self.sent) < count:
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def attended(wire: Wire, interval_s: float) -> AsyncGenerator[PulsedStream, None]:
    stream = PulsedStream(wire.send, interval_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(until_client_leaves, wire.receive, stream)
        yield stream
        tasks.cancel_scope.cancel()


async def test_events_that_are_known_together_leave_in_one_piece() -> None:
    wire = Wire()
    async with attended(wire, 60) as stream:
        await stream.opened({"x": "y"})
        await stream.emit([HELLO, HELLO])
        await stream.end([BYE])
    start, first, last = wire.sent
    assert (b"x", b"y") in start["headers"]
    assert first["body"].count(b"event: hello") == 2
    assert last == {
        "type": "http.response.body",
        "body": b'event: bye\ndata: {"type":"bye"}\n\n',
        "more_body": False,
    }


async def test_silence_is_filled_with_pings_that_begin_the_answer_if_need_be() -> None:
    wire = Wire()
    async with attended(wire, 0.02) as stream:
        await wire.until(3)
        await stream.opened({"too": "late"})
    assert wire.sent[0]["status"] == 200
    assert all(body.startswith(b"event: ping") for body in wire.bodies)


async def test_a_ping_that_waits_behind_the_last_events_is_not_sent() -> None:
    wire = Wire()
    stream = PulsedStream(wire.send, 60)
    await stream.opened({})
    wire.may_write = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.end, [BYE])
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(stream.ping)
        await anyio.wait_all_tasks_blocked()
        wire.may_write.set()
    assert [body[:11] for body in wire.bodies] == [b"event: bye\n"]
    assert stream.quiet_s_left > 0


async def test_it_is_known_when_the_client_leaves() -> None:
    wire = Wire()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_client_leaves, wire.receive, None)
            await anyio.wait_all_tasks_blocked()
            wire.left.set()
    assert wire.sent == []
