"""One connection with a scripted socket: a peer that answers no ping, or takes nothing."""

import json
from dataclasses import dataclass, field

import anyio
import pytest

from auxot_tools.connect.connection import MAX_OWED, Connection, Times
from auxot_tools.connect.frames import ToolJob
from auxot_tools.connect.jobs import MAX_UNSENT, Jobs, JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.errors import RemoteProtocolError
from auxot_tools.net.websocket import Message, Pong, WebSocketClosed
from tests.support.fake_dispatcher import FakeDispatcher

pytestmark = pytest.mark.anyio


@dataclass
class Peer:
    """A router that sends ``frames`` and then nothing; it answers no ping."""

    frames: list[bytes]
    sent: list[bytes] = field(default_factory=list)
    pings: int = 0

    async def send(self, data: bytes) -> None:
        self.sent.append(data)
        await anyio.lowlevel.checkpoint()

    async def ping(self, data: bytes) -> None:
        self.pings += 1
        await anyio.lowlevel.checkpoint()

    async def receive(self) -> Message | Pong:
        if not self.frames:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return Message(self.frames.pop(0))


def job(number: int) -> bytes:
    return json.dumps({"type": "tool_job", "job_id": f"j{number}", "tool_name": "none"}).encode()


async def connection(peer: Peer, tasks: anyio.abc.TaskGroup) -> Connection:
    dispatcher = FakeDispatcher()
    offered = Offered(dispatcher, ())
    await offered.refresh()
    return Connection(peer, Jobs(dispatcher, offered, JobSettings(), tasks), offered, 1, Times())


async def test_who_takes_results_and_confirms_none_is_left() -> None:
    peer = Peer([job(number) for number in range(MAX_OWED + 100)])
    async with anyio.create_task_group() as tasks:
        made = await connection(peer, tasks)
        with anyio.fail_after(20), pytest.raises(WebSocketClosed, match="it confirms none of"):
            await made.serve()
    assert peer.pings > 0
    assert len(peer.sent) <= MAX_OWED + 1


async def test_jobs_are_not_read_while_too_many_answers_are_not_taken() -> None:
    dispatcher = FakeDispatcher()
    offered = Offered(dispatcher, ())
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(dispatcher, offered, JobSettings(), tasks)
        taken = 0
        with anyio.move_on_after(0.2):
            while True:
                await jobs.take(ToolJob(f"j{taken}", tool_name="none"), 1)
                taken += 1
        assert taken == MAX_UNSENT - 1
        jobs.deliveries.next_to_send(1)
        jobs.changes.note()
        with anyio.move_on_after(0.2):
            await jobs.take(ToolJob("one more", tool_name="none"), 1)
        assert jobs.deliveries.unsent == MAX_UNSENT


@pytest.mark.parametrize("first", [b"{", b'{"type":"tool_job","job_id":"j"}', b'{"type":"x"}'])
async def test_what_comes_in_place_of_hello_ack_ends_it(first: bytes) -> None:
    async with anyio.create_task_group() as tasks:
        made = await connection(Peer([first]), tasks)
        with anyio.fail_after(5), pytest.raises(RemoteProtocolError):
            await made.greet("tls_x")
