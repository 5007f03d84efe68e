"""TLS of the way out: who is believed, and under which name."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.net.outbound import OutboundLimits, OutboundRequest
from tests.support.raw_server import Answer, Asked, RawServer, raw_server, reply
from tests.support.way_out import WayOut, way_out

pytestmark = pytest.mark.anyio
OURS, STRANGER = trustme.CA(), trustme.CA()


def certificate(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def between(
    tls: ssl.SSLContext, answer: Answer | None = None
) -> AsyncGenerator[tuple[RawServer, WayOut], None]:
    async with (
        raw_server(answer or reply(b"secure"), tls) as server,
        way_out(tls=trusting(OURS)) as out,
    ):
        yield server, out


@pytest.mark.parametrize("name", ["good.example", "127.0.0.1"])
async def test_a_certificate_of_the_name_is_believed(name: str) -> None:
    async with between(certificate(OURS, name)) as (server, out):
        got = await out.get(server.url("/", name))
    assert (got.body, got.url) == (b"secure", server.url("/", name))


@pytest.mark.parametrize("spelled", ["GOOD.example", "good.example."])
async def test_the_name_is_checked_in_its_one_spelling(spelled: str) -> None:
    async with between(certificate(OURS, "good.example")) as (server, out):
        got = await out.get(server.url("/", spelled))
    assert got.body == b"secure"
    assert server.asked[0].headers["host"] == f"good.example:{server.port}"


@pytest.mark.parametrize(
    "tls",
    [
        certificate(OURS, "other.example"),
        certificate(OURS, "127.0.0.1"),
        certificate(STRANGER, "good.example"),
    ],
    ids=["wrong name", "its address", "unknown authority"],
)
@pytest.mark.parametrize("operator_chosen", [False, True])
async def test_another_certificate_is_refused(tls: ssl.SSLContext, operator_chosen: bool) -> None:
    async with between(tls) as (server, out):
        url = server.url("/", "good.example")
        with pytest.raises(OutboundFailed, match="no valid certificate") as failed:
            await out.fetch(OutboundRequest(url, operator_chosen=operator_chosen))
    assert failed.value.kind == "tls"
    assert server.asked == []


async def test_the_systems_store_is_what_is_believed_by_itself() -> None:
    tls = certificate(OURS, "good.example")
    async with raw_server(reply(), tls) as server, way_out(tls=None) as out:
        with pytest.raises(OutboundFailed) as failed:
            await out.get(server.url("/", "good.example"))
    assert failed.value.kind == "tls"


async def test_a_server_that_does_not_speak_tls_is_told_so() -> None:
    async def plain(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Plain\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, way_out() as out, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, plain)
        with pytest.raises(OutboundFailed, match="does not speak TLS") as failed:
            await out.get(f"https://127.0.0.1:{port}/")
        tasks.cancel_scope.cancel()
    assert failed.value.kind == "tls"


async def test_a_handshake_that_hangs_ends_at_the_limit_on_connecting() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, way_out(limits=OutboundLimits(connect_s=0.2)) as out:
        with anyio.fail_after(5), pytest.raises(OutboundFailed) as failed:
            await out.get(f"https://127.0.0.1:{port}/", seconds=60)
    assert failed.value.kind == "not_reached"


async def test_credentials_do_not_go_from_tls_to_plain_text() -> None:
    async with raw_server(reply(b"plain")) as plain:

        async def moved(_asked: Asked, stream: ByteStream) -> None:
            to = plain.url("/", "good.example")
            await reply(status="302 Found", Location=to)(_asked, stream)

        async with between(certificate(OURS, "good.example"), moved) as (server, out):
            headers = (("Authorization", "Bearer secret"), ("X-Key", "secret"))
            got = await out.fetch(OutboundRequest(server.url("/", "good.example"), headers=headers))
    assert got.body == b"plain"
    assert "secret" in str(server.asked[0])
    assert "secret" not in str(plain.asked[0])


async def test_plain_text_is_refused_where_only_https_may_be() -> None:
    async with way_out() as out:
        with pytest.raises(OutboundRefused):
            await out.get("httpx://good.example/")
