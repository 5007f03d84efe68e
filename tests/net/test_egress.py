"""The egress proxy over a real unix socket: what it lets through, and what it refuses, and how."""

from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from auxot_tools.errors import AuxotError, DeadlineExceeded, OutboundFailed, OutboundRefused
from auxot_tools.net.egress import EgressLimits, HostList
from auxot_tools.net.proxy_request import HEAD_LIMIT_BYTES
from tests.support.egress_box import (
    ANSWER,
    ESTABLISHED,
    HOSTS,
    TUNNEL,
    egress_box,
    everything,
    exactly,
)

pytestmark = pytest.mark.anyio


# -- the list


@pytest.mark.parametrize(
    ("host", "port", "is_allowed"),
    [
        ("example.org", 443, True),
        ("example.org", 80, True),
        ("example.org", 8443, True),
        ("example.org", 22, False),
        ("www.example.org", 443, False),
        ("example.org.evil.test", 443, False),
        ("notexample.org", 443, False),
        ("a.example.net", 443, True),
        ("a.b.example.net", 80, True),
        ("example.net", 443, False),
        ("aexample.net", 443, False),
        ("a.example.net", 8443, False),
        ("", 443, False),
        ("10.0.0.1", 80, True),
        ("10.0.0.2", 80, False),
        ("167772161", 80, False),
        ("10.1", 80, False),
        ("0x0a.0.0.1", 80, False),
        ("1.0.0.1", 80, False),  # what `*.0.0.1` covers is no name
        ("0x1.0.0.1", 80, False),
        ("::1", 443, False),
        ("::ffff:10.0.0.1", 80, False),
    ],
)
def test_a_list_holds_names_with_their_ports_and_addresses_as_they_are_written(
    host: str, port: int, is_allowed: bool
) -> None:
    hosts = HostList.of((*HOSTS, "10.0.0.1", "*.0.0.1"))
    assert hosts.allows(host, port) is is_allowed


def test_a_list_is_read_without_regard_to_case() -> None:
    assert HostList.of(["EXAMPLE.org"]).allows("example.org", 443)


@pytest.mark.parametrize(
    "bad", ["", "*", "*.", ":443", "a:b", "*example.org", "a.*.org", "a:", "."]
)
def test_what_is_no_host_is_no_entry(bad: str) -> None:
    with pytest.raises(ValueError):
        HostList.of(["example.org", bad])


def test_a_long_list_is_told_in_part() -> None:
    told = str(HostList.of([f"h{number}.test" for number in range(20)]))
    assert told == ", ".join(f"h{number}.test" for number in range(8)) + " and 12 more"


# -- what goes through


async def test_a_tunnel_carries_bytes_both_ways_until_both_have_ended(tmp_path: Path) -> None:
    async with egress_box(tmp_path) as out, out.client() as client:
        await client.send(TUNNEL + b"early")
        assert await exactly(client, len(ESTABLISHED) + 5) == ESTABLISHED + b"early"
        await client.send(b"later")
        await client.send_eof()  # the half that is left still carries what comes back
        assert await everything(client) == b"later"
        assert out.asked == [("example.org", 443)]


async def test_a_tunnel_carries_more_than_any_buffer_without_holding_it(tmp_path: Path) -> None:
    size = 8 * 2**20
    async with egress_box(tmp_path) as out, out.client() as client:
        await client.send(TUNNEL)
        await exactly(client, len(ESTABLISHED))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, b"x" * size)
            assert len(await exactly(client, size)) == size


async def test_a_reader_that_stops_stops_the_writer(tmp_path: Path) -> None:
    """What nobody reads is not collected by the proxy: the writer is held up instead."""
    sent = 0

    async def flood(stream: SocketStream) -> None:
        nonlocal sent
        async with stream:
            while True:
                await stream.send(b"x" * 2**16)
                sent += 2**16

    limits = EgressLimits(idle_s=0.5)
    async with egress_box(tmp_path, flood, limits=limits) as out, out.client() as client:
        await client.send(TUNNEL)
        await exactly(client, len(ESTABLISHED))
        with anyio.move_on_after(0.3):
            await anyio.sleep_forever()
        assert sent < 16 * 2**20, "only the buffers of the kernel are full"


