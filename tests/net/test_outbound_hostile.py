"""Servers that are slow, lie, break off or send too much: a bounded answer, or a plain failure."""

import gzip
import resource
import time
import zlib
from collections.abc import Callable

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.net.outbound import OutboundLimits, OutboundRequest
from tests.support.raw_server import Answer, Asked, raw_server, reply, send
from tests.support.way_out import WayOut, way_out

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\n"
SMALL = OutboundLimits(body_bytes=1000, header_bytes=2000)
MIB = 2**20


def hang(first: bytes = b"") -> Answer:
    """Sends `first`, and nothing more, and does not close."""

    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(first)
        await anyio.sleep_forever()

    return answer


def flood(first: bytes, piece: bytes) -> Answer:
    """Sends `first`, then `piece` until the client has enough."""

    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(first)
        while True:
            await stream.send(piece)

    return answer


def drip(first: bytes) -> Answer:
    """Sends `first`, then one byte every 10 ms without end."""

    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(first)
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.01)

    return answer


async def kind_of_failure(answer: Answer, seconds: float = 5.0, out: WayOut | None = None) -> str:
    """The kind of the failure, whose text is ours."""
    async with raw_server(answer) as server, way_out(limits=SMALL) as ours:
        with pytest.raises(OutboundFailed) as failed:
            await (out or ours).get(server.url(), seconds)
        assert str(failed.value).startswith("The server ")
        assert "Error" not in str(failed.value)
    return failed.value.kind


@pytest.mark.parametrize(
    "answer",
    [
        hang(),
        hang(OK),
        hang(OK + b"Content-Length: 9\r\n\r\n"),
        hang(OK + b"Content-Length: 9\r\n\r\npart"),
        hang(OK + b"\r\n"),
        hang(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        drip(OK + b"X: "),
        drip(OK + b"\r\n"),
        drip(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 99)[:-8]),
    ],
)
async def test_a_server_that_is_slow_is_given_up_at_the_deadline(answer: Answer) -> None:
    begun_at = time.monotonic()
    assert await kind_of_failure(answer, seconds=0.2) in {"too_slow", "bad_answer"}
    assert time.monotonic() - begun_at < 3


async def test_redirects_do_not_prolong_the_deadline() -> None:
    async def answer(_asked: Asked, stream: ByteStream) -> None:
        await anyio.sleep(0.1)
        await stream.send(b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    assert await kind_of_failure(answer, seconds=0.25) == "too_slow"


async def test_interim_answers_without_end_are_given_up_at_the_deadline() -> None:
    kind = await kind_of_failure(flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), seconds=0.3)
    assert kind in {"too_slow", "bad_answer"}


