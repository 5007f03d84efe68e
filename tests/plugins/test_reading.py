"""Bodies that are being read hold places of nobody, and bounded memory together."""

from typing import Any

import anyio
import pytest

from auxot_tools.errors import Overloaded
from auxot_tools.plugins.reading import Reading
from auxot_tools.router.services import RouterLimits
from tests.support.asgi_client import answered
from tests.support.looped_app import ASKED, KEYED, looped, said

pytestmark = pytest.mark.anyio

MOST = 1000


class Sending:
    """A client that sends these pieces, and then keeps everybody waiting."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.is_silent = anyio.Event()
        self.may_end = anyio.Event()

    async def receive(self) -> Any:
        if self._pieces:
            return {"type": "http.request", "body": self._pieces.pop(0), "more_body": True}
        self.is_silent.set()
        await self.may_end.wait()
        return {"type": "http.request", "body": b"", "more_body": False}


async def test_clients_that_send_nothing_keep_nobody_out() -> None:
    place = looped(said("Hi."), limits=RouterLimits(max_concurrent_requests=1))
    idle = [Sending(b"{") for _ in range(3)]
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}

    async def send(_: Any) -> None:
        raise AssertionError("nothing is said to them")

    async with anyio.create_task_group() as tasks:
        for one in idle:
            tasks.start_soon(place.app, scope, one.receive, send)
        with anyio.fail_after(5):
            for one in idle:
                await one.is_silent.wait()
        assert (await answered(place.app, ASKED, headers=KEYED)).status == 200
        tasks.cancel_scope.cancel()


async def test_the_largest_of_too_much_is_refused_and_the_others_are_read() -> None:
    reading = Reading(max_bytes=2 * MOST)
    greedy, small = Sending(b"g" * MOST, b"g" * (MOST - 10)), Sending(b"s" * 9)
    refused: list[Overloaded] = []
    read: list[bytes] = []

    async def read_greedy() -> None:
        try:
            await reading.body(greedy.receive, 2 * MOST)
        except Overloaded as error:
            refused.append(error)

    async def read_small() -> None:
        read.append(await reading.body(small.receive, MOST))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_greedy)
        await greedy.is_silent.wait()
        tasks.start_soon(read_small)
        await small.is_silent.wait()
        assert refused == []
        third = Sending(b"third")
        third.may_end.set()
        assert await reading.body(third.receive, MOST) == b"third"
        small.may_end.set()
    assert (len(refused), read) == (1, [b"s" * 9])


async def test_what_was_read_counts_no_more() -> None:
    reading = Reading(max_bytes=MOST)
    for _ in range(3):
        client = Sending(b"x" * MOST)
        client.may_end.set()
        assert len(await reading.body(client.receive, MOST)) == MOST