async def test_a_request_goes_on_in_our_words(tmp_path: Path) -> None:
    got = b""

    async def serve(stream: SocketStream) -> None:
        nonlocal got
        async with stream:
            got = await stream.receive()
            await stream.send(ANSWER)

    async with egress_box(tmp_path, serve) as out:
        said = await out.ask(
            b"GET http://Example.ORG:8443/a%20b?c=d#e HTTP/1.1\r\nHost: evil.test\r\nX-One: 1\r\n"
            b"Proxy-Authorization: Basic eA==\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
            b"Upgrade: h2c\r\nTE: trailers\r\n\r\n"
        )
        assert out.asked == [("example.org", 8443)]
    assert said == ANSWER
    assert got.split(b"\r\n") == [
        b"GET /a%20b?c=d HTTP/1.1",
        b"Host: example.org:8443",
        b"X-One: 1",
        b"Connection: close",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    ("head", "body", "sent"),
    [
        (b"Content-Length: 4", b"data", b"data"),
        (
            b"Transfer-Encoding: chunked",
            b"4\r\ndata\r\n0\r\nX: y\r\n\r\n",
            b"4\r\ndata\r\n0\r\n\r\n",
        ),
    ],
)
async def test_a_body_goes_on_framed_anew(
    tmp_path: Path, head: bytes, body: bytes, sent: bytes
) -> None:
    got = b""

    async def serve(stream: SocketStream) -> None:
        nonlocal got
        async with stream:
            while not got.endswith(sent):
                got += await stream.receive()
            await stream.send(ANSWER)

    async with egress_box(tmp_path, serve) as out, out.client() as client:
        await client.send(b"POST http://example.org/ HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        for byte in body:
            await client.send(bytes([byte]))
        assert await everything(client) == ANSWER
    *lines, _, _ = got.removesuffix(sent).split(b"\r\n")
    assert lines[1:] == [b"Host: example.org", head, b"Connection: close"]


async def test_a_second_request_on_a_connection_goes_nowhere(tmp_path: Path) -> None:
    """Else it could name another host than the one that was allowed."""
    got = b""

    async def serve(stream: SocketStream) -> None:
        nonlocal got
        async with stream:
            async for data in stream:
                got += data

    first = b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n"
    async with egress_box(tmp_path, serve) as out:
        await out.ask(first + first.replace(b"org/", b"org/second"))
        async with out.client() as client:
            await client.send(first)
            await client.send(first.replace(b"org/", b"org/second"))
            await everything(client)
    assert b"second" not in got


# -- what does not


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"CONNECT other.test:443 HTTP/1.1\r\n\r\n", 403, "other.test:443"),
        (b"GET http://other.test/ HTTP/1.1\r\nHost: example.org\r\n\r\n", 403, "other.test:80"),
        (b"CONNECT example.org:22 HTTP/1.1\r\n\r\n", 403, "example.org:22"),
        (b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", 403, "127.0.0.1:443"),
        (b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n", 403, "[::1]:443"),
        (b"CONNECT [0:0::1]:443 HTTP/1.1\r\n\r\n", 403, "[::1]:443"),
        (b"CONNECT example.org HTTP/1.1\r\n\r\n", 400, "example.org:443"),
        (b"CONNECT example.org: HTTP/1.1\r\n\r\n", 400, "port"),
        (b"CONNECT example.org:0 HTTP/1.1\r\n\r\n", 400, "port"),
        (b"CONNECT example.org:65536 HTTP/1.1\r\n\r\n", 400, "port"),
        (b"CONNECT example.org:4 43 HTTP/1.1\r\n\r\n", 400, ""),
        (b"CONNECT :443 HTTP/1.1\r\n\r\n", 400, ""),
        (b"CONNECT [::1:443 HTTP/1.1\r\n\r\n", 400, ""),
        (b"CONNECT exam\x00ple.org:443 HTTP/1.1\r\n\r\n", 400, ""),
        (b"CONNECT ex\xc3\xa4mple.org:443 HTTP/1.1\r\n\r\n", 400, ""),
        (b"CONNECT a..example.net:443 HTTP/1.1\r\n\r\n", 400, "name of a host"),
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 400, "whole URL"),
        (b"GET example.org HTTP/1.1\r\n\r\n", 400, ""),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 400, ""),
        (b"GET https://example.org/ HTTP/1.1\r\n\r\n", 400, "CONNECT"),
        (b"GET ftp://example.org/ HTTP/1.1\r\n\r\n", 400, "http://"),
        (b"GET http://user:word@example.org/ HTTP/1.1\r\n\r\n", 400, "user name"),
        (b"GET http://example.org@other.test/ HTTP/1.1\r\n\r\n", 400, ""),
        (b"GET http://example.org:99999/ HTTP/1.1\r\n\r\n", 400, ""),
        (b"GET http:///path HTTP/1.1\r\n\r\n", 400, ""),
        (b"GET http://example.org/ HTTP/3.0\r\n\r\n", 400, ""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, 400, "not HTTP"),
        (b"\x05\x01\x00", 400, "not HTTP"),  # SOCKS
        (b"\x00" * 100, 400, "not HTTP"),
        (b"GET http://example.org/ HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT_BYTES, 431, "16 KiB"),
        (b"GET http://example.org/" + b"x" * HEAD_LIMIT_BYTES * 4, 431, "16 KiB"),
        (
            b"PUT http://example.org HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
            400,
            "not HTTP",
        ),
        (b"POST http://example.org/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, ""),
    ],
)
async def test_what_may_not_go_through_is_refused_with_words_and_reaches_nobody(
    tmp_path: Path, request_: bytes, status: int, words: str
) -> None:
    async with egress_box(tmp_path) as out:
        said = await out.ask(request_)
        assert out.asked == []
    head, _, text = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), said
    assert b"\r\nConnection: close" in head
    assert words in text.decode("ascii")
    assert text.endswith(b".\n")
    assert b"user:word" not in said