@pytest.mark.parametrize(
    "answer",
    [
        send(b""),
        send(b"HTTP/1.1 200"),
        send(OK + b"Content-Length: 9\r\n\r\npart"),
        send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        send(OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello"),
    ],
)
async def test_an_answer_that_breaks_off_is_not_taken_for_whole(answer: Answer) -> None:
    assert await kind_of_failure(answer) in {"broken_off", "bad_answer"}


@pytest.mark.parametrize(
    "answer",
    [
        send(b"SSH-2.0-OpenSSH_9.2\r\n"),
        send(b"\x16\x03\x01\x02\x00\x01\x00\x01"),
        send(b"HTTP/1.1 abc OK\r\n\r\n"),
        send(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"),
        send(OK + b"Content-Length: -5\r\n\r\n"),
        send(OK + b"Content-Length: 5\r\n\r\nhelloMORE"),
        send(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        send(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
        send(OK + b"X: " + b"a" * 5000 + b"\r\n\r\n"),
        send(OK + b"X: a\r\n" * 500 + b"\r\n"),
        flood(OK, b"X: aaaaaaaaaaaaaaaaaaaa\r\n" * 100),
        flood(OK + b"X: ", b"a" * 1000),
        flood(b"HTTP/1.1 200 ", b"O" * 1000),
        send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ],
)
async def test_what_is_not_an_http_answer_within_limits_is_a_bad_answer(answer: Answer) -> None:
    assert await kind_of_failure(answer) in {"bad_answer", "broken_off"}


@pytest.mark.parametrize(
    ("size", "is_cut"), [(0, False), (999, False), (1000, False), (1001, True)]
)
async def test_a_body_is_cut_at_the_limit(size: int, is_cut: bool) -> None:
    async with raw_server(reply(b"x" * size)) as server, way_out(limits=SMALL) as out:
        got = await out.get(server.url())
    assert (len(got.body), got.is_cut) == (min(size, 1000), is_cut)


@pytest.mark.parametrize(("asked", "kept"), [(0, 0), (10, 10), (5000, 1000)])
async def test_a_request_can_lower_the_limit_and_not_raise_it(asked: int, kept: int) -> None:
    async with raw_server(reply(b"x" * 9000)) as server, way_out(limits=SMALL) as out:
        got = await out.fetch(OutboundRequest(server.url(), max_bytes=asked))
    assert (len(got.body), got.is_cut) == (kept, True)


async def test_an_endless_body_is_cut_and_its_connection_dropped() -> None:
    dropped = anyio.Event()

    async def endless(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(OK + b"\r\n")
        try:
            while True:
                await stream.send(b"x" * 4096)
        except anyio.BrokenResourceError:
            dropped.set()

    async with raw_server(endless) as server, way_out(limits=SMALL) as out:
        got = await out.get(server.url())
        with anyio.fail_after(5):
            await dropped.wait()
    assert (len(got.body), got.is_cut) == (1000, True)


def bomb(mebibytes: int) -> bytes:
    """That much of nothing, as gzip: some thousandth of its size."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # the fastest packs nothing well enough
    zeros = bytes(MIB)
    return b"".join(packer.compress(zeros) for _ in range(mebibytes)) + packer.flush()


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_a_bomb_of_a_gibibyte_is_cut_and_never_unpacked() -> None:
    packed = bomb(1024)
    assert len(packed) < 8 * MIB
    before = peak_bytes()
    begun_at = time.monotonic()
    answer = reply(packed, Content_Encoding="gzip")
    async with raw_server(answer) as server, way_out() as out:
        got = await out.get(server.url())
    assert (len(got.body), got.is_cut) == (5 * MIB, True)
    assert peak_bytes() - before < 64 * MIB
    assert time.monotonic() - begun_at < 5


@pytest.mark.parametrize(
    ("name", "encoding", "packed", "kept"),
    [
        ("a bomb in a bomb", "gzip", gzip.compress(bomb(8)), 1000),
        ("empty members", "gzip", gzip.compress(b"") * 10_000, 0),
        ("empty blocks", "deflate", b"\x00\x00\x00\xff\xff" * 100_000, 0),
    ],
)
async def test_other_bombs_end_within_limits(
    name: str, encoding: str, packed: bytes, kept: int
) -> None:
    answer = reply(packed, Content_Encoding=encoding)
    async with raw_server(answer) as server, way_out(limits=SMALL) as out:
        if "members" in name:
            with pytest.raises(OutboundFailed, match="not encoded as its headers say"):
                await out.get(server.url())
            return
        got = await out.get(server.url())
    assert (len(got.body), got.is_cut) == (kept, True)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("", bytes),
        ("identity, gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
        ("gzip", lambda data: gzip.compress(data) + b"\x00" * 20),
    ],
)
async def test_encodings_are_undone(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    data = bytes(range(256)) * 800
    answer = reply(pack(data), Content_Encoding=encoding)
    async with raw_server(answer) as server, way_out() as out:
        got = await out.get(server.url())
    assert (got.body, got.is_cut) == (data, False)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip at all"),
        ("gzip", gzip.compress(b"x" * 500)[:-4]),
        ("gzip", gzip.compress(b"x" * 500)[:9]),
        ("gzip", gzip.compress(b"abc")[:-8] + b"\x00" * 8),
        ("deflate", b"\x78\x9c\xff\xff\xff"),
        ("deflate", b"\xff\xff"),
        ("br", b"\x8b\x01\x80hello\x03"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x"))),
        ("rot13", b"uryyb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_encoding_that_is_broken_or_was_not_asked_for_is_a_bad_answer(
    encoding: str, body: bytes
) -> None:
    assert await kind_of_failure(reply(body, Content_Encoding=encoding)) == "bad_answer"


async def test_an_empty_body_needs_no_encoding() -> None:
    async with raw_server(reply(b"", Content_Encoding="br")) as server, way_out() as out:
        assert (await out.get(server.url())).body == b""


ODD_LOCATIONS = (
    "", " ", "http://", "http://[::1", "http://[x]/", "http:///x", "javascript:x", "//",
    "http://a b.example/", "http://a.example:99999/", "http://a.example:x/", "/" + "a" * 1900,
    "http://" + "a" * 300 + ".example/", "http://" + "a." * 200, "http://..example/",
    "http://\xe9\xff/", "http://a_b!.example/", "http://*.example/",
)  # fmt: skip


@pytest.mark.parametrize("location", ODD_LOCATIONS)
async def test_a_location_that_is_no_url_is_told_and_breaks_nothing(location: str) -> None:
    head = b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: "
    answer = send(head + location.encode("latin-1") + b"\r\n\r\n")
    limits = OutboundLimits(max_redirects=2)
    async with raw_server(answer) as server, way_out(limits=limits) as out:
        with pytest.raises((OutboundFailed, OutboundRefused)):
            await out.get(server.url())


async def test_a_location_with_bytes_and_spaces_is_sent_back_as_it_came() -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if asked.path == "/":
            head = b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n"
            await stream.send(head + "Location: /é a?ü\r\n\r\n".encode() + b"")
        else:
            await reply(b"found")(asked, stream)

    async with raw_server(answer) as server, way_out() as out:
        got = await out.get(server.url())
    assert (got.body, server.asked[1].path) == (b"found", "/%C3%A9%20a?%C3%BC")
