"""The way out: what is sent, what is followed, what comes back, and what the rules refuse."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.net.outbound import OutboundLimits, OutboundRequest, OutboundRules
from auxot_tools.types import Deadline
from tests.support.raw_server import Asked, by_path, raw_server, reply
from tests.support.way_out import EVERY_PORT, LOOPBACK, way_out

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parent.parent.parent
SECRETS = (
    ("Authorization", "Bearer secret"),
    ("Cookie", "id=secret"),
    ("X-Api-Key", "secret"),
    ("Accept", "text/html"),
    ("User-Agent", "me"),
)


def moved(to: str, status: int = 302) -> Any:
    return reply(status=f"{status} Moved", Location=to)


async def test_an_answer_comes_with_its_status_headers_and_body() -> None:
    answer = reply(b"hello", "404 Not Found", Content_Type="text/plain; charset=x", X_A="1")
    async with raw_server(answer) as server, way_out() as out:
        got = await out.get(server.url("/a/../b%2F?q=1&r=a%20b#part"))
    assert (got.status, got.body, got.is_cut) == (404, b"hello", False)
    assert (got.content_type, got.headers["x-a"]) == ("text/plain; charset=x", "1")
    assert got.url == server.url("/a/../b%2F?q=1&r=a%20b")
    assert server.asked[0].path == "/a/../b%2F?q=1&r=a%20b"
    assert got.redirects == ()


async def test_method_body_and_headers_arrive_and_ours_are_plain() -> None:
    async with raw_server(reply()) as server, way_out() as out:
        request = OutboundRequest(server.url(), "put", (("X-B", "2"),), b'{"a":1}')
        await out.fetch(request)
    asked = server.asked[0]
    assert (asked.method, asked.body, asked.headers["x-b"]) == ("PUT", b'{"a":1}', "2")
    assert asked.headers["accept-encoding"] == "gzip, deflate"
    assert asked.headers["user-agent"] == "auxot-tools"
    assert "content-type" not in asked.headers


async def test_cookies_are_not_kept() -> None:
    async with raw_server(reply(Set_Cookie="a=1; Path=/")) as server, way_out() as out:
        await out.get(server.url())
        await out.get(server.url())
    assert [asked.headers.get("cookie") for asked in server.asked] == [None, None]


async def test_a_chain_of_redirects_is_followed_and_told() -> None:
    answers = by_path(a=moved("/b?x=1"), b=moved("c#part", 301), c=reply(b"end"))
    async with raw_server(answers) as server, way_out() as out:
        got = await out.get(server.url("/a"))
    assert (got.body, got.url) == (b"end", server.url("/c"))
    assert got.redirects == (server.url("/a"), server.url("/b?x=1"))


@pytest.mark.parametrize(("limit", "asked"), [(0, 1), (5, 6)])
async def test_a_redirect_loop_ends_at_the_limit(limit: int, asked: int) -> None:
    async with (
        raw_server(by_path(a=moved("/b"), b=moved("/a"))) as server,
        way_out(limits=OutboundLimits(max_redirects=limit)) as out,
    ):
        with pytest.raises(OutboundFailed, match=f"more than {limit} times") as failed:
            await out.get(server.url("/a"))
    assert failed.value.kind == "redirects"
    assert len(server.asked) == asked


async def test_a_redirect_without_a_location_is_the_answer() -> None:
    async with raw_server(reply(b"choose", "302 Found")) as server, way_out() as out:
        got = await out.get(server.url())
    assert (got.status, got.body) == (302, b"choose")


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"),
        (301, "PUT", "PUT"), (307, "POST", "POST"), (308, "POST", "POST"), (303, "HEAD", "HEAD"),
    ],
)  # fmt: skip
async def test_a_redirect_keeps_or_changes_the_method(status: int, method: str, then: str) -> None:
    body = None if method == "HEAD" else b"data"
    headers = (("Content-Type", "text/plain"), ("X-B", "2"))
    async with raw_server(by_path(a=moved("/b", status), b=reply())) as server, way_out() as out:
        await out.fetch(OutboundRequest(server.url("/a"), method, headers, body))
    first, second = server.asked
    assert (first.method, second.method) == (method, then)
    is_kept = then == method and body is not None
    assert second.body == (b"data" if is_kept else b"")
    assert ("content-type" in second.headers) == is_kept
    assert second.headers["x-b"] == "2"


async def test_the_same_origin_gets_all_headers_after_a_redirect() -> None:
    async with raw_server(by_path(a=moved("/b"), b=reply())) as server, way_out() as out:
        await out.fetch(OutboundRequest(server.url("/a"), headers=SECRETS))
    for name, value in SECRETS:
        assert server.asked[1].headers[name.lower()] == value


async def test_another_origin_gets_no_credentials_whatever_they_are_called() -> None:
    async with (
        raw_server(reply()) as other,
        raw_server(moved(other.url())) as server,
        way_out() as out,
    ):
        await out.fetch(OutboundRequest(server.url(), headers=SECRETS))
    assert server.asked[0].headers["x-api-key"] == "secret"
    assert "secret" not in str(other.asked[0])
    assert (other.asked[0].headers["accept"], other.asked[0].headers["user-agent"]) == (
        "text/html",
        "me",
    )


async def test_credentials_do_not_come_back_with_the_first_origin() -> None:
    back: list[str] = []

    async def to_first(_asked: Asked, stream: ByteStream) -> None:
        await moved(back[0])(_asked, stream)

    async with (
        raw_server(to_first) as other,
        raw_server(by_path(a=moved(other.url()), b=reply())) as server,
        way_out() as out,
    ):
        back.append(server.url("/b"))
        await out.fetch(OutboundRequest(server.url("/a"), headers=SECRETS))
    assert "secret" not in str(server.asked[1])


async def test_another_name_for_the_same_server_is_another_origin() -> None:
    async with raw_server(by_path(a=reply())) as server, way_out() as out:
        to = moved(server.url("/a", "b.example"))
        async with raw_server(to) as first:
            await out.fetch(OutboundRequest(first.url("/", "a.example"), headers=SECRETS))
    assert "secret" not in str(server.asked[0])


async def test_the_operators_address_is_asked_past_the_rules_and_its_redirect_not_followed() -> (
    None
):
    closed = OutboundRules(ports=(80,), allowed_domains=("else.example",))
    async with raw_server(moved("http://10.0.0.1/")) as server, way_out(closed) as out:
        got = await out.fetch(
            OutboundRequest(server.url("/", "a.example"), headers=SECRETS, operator_chosen=True)
        )
        with pytest.raises(OutboundRefused):
            await out.get(server.url("/", "a.example"))
    assert (got.status, got.headers["location"]) == (302, "http://10.0.0.1/")
    assert len(server.asked) == 1


async def test_an_operators_open_connection_is_not_used_for_anybody_else() -> None:
    async def two(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await anyio.sleep_forever()

    closed = OutboundRules(ports=EVERY_PORT)
    async with raw_server(two) as server, way_out(closed) as out:
        url = server.url("/", "a.example")
        await out.fetch(OutboundRequest(url, operator_chosen=True))
        with pytest.raises(OutboundRefused, match="not public"):
            await out.get(url)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (OutboundRules(reachable=(LOOPBACK,)), "only these ports can be: 80, 443"),
        (OutboundRules(("https",), EVERY_PORT, reachable=(LOOPBACK,)), "only these schemes"),
        (
            OutboundRules(ports=EVERY_PORT, reachable=(LOOPBACK,), allowed_domains=("b.example",)),
            "`a.example` cannot be reached: it is not an allowed domain",
        ),
        (
            OutboundRules(ports=EVERY_PORT, reachable=(LOOPBACK,), blocked_domains=("example",)),
            "`a.example` cannot be reached: it is a blocked domain",
        ),
    ],
)
async def test_scheme_port_and_domain_rules_refuse(rules: OutboundRules, problem: str) -> None:
    async with raw_server(reply()) as server, way_out(rules) as out:
        with pytest.raises(OutboundRefused, match=problem):
            await out.get(server.url("/", "a.example"))
    assert server.asked == []


async def test_domain_rules_hold_for_a_redirect() -> None:
    rules = OutboundRules(
        ports=EVERY_PORT, reachable=(LOOPBACK,), allowed_domains=("good.example",)
    )
    async with (
        raw_server(reply()) as bad,
        raw_server(moved(bad.url("/", "bad.example"))) as good,
        way_out(rules) as out,
    ):
        with pytest.raises(OutboundRefused, match=r"redirects to `bad\.example`, which"):
            await out.get(good.url("/", "good.example"))
    assert bad.asked == []


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (OutboundRequest("http://a.example/", "TRACE"), "method must be one of"),
        (OutboundRequest("http://a.example/", "CONNECT"), "method must be one of"),
        (OutboundRequest("http://a.example/", "GET / HTTP/1.1\r\nX: y"), "method must be"),
        (OutboundRequest("http://a.example/", headers=(("Host", "b"),)), "`Host` cannot be set"),
        (OutboundRequest("http://a.example/", headers=(("te", "x"),)), "`te` cannot be set"),
        (OutboundRequest("http://a.example/", headers=(("X", "a\r\nY: b"),)), "`X` contains"),
        (OutboundRequest("http://a.example/", headers=(("X: y\r\nZ", "a"),)), "header's name"),
        (OutboundRequest("http://a.example/", headers=(("X", "é"),)), "not ASCII"),
        (OutboundRequest("http://a.example/", headers=(("X", "a" * 20_000),)), "At most"),
        (OutboundRequest("http://a.example/", headers=(("X", "a"),) * 65), "At most"),
        (OutboundRequest("http://a.example/", "POST", (), b"a" * 2**20 + b"a"), "body is longer"),
    ],
)
async def test_what_may_not_be_sent_is_refused(request_: OutboundRequest, problem: str) -> None:
    async with way_out() as out:
        with pytest.raises(OutboundRefused, match=problem):
            await out.fetch(request_)


async def test_a_name_without_an_address_and_a_closed_port_are_told_apart() -> None:
    async with raw_server(reply()) as server:
        url = server.url()
    async with way_out() as out:
        with pytest.raises(OutboundFailed, match="has no address") as no_name:
            await out.get("http://nowhere.test/")
        with pytest.raises(OutboundFailed, match="cannot be connected to") as no_port:
            await out.get(url)
    assert (no_name.value.kind, no_port.value.kind) == ("not_found", "not_reached")


@pytest.mark.parametrize("answer", [None, reply(b"x", Content_Encoding="br")])
async def test_a_failure_does_not_name_an_address_that_a_server_redirected_to(answer: Any) -> None:
    async with raw_server(answer or reply()) as inside:
        to = inside.url("/", "127.1.2.3")
        # The listener is on 127.0.0.1 alone, so that nothing answers there.
        to = to if answer is None else inside.url("/")
        async with raw_server(moved(to)) as server, way_out() as out:
            with pytest.raises(OutboundFailed, match="The server that is redirected to") as failed:
                await out.get(server.url("/", "a.example"))
    assert "127." not in str(failed.value)


async def test_a_request_in_the_time_that_is_over_is_not_sent() -> None:
    async with raw_server(reply()) as server, way_out() as out:
        with pytest.raises(OutboundFailed) as failed:
            await out.get(server.url(), seconds=0)
    assert (failed.value.kind, server.asked) == ("too_slow", [])


async def test_a_plain_connection_speaks_both_ways() -> None:
    async with raw_server(reply(b"raw")) as server, way_out() as out:
        stream = await out.outbound.connect("a.example", server.port, Deadline.after(5))
        async with stream:
            await stream.send(b"GET /x HTTP/1.1\r\n\r\n")
            got = b""
            while not got.endswith(b"raw"):
                got += await stream.receive()
    assert server.asked[0].path == "/x"


async def test_a_plain_connection_is_held_to_the_rules_that_it_is_given() -> None:
    rules = OutboundRules(ports=(443,), allowed_domains=("*.good.example",))
    async with way_out() as out:
        connect = out.outbound.connect
        with pytest.raises(OutboundRefused, match="not an allowed domain"):
            await connect("bad.example", 443, Deadline.after(5), rules)
        with pytest.raises(OutboundRefused, match="only these ports can be: 443"):
            await connect("a.good.example", 80, Deadline.after(5), rules)
        with pytest.raises(OutboundFailed, match="has no address") as no_name:
            await connect("nowhere.test", 443, Deadline.after(5))
        with pytest.raises(OutboundFailed, match="cannot be connected to") as no_port:
            await connect("127.0.0.1", 1, Deadline.after(5))
    assert (no_name.value.kind, no_port.value.kind) == ("not_found", "not_reached")


FETCH = """
import anyio
from ipaddress import ip_network
from auxot_tools.net.outbound import Outbound, OutboundLimits, OutboundRequest, OutboundRules
from auxot_tools.types import Deadline
async def main():
    rules = OutboundRules(ports=({port},), reachable=(ip_network("127.0.0.0/8"),))
    async with Outbound(rules, OutboundLimits()) as out:
        answer = await out.fetch(OutboundRequest("http://127.0.0.1:{port}/"), Deadline.after(5))
        print(answer.body.decode())
anyio.run(main)
"""


async def test_proxies_and_passwords_of_the_environment_do_not_count(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    environ = {
        **os.environ, "NETRC": str(netrc), "http_proxy": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1",
    }  # fmt: skip
    async with raw_server(reply(b"direct")) as server:
        done = await anyio.run_process(
            [sys.executable, "-c", FETCH.format(port=server.port)],
            env=environ, cwd=ROOT, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.stdout.decode().strip() == "direct"
    assert "authorization" not in server.asked[0].headers
