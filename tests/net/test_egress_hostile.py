"""The egress proxy and clients that want no good: each gets a clean end, and is bounded."""

import socket
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from auxot_tools.net.egress import EgressLimits
from auxot_tools.net.unix_socket import UnixStream
from tests.support.egress_box import (
    ESTABLISHED,
    PATIENCE_S,
    TUNNEL,
    egress_box,
    everything,
    exactly,
)

pytestmark = pytest.mark.anyio


async def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async with egress_box(tmp_path, limits=EgressLimits(head_s=0.1)) as out:
        for beginning in (b"", b"CONNECT example.org:443 HTTP/1.1\r\nA: "):
            async with out.client() as client:
                await client.send(beginning)
                assert (await everything(client)).startswith(b"HTTP/1.1 408 ")


async def test_a_tunnel_in_which_nothing_moves_is_closed(tmp_path: Path) -> None:
    async with (
        egress_box(tmp_path, limits=EgressLimits(idle_s=0.1)) as out,
        out.client() as client,
    ):
        await client.send(TUNNEL)
        assert await everything(client) == ESTABLISHED


async def test_a_tunnel_has_an_end_also_when_something_always_moves(tmp_path: Path) -> None:
    async def drip(stream: SocketStream) -> None:
        async with stream:
            while True:
                await stream.send(b"x")
                await anyio.sleep(0.02)

    async with (
        egress_box(tmp_path, drip, limits=EgressLimits(total_s=0.3)) as out,
        out.client() as client,
    ):
        await client.send(TUNNEL)
        assert (await everything(client)).startswith(ESTABLISHED)


async def test_connections_are_bounded_and_those_beyond_are_told(tmp_path: Path) -> None:
    limits = EgressLimits(connections=3, slot_wait_s=0.2)
    async with egress_box(tmp_path, limits=limits) as out:
        held = [out.client() for _ in range(3)]
        for client in held:
            await client.send(TUNNEL)
            await exactly(client, len(ESTABLISHED))
        for _ in range(3):
            said = await out.ask(b"")
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"All 3 connections" in said
        for client in held:
            await client.aclose()
        assert (await out.ask(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_one_connection_more_waits_for_a_free_place(tmp_path: Path) -> None:
    limits = EgressLimits(connections=1, slot_wait_s=PATIENCE_S)
    async with egress_box(tmp_path, limits=limits) as out, out.client() as second:
        first = out.client()
        # Whichever was taken first: ending one lets the other through.
        await first.send(TUNNEL)
        await second.send(TUNNEL)
        await second.send_eof()
        await first.send_eof()
        assert await everything(first) == ESTABLISHED
        assert await everything(second) == ESTABLISHED
        await first.aclose()


async def test_who_connects_again_and_again_is_slowed_down(tmp_path: Path) -> None:
    limits = EgressLimits(per_s=20, burst=2)
    async with egress_box(tmp_path, limits=limits) as out:
        began = anyio.current_time()
        for _ in range(8):
            await out.ask(b"\x00")
        assert anyio.current_time() - began > 5 / 20


async def test_the_end_ends_every_connection_and_the_socket(tmp_path: Path) -> None:
    async with egress_box(tmp_path) as out, out.client() as client, out.client() as silent:
        await client.send(TUNNEL)
        await exactly(client, len(ESTABLISHED))
        out.scope.cancel()
        assert (await everything(client), await everything(silent)) == (b"", b"")
        with anyio.fail_after(PATIENCE_S):
            await out.is_over.wait()
        with pytest.raises(OSError):
            out.client()


async def test_a_client_that_leaves_at_any_moment_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with egress_box(tmp_path) as out:
        for length in range(0, len(TUNNEL) + 8, 7):
            async with out.client() as client:
                await client.send((TUNNEL + b"12345678")[:length])
        assert (await out.ask(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert "broke the proxy" not in caplog.text


async def test_descriptors_that_a_client_sends_along_are_dropped(tmp_path: Path) -> None:
    reading, writing = socket.socketpair()
    async with egress_box(tmp_path) as out:
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(out.path))
        socket.send_fds(raw, [TUNNEL], [writing.fileno()])
        writing.close()
        async with UnixStream(raw) as client, UnixStream(reading) as other:
            await exactly(client, len(ESTABLISHED))
            assert await everything(other) == b"", "nobody holds the other end"


async def test_two_boxes_have_two_lists(tmp_path: Path) -> None:
    async with (
        egress_box(tmp_path, hosts=("one.test",), name="1") as one,
        egress_box(tmp_path, hosts=("two.test",), name="2") as two,
    ):
        ask = b"CONNECT %b.test:443 HTTP/1.1\r\n\r\n"
        assert (await two.ask(ask % b"one")).startswith(b"HTTP/1.1 403 ")
        assert (await one.ask(ask % b"two")).startswith(b"HTTP/1.1 403 ")
        assert (one.asked, two.asked) == ([], [])