async def test_a_refusal_names_the_host_and_the_setting_in_the_status_line_too(
    tmp_path: Path,
) -> None:
    """Python shows of a refused tunnel only the status line."""
    async with egress_box(tmp_path) as out:
        said = await out.ask(b"CONNECT other.test:443 HTTP/1.1\r\n\r\n")
    line, *_, text = said.decode().split("\r\n")
    assert line == "HTTP/1.1 403 other.test:443 is not in the tool's setting network"
    assert text == (
        "This tool may not reach other.test:443. Its setting `network` allows only: example.org, "
        "*.example.net, example.org:8443.\n"
    )


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OutboundRefused("it is at 10.1.2.3"), 403, "not a public one"),
        (OutboundFailed("no such name", "not_found"), 502, "could not be reached"),
        (DeadlineExceeded("too slow"), 504, "in time"),
    ],
)
async def test_why_a_host_was_not_reached_is_told_without_its_address(
    tmp_path: Path, error: AuxotError, status: int, words: str
) -> None:
    async with egress_box(tmp_path, error=error) as out:
        said = (await out.ask(TUNNEL)).decode()
    assert said.startswith(f"HTTP/1.1 {status} example.org:443 ")
    assert words in said.partition("\r\n\r\n")[2]
    assert "10.1.2.3" not in said


async def test_a_refused_client_that_goes_on_sending_still_hears_why(tmp_path: Path) -> None:
    async with egress_box(tmp_path) as out, out.client() as client:
        await client.send(b"POST http://other.test/ HTTP/1.1\r\nContent-Length: 200000\r\n\r\n")
        await client.send(b"x" * 200000)
        assert (await everything(client)).startswith(b"HTTP/1.1 403 ")
