"""Requests that are sent exactly, answers with their times, and each kind of failure."""

import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute

from auxot_tools.errors import Unavailable
from auxot_tools.net.exact import (
    ExactAnswer,
    ExactClient,
    ExactLimits,
    ExchangeFailed,
    FailureKind,
    Piece,
)
from tests.support.raw_server import Answer, Asked, RawServer, raw_server, reply, send

pytestmark = pytest.mark.anyio

LIMITS = ExactLimits(connect_s=1, first_byte_s=1, idle_s=1, max_bytes=2**20)
QUICK = ExactLimits(connect_s=0.2, first_byte_s=0.2, idle_s=0.2, max_bytes=2**20)
LONG_S = 20.0
ADDED = {"host", "accept-encoding", "content-length", "connection"}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def whole(
    server: RawServer, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[ExactAnswer, bytes]:
    async with ExactClient(LIMITS) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with client.send(method, server.url("/a?b=c"), named, body) as answer:
            return answer, await answer.body()


async def failure(
    url: str, limits: ExactLimits = LIMITS, context: ssl.SSLContext | None = None
) -> ExchangeFailed:
    """How a request fails, before its answer or within it."""
    with pytest.raises(ExchangeFailed) as caught:
        async with (
            ExactClient(limits, context) as client,
            client.send("POST", url, {"x-api-key": "the-secret"}, b"{}") as answer,
        ):
            await answer.body()
    assert "the-secret" not in str(caught.value)
    return caught.value


async def failure_of(answer: Answer, limits: ExactLimits = LIMITS) -> FailureKind:
    async with raw_server(answer) as server:
        return (await failure(server.url(), limits)).kind


@contextmanager
def free_port() -> Iterator[int]:
    """A port that is taken by nobody who listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def hang(_asked: Asked, _stream: ByteStream) -> None:
    await anyio.sleep(LONG_S)


# What is sent.


async def test_only_what_was_said_is_sent() -> None:
    async with raw_server(reply(b"ok")) as server:
        await whole(server, "POST", b"body", x_one="1")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/a?b=c", b"body")
    assert asked.headers.keys() == ADDED | {"x-one"}
    assert asked.headers["accept-encoding"] == "identity"


async def test_a_header_that_is_named_wins_over_ours() -> None:
    async with raw_server(reply(b"ok")) as server:
        await whole(server, Accept_Encoding="gzip")
    assert server.asked[0].headers["accept-encoding"] == "gzip"


async def test_a_large_body_is_sent_whole_with_its_length() -> None:
    body = b"x" * 1_500_000
    async with raw_server(reply(b"ok")) as server:
        await whole(server, "POST", body)
    assert server.asked[0].body == body
    assert server.asked[0].headers["content-length"] == str(len(body))


async def test_each_request_has_a_connection_of_its_own() -> None:
    async def keep(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await stream.receive()

    async with raw_server(keep) as server, ExactClient(LIMITS) as client:
        for _ in range(2):
            async with client.send("GET", server.url()) as answer:
                assert await answer.body() == b""
    assert len(server.asked) == 2


# What came.


async def test_status_headers_and_body_are_as_they_came() -> None:
    data = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc"
    async with raw_server(send(data)) as server:
        answer, body = await whole(server)
    assert (answer.status, body) == (418, b"abc")
    assert answer.header_pairs[:2] == (("X-A", "1"), ("x-a", "2"))
    assert answer.headers["x-a"] == "1"


async def test_a_redirect_is_not_followed() -> None:
    async with raw_server(reply(status="307 Moved", Location="/elsewhere")) as server:
        answer, _ = await whole(server)
    assert answer.status == 307
    assert len(server.asked) == 1


async def test_cookies_are_not_kept() -> None:
    async with raw_server(reply(Set_Cookie="a=b")) as server, ExactClient(LIMITS) as client:
        for _ in range(2):
            async with client.send("GET", server.url(host="localhost")):
                pass
    assert all("cookie" not in one.headers for one in server.asked)


async def test_pieces_have_the_times_of_their_coming() -> None:
    came = anyio.Event()

    async def in_two(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(CHUNKED + chunk(b"one"))
        with anyio.fail_after(LONG_S):
            await came.wait()
        await stream.send(chunk(b"two") + chunk(b""))

    pieces: list[Piece] = []
    async with (
        raw_server(in_two) as server,
        ExactClient(LIMITS) as client,
        client.send("GET", server.url()) as answer,
    ):
        async for piece in answer.pieces():
            pieces.append(piece)
            came.set()
    assert [piece.data for piece in pieces] == [b"one", b"two"]
    assert 0 < answer.at_s <= pieces[0].at_s <= pieces[1].at_s


async def test_a_body_is_cut_at_the_limit() -> None:
    limits = ExactLimits(1, 1, 1, max_bytes=10)
    async with (
        raw_server(reply(b"0123456789abcdef")) as server,
        ExactClient(limits) as client,
        client.send("GET", server.url()) as answer,
    ):
        assert await answer.body() == b"0123456789"


async def test_a_compressed_body_is_plain_and_its_header_stays() -> None:
    body = gzip.compress(b"plain")
    async with raw_server(reply(body, Content_Encoding="gzip")) as server:
        answer, plain = await whole(server)
    assert plain == b"plain"
    assert answer.headers["content-encoding"] == "gzip"


async def test_a_small_body_that_becomes_a_huge_one_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 2**26)
    async with raw_server(reply(bomb, Content_Encoding="gzip")) as server:
        _, plain = await whole(server)
    assert len(plain) == LIMITS.max_bytes


# Each kind of failure.


async def test_a_name_that_is_not_known() -> None:
    assert (await failure("http://no-such-host.invalid/")).kind is FailureKind.NAME


async def test_nobody_listens() -> None:
    with free_port() as port:
        for host in ("127.0.0.1", "localhost"):
            found = await failure(f"http://{host}:{port}/")
            assert found.kind is FailureKind.REFUSED


async def test_there_is_no_way() -> None:
    found = await failure("http://[2001:db8::1]:9/", QUICK)  # an address for documentation
    assert found.kind in {FailureKind.UNREACHABLE, FailureKind.TIMED_OUT}


async def test_no_answer_in_time() -> None:
    assert await failure_of(hang, QUICK) is FailureKind.TIMED_OUT


async def test_no_connection_in_time_is_told_from_no_answer() -> None:
    with socket.socket() as full:  # a listener whose line is full takes no connection
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.socket() as first, socket.socket() as second:
            for waiting in (first, second):
                waiting.setblocking(False)
                waiting.connect_ex(address)
            limits = ExactLimits(connect_s=0.2, first_byte_s=5, idle_s=1)
            found = await failure(f"http://127.0.0.1:{address[1]}/", limits)
    assert found.kind is FailureKind.TIMED_OUT
    assert str(found) == "no connection in time"


async def test_a_body_that_stops_coming() -> None:
    async def stall(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(CHUNKED + chunk(b"one"))
        await anyio.sleep(LONG_S)

    assert await failure_of(stall, QUICK) is FailureKind.TIMED_OUT


CLOSED: Mapping[str, bytes] = {
    "at once": b"",
    "within the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "within the body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    "within a chunk": CHUNKED + b"ff\r\nabc",
}


@pytest.mark.parametrize("when", CLOSED)
async def test_the_connection_is_closed_early(when: str) -> None:
    assert await failure_of(send(CLOSED[when])) is FailureKind.CLOSED


NOT_HTTP = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "noise": b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
    "a broken status line": b"HTTP/1.1 abc OK\r\n\r\n",
    "a broken chunk": CHUNKED + b"zz\r\nabc\r\n",
    "a broken encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nabc",
}


@pytest.mark.parametrize("what", NOT_HTTP)
async def test_what_comes_is_no_http(what: str) -> None:
    found = await failure_of(send(NOT_HTTP[what]))
    assert found is FailureKind.NOT_HTTP


async def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with raw_server(reply(b"ok"), context) as server:
        found = await failure(server.url())
        assert found.kind is FailureKind.CERTIFICATE
        assert str(found).startswith("the server's certificate is not trusted: ")
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with ExactClient(LIMITS, trusting) as client, client.send("GET", server.url()) as got:
            assert await got.body() == b"ok"


async def test_tls_is_not_spoken_there() -> None:
    async def plain(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert await _tls_failure(plain) is FailureKind.TLS


async def test_a_server_that_hangs_up_on_tls() -> None:
    async def hang_up(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()

    assert await _tls_failure(hang_up) is FailureKind.TLS


async def _tls_failure(handle: Callable[[ByteStream], Awaitable[None]]) -> FailureKind:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        found = await failure(f"https://127.0.0.1:{port}/")
        tasks.cancel_scope.cancel()
    return found.kind


URLS = ["", "no url", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/"]


@pytest.mark.parametrize("url", URLS)
async def test_what_is_no_url(url: str) -> None:
    assert (await failure(url)).kind is FailureKind.URL


async def test_a_header_with_a_line_end_is_not_sent() -> None:
    async with raw_server(reply(b"ok")) as server, ExactClient(LIMITS) as client:
        with pytest.raises(ExchangeFailed) as caught:
            async with client.send("GET", server.url(), {"x-api-key": "a\r\nb: c"}):
                pass
    assert caught.value.kind is FailureKind.URL
    assert server.asked == []


async def test_a_failure_is_an_error_of_ours_without_the_librarys_words() -> None:
    with free_port() as port:
        found = await failure(f"http://127.0.0.1:{port}/")
    assert isinstance(found, Unavailable)
    assert str(found) == "nobody listens at this address"


async def test_outside_of_its_context_it_is_of_no_use() -> None:
    with pytest.raises(RuntimeError):
        async with ExactClient().send("GET", "http://127.0.0.1/"):
            pass
