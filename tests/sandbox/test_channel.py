"""A channel moves bytes both ways, and its end is noticed at once."""

import socket

import anyio
import pytest

from auxot_tools.sandbox.channel import Channel

pytestmark = pytest.mark.anyio


class Response:
    closed = False

    def close(self) -> None:
        self.closed = True


def pair() -> tuple[Channel, socket.socket, Response]:
    ours, theirs = socket.socketpair()
    response = Response()
    return Channel(ours, response), theirs, response


async def test_more_than_a_buffer_is_sent_whole() -> None:
    channel, peer, _ = pair()
    data = bytes(range(256)) * 20_000
    received = bytearray()

    async def read() -> None:
        peer.setblocking(False)
        while len(received) < len(data):
            await anyio.wait_readable(peer)
            received.extend(peer.recv(65_536))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        assert await channel.send(data)
    assert bytes(received) == data
    channel.close()
    peer.close()


async def test_receive_gives_what_came_and_then_the_end() -> None:
    channel, peer, _ = pair()
    peer.sendall(b"hello")
    peer.close()
    assert await channel.receive() == b"hello"
    assert await channel.receive() == b""
    channel.close()


async def test_sending_to_nobody_is_told_and_not_raised() -> None:
    channel, peer, _ = pair()
    peer.close()
    assert not await channel.send(b"x" * 10)
    assert not channel.send_now(b"x")
    channel.close()


async def test_sending_now_never_waits() -> None:
    channel, peer, _ = pair()
    sent = 0
    while channel.send_now(b"x" * 4096):
        sent += 1
    assert sent > 0  # and we got here: a full buffer is an answer, not a wait
    channel.close()
    peer.close()


async def test_hanging_up_wakes_a_receiver_and_the_peer() -> None:
    channel, peer, response = pair()
    ends: list[bytes] = []

    async def receive() -> None:
        ends.append(await channel.receive())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            channel.hang_up()
    assert ends == [b""]
    assert peer.recv(1) == b""
    assert not response.closed
    channel.close()
    assert response.closed
    peer.close()


async def test_closing_twice_is_harmless() -> None:
    channel, peer, _ = pair()
    channel.close()
    channel.close()
    assert await channel.receive() == b""
    peer.close()
