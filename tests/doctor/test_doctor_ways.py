"""Staged faults on the way to a server: names, ports, TLS, redirects, proxies; our router."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from anyio.abc import ByteStream

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.probes import ProbeOptions, Question, observe
from auxot_tools.doctor.report import as_json
from auxot_tools.doctor.rules import Finding, diagnose
from auxot_tools.doctor.table import RULES
from auxot_tools.net.exact import ExactClient, ExactLimits
from auxot_tools.router.serve import Listener, open_socket
from auxot_tools.scripted.demo import demo_model
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.raw_server import Answer, Asked, RawServer, raw_server, reply
from tests.support.running import KEY as ROUTER_KEY
from tests.support.running import http_model, running_router
from tests.support.staged_endpoint import KEY, Endpoint, html_reply

pytestmark = pytest.mark.anyio

OPTIONS = ProbeOptions(
    limits=ExactLimits(connect_s=2, first_byte_s=2, idle_s=2, max_bytes=2**18), ports=()
)
IMPATIENT = replace(OPTIONS, limits=replace(OPTIONS.limits, first_byte_s=0.3))
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


async def seen_at(
    url: str, options: ProbeOptions = OPTIONS, **more: object
) -> tuple[Observations, tuple[Finding, ...]]:
    question = Question(BaseUrl(url), KeyFacts(KEY))
    seen = await observe(replace(question, **more), options)  # type: ignore[arg-type]
    return seen, diagnose(seen, RULES)


def faults(findings: tuple[Finding, ...]) -> list[str]:
    return [one.id for one in findings if not one.is_note]


def keys_sent(server: RawServer) -> list[str]:
    headers = [one.headers for one in server.asked]
    sent = [{name: one[name] for name in ("x-api-key", "authorization") if name in one}
            for one in headers]  # fmt: skip
    return [value for one in sent for value in one.values()]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def tls_endpoint(
    authority: trustme.CA, name: str = "127.0.0.1", not_after: datetime | None = None
) -> AsyncGenerator[RawServer, None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    async with raw_server(Endpoint(), context) as server:
        yield server


def trusting(authority: trustme.CA, options: ProbeOptions = OPTIONS) -> ProbeOptions:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return replace(options, ssl_context=context)


async def test_a_name_that_does_not_exist_is_found() -> None:
    _, findings = await seen_at("http://no-such-host.invalid/api/anthropic")
    assert faults(findings) == ["host_unknown"]
    assert "no-such-host.invalid" in findings[0].fix


async def test_a_port_where_nobody_listens_is_found() -> None:
    with open_socket(Listener("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _, findings = await seen_at(f"http://127.0.0.1:{port}/api/anthropic")
    assert faults(findings) == ["refused"]
    assert f":{port}" in findings[0].fix


async def test_the_right_port_of_the_same_host_is_found_without_sending_the_key_there() -> None:
    with open_socket(Listener("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with raw_server(Endpoint()) as server:
        options = replace(OPTIONS, ports=(server.port,))
        _, findings = await seen_at(f"http://127.0.0.1:{port}/api/anthropic", options)
        assert faults(findings) == ["wrong_port"]
        assert findings[0].fix == f"Set ANTHROPIC_BASE_URL={server.url('/api/anthropic')}"
        assert server.asked
        assert keys_sent(server) == []


async def test_https_spoken_to_plain_http_is_found_without_sending_the_key() -> None:
    async with raw_server(Endpoint()) as server:
        url = server.url("/api/anthropic").replace("http://", "https://")
        _, findings = await seen_at(url, IMPATIENT)
        assert faults(findings) == ["https_on_http_port"]
        assert f"ANTHROPIC_BASE_URL={server.url('/api/anthropic')} " in findings[0].fix
        assert keys_sent(server) == []


async def test_http_spoken_to_tls_is_found(authority: trustme.CA) -> None:
    async with tls_endpoint(authority) as server:
        url = server.url("/api/anthropic").replace("https://", "http://")
        _, findings = await seen_at(url, trusting(authority, IMPATIENT))
    assert faults(findings) == ["http_on_https_port"]
    assert findings[0].fix == f"Set ANTHROPIC_BASE_URL={server.url('/api/anthropic')}"


async def test_http_spoken_to_the_tls_port_of_nginx_is_found() -> None:
    page = "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"
    async with raw_server(html_reply("400 Bad Request", page)) as server:
        _, findings = await seen_at(server.url("/api/anthropic"))
    assert faults(findings)[0] == "http_on_https_port"
    assert "https://127.0.0.1" in findings[0].fix


async def test_a_trusted_certificate_is_no_fault(authority: trustme.CA) -> None:
    async with tls_endpoint(authority) as server:
        _, findings = await seen_at(server.url("/api/anthropic"), trusting(authority))
    assert findings == ()


async def test_a_certificate_of_an_unknown_authority_is_found(authority: trustme.CA) -> None:
    async with tls_endpoint(authority) as server:
        _, findings = await seen_at(server.url("/api/anthropic"))
        assert server.asked == []
    assert faults(findings) in (["certificate_untrusted"], ["certificate_self_signed"])
    assert "NODE_EXTRA_CA_CERTS" in findings[0].fix


async def test_an_expired_certificate_is_found(authority: trustme.CA) -> None:
    async with tls_endpoint(authority, not_after=YESTERDAY) as server:
        _, findings = await seen_at(server.url("/api/anthropic"), trusting(authority))
    assert faults(findings) == ["certificate_expired"]
    assert "Renew" in findings[0].fix


async def test_a_certificate_for_another_name_is_found(authority: trustme.CA) -> None:
    async with tls_endpoint(authority, "router.example") as server:
        _, findings = await seen_at(server.url("/api/anthropic"), trusting(authority))
    assert faults(findings) == ["certificate_of_another_host"]
    assert "127.0.0.1" in findings[0].fix


# where it redirects to -> what is found, and a part of the fix
REDIRECTS = {
    "https://127.0.0.1/api/anthropic/v1/messages": (
        "redirect_to_https",
        "ANTHROPIC_BASE_URL=https://127.0.0.1/api/anthropic",
    ),
    "https://other.example/api/anthropic/v1/messages": (
        "redirect_to_another_host",
        "If you trust other.example",
    ),
    "https://accounts.example/login?next=%2F": ("redirect_to_login", "takes keys"),
    "https://127.0.0.1/": (
        "redirect_to_https",
        "ANTHROPIC_BASE_URL=https://127.0.0.1/api/anthropic",
    ),
    "/api/anthropic/v1/messages/": ("redirect_to_itself", "without a redirect"),
    "/new/v1/messages": ("redirect", "/new"),
}


@pytest.mark.parametrize("target", REDIRECTS)
async def test_a_redirect_is_found_and_not_followed(target: str) -> None:
    expected, fix = REDIRECTS[target]
    async with raw_server(reply(status="301 Moved Permanently", Location=target)) as server:
        seen, findings = await seen_at(server.url("/api/anthropic"), IMPATIENT)
    assert faults(findings)[0] == expected
    assert fix in findings[0].fix
    assert all("other.example" not in one.url for one in seen.attempts)


async def test_a_redirect_to_a_server_of_somebody_else_takes_no_key_there() -> None:
    async with raw_server(Endpoint()) as thief:
        location = thief.url("/api/anthropic/v1/messages", host="localhost")
        async with raw_server(reply(status="307 Temporary", Location=location)) as server:
            _, findings = await seen_at(server.url("/api/anthropic"), IMPATIENT)
        assert faults(findings)[0] == "redirect_to_another_host"
        assert thief.asked == []


async def test_a_proxy_for_a_near_host_is_found() -> None:
    async with raw_server(Endpoint()) as server:
        _, findings = await seen_at(
            server.url("/api/anthropic"), proxies={"http_proxy": "http://proxy.example:3128"}
        )
    assert faults(findings) == ["proxy_in_the_way"]
    assert findings[0].fix.startswith("Set NO_PROXY=127.0.0.1")


ODD_URLS = {
    "": "url_invalid",
    "http://$HOST:8080/api/anthropic": "url_invalid",
    "ftp://127.0.0.1/x": "url_invalid",
    "http://127.0.0.1:99999/api": "url_invalid",
}


@pytest.mark.parametrize("url", ODD_URLS)
async def test_what_is_no_url_is_told_without_a_request(url: str) -> None:
    seen, findings = await seen_at(url)
    assert faults(findings)[0] == ODD_URLS[url]
    assert seen.attempts == ()


# how the URL is written -> what is found; {} is host, port and path of a healthy endpoint
SPELLINGS = {
    "{}": "url_without_scheme",
    " http://{} ": "url_has_space_or_quotes",
    '"http://{}"': "url_has_space_or_quotes",
    "http://me:secret-word@{}": "url_has_user",
    "ws://{}": "url_is_websocket",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_oddly_written_url_is_found_and_the_right_one_named(spelling: str) -> None:
    async with raw_server(Endpoint()) as server:
        right = server.url("/api/anthropic")
        url = spelling.format(right.removeprefix("http://"))
        seen, findings = await seen_at(url)
    assert faults(findings) == [SPELLINGS[spelling]]
    assert f"ANTHROPIC_BASE_URL={right}" in findings[0].fix
    assert "secret-word" not in str(as_json(seen, findings))


async def test_requests_are_bounded_and_all_go_to_one_host() -> None:
    with open_socket(Listener("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = replace(OPTIONS, ports=tuple(range(port, port + 60)), requests=12)
    seen, _ = await seen_at(f"http://127.0.0.1:{port}", options)
    assert len(seen.attempts) <= 12
    assert all("//127.0.0.1" in one.url for one in seen.attempts)


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            await stream.send(b"x" * 2**16)

    async with raw_server(endless) as server:
        options = replace(IMPATIENT, limits=replace(IMPATIENT.limits, max_bytes=2**12))
        seen, findings = await seen_at(server.url("/api/anthropic"), options)
    assert faults(findings)[0] == "not_messages"
    assert all(len(one.body) <= 2**12 for one in seen.attempts)


# Our real router.


@pytest.mark.parametrize("path", ["/api/anthropic", "/api/anthropic/v1"])
async def test_our_router_has_nothing_wrong(tmp_path: Path, path: str) -> None:
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        _, findings = await seen_at(router.origin + path, key=KeyFacts(ROUTER_KEY))
    assert faults(findings) == []


# what is asked of our router -> what is found
OURS = {
    ("", ROUTER_KEY): "api_path_missing",
    ("/api/openai/v1", ROUTER_KEY): "openai_path",
    ("/api/anthropic/v1/v1/v1", ROUTER_KEY): "v1_repeated",
    ("/api/anthropic", "rtr_" + "w" * 43): "key_unknown",
    ("/api/anthropic", "adm_" + "w" * 43): "key_for_workers",
    ("/api/anthropic", f"'{ROUTER_KEY}'"): "key_with_quotes",
}


@pytest.mark.parametrize("case", OURS)
async def test_what_is_wrong_before_our_router_is_found(
    tmp_path: Path, case: tuple[str, str]
) -> None:
    path, key = case
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        _, findings = await seen_at(router.origin + path, key=KeyFacts(key))
    assert faults(findings) == [OURS[case]]


async def test_our_router_with_an_upstream_that_is_away_is_found(tmp_path: Path) -> None:
    with open_socket(Listener("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        http_model(f"http://127.0.0.1:{port}") as model,
        running_router(tmp_path, model, FakeDispatcher()) as router,
    ):
        _, findings = await seen_at(router.base_url, key=KeyFacts(ROUTER_KEY))
        assert faults(findings) == ["provider_offline"]
        url = f"{router.base_url}/v1/messages"
        _, findings = await seen_at(url, key=KeyFacts(ROUTER_KEY))
    assert faults(findings) == ["endpoint_in_base", "provider_offline_there"]


async def test_our_router_whose_own_key_is_refused_is_found(tmp_path: Path) -> None:
    async with (
        raw_server(Endpoint(root="")) as upstream,
        http_model(upstream.url("")) as model,
        running_router(tmp_path, model, FakeDispatcher()) as router,
    ):
        _, findings = await seen_at(router.base_url, key=KeyFacts(ROUTER_KEY))
    assert faults(findings) == ["upstream_key_refused"]


async def test_a_buffering_proxy_before_our_router_is_found_and_an_open_one_is_not(
    tmp_path: Path,
) -> None:
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        for is_buffering, expected in ((True, ["stream_buffered"]), (False, [])):
            async with raw_server(proxy_to(router.origin, is_buffering=is_buffering)) as proxy:
                _, findings = await seen_at(proxy.url("/api/anthropic"), key=KeyFacts(ROUTER_KEY))
            assert faults(findings) == expected


def proxy_to(origin: str, *, is_buffering: bool) -> Answer:
    """A reverse proxy that passes pieces on as they come, or the whole when it is there."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        kept = {"x-api-key", "authorization", "anthropic-version", "content-type"}
        headers = {name: value for name, value in asked.headers.items() if name in kept}
        async with (
            ExactClient(OPTIONS.limits) as http,
            http.send(asked.method, origin + asked.path, headers, asked.body or None) as got,
        ):
            kind = got.headers.get("content-type", "")
            head = f"HTTP/1.1 {got.status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
            held = [head.encode()]
            async for piece in got.pieces():
                held.append(piece.data)
                if not is_buffering:
                    await stream.send(b"".join(held))
                    held.clear()
            await stream.send(b"".join(held))

    return answer
