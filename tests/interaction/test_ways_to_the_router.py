"""Every way that clients come to the router: base URLs, headers with a key, HEAD, web pages."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import KEY, running_router

pytestmark = pytest.mark.anyio

HELLO = Scenario(turns=(Turn(blocks=(TextBlock(text="hello"),)),), after_last="repeat")
MESSAGES: Any = [{"role": "user", "content": "one two three"}]
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
PAGE = "https://app.example"
MAY_USE = "access-control-allow-origin"


def model() -> ScriptedModel:
    return ScriptedModel(HELLO)


# -- base URLs -------------------------------------------------------------------------------------

ENDPOINTS = (
    ("POST", "messages"),
    ("POST", "messages/count_tokens"),
    ("GET", "models"),
    ("GET", "models/m"),
)
FORMS = ("/api/anthropic", "/api/anthropic/", "/api/anthropic/v1", "/api/anthropic/v1/")


async def test_the_official_client_is_served_with_every_form_of_the_base_url(
    tmp_path: Path,
) -> None:
    async with running_router(tmp_path, model(), FakeDispatcher()) as router:
        for form in FORMS:
            url = f"{router.origin}{form}"
            async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
                assert (await client.messages.create(**ASKED)).stop_reason == "end_turn"
                async with client.messages.stream(**ASKED) as stream:
                    assert await stream.get_final_text() == "hello"
                counted = await client.messages.count_tokens(model="m", messages=MESSAGES)
                assert counted.input_tokens > 0
                assert (await client.models.list()).has_more is False
                assert (await client.models.retrieve("org/m")).id == "org/m"


@pytest.mark.parametrize("end", ["", "/"])
async def test_clients_that_add_messages_alone_are_served_with_and_without_v1(
    tmp_path: Path, end: str
) -> None:
    ways: list[tuple[str, str, Any]] = [
        ("POST", "/messages", ASKED),
        ("POST", "/messages?beta=true", ASKED),
        ("POST", "/messages/count_tokens", ASKED),
        ("GET", "/models", None),
        ("GET", "/models?limit=1", None),
        ("GET", "/models/m", None),
    ]
    answered = {}
    async with (
        running_router(tmp_path, model(), FakeDispatcher()) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        for base in ("/api/anthropic", "/api/anthropic/v1", "/api/anthropic/v1/v1"):
            for method, path, body in ways:
                name, mark, query = path.partition("?")
                last = "" if name == "/models/m" else end
                url = f"{router.origin}{base}{name}{last}{mark}{query}"
                async with session.request(method, url, json=body) as response:
                    answered[f"{base}{path}"] = response.status
    assert {path: status for path, status in answered.items() if status != 200} == {}


async def test_a_path_that_is_not_served_says_which_is(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, model(), FakeDispatcher()) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        for method, path, status in (
            ("POST", "/v1/messages", 404),
            ("POST", "/api/anthropic/v2/messages", 404),
            ("GET", "/api/anthropic/v1/messages", 405),
            ("POST", "/api/anthropic/v1/models", 405),
            ("DELETE", "/api/anthropic/v1/models/m", 405),
            ("POST", "/api/anthropic/v1/messages/batches", 501),
            ("GET", "/api/anthropic/v1/files", 501),
        ):
            async with session.request(method, f"{router.origin}{path}", json=ASKED) as response:
                told = json.loads(await response.read())["error"]["message"]
                assert (path, response.status) == (path, status)
                assert (status == 501) or f"{router.origin}/api/anthropic" in told


async def test_anybody_may_look_with_head_whether_the_router_is_there(tmp_path: Path) -> None:
    upstream = model()
    async with (
        running_router(tmp_path, upstream, FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
    ):
        for path in ("", "/", *FORMS, "/api/anthropic/v1/messages", "/health", "/what/ever"):
            async with session.head(f"{router.origin}{path}") as response:
                assert (path, response.status) == (path, 200)
                assert response.headers["request-id"].startswith("req_")
    assert upstream.requests == []


async def test_a_key_is_found_in_either_header_in_any_case_for_every_endpoint(
    tmp_path: Path,
) -> None:
    forms = [
        *({name: KEY} for name in ("x-api-key", "X-API-KEY", "X-Api-Key")),
        *({"Authorization": f"{scheme} {KEY}"} for scheme in ("Bearer", "bearer", "BEARER")),
        {"X-Api-Key": f"  {KEY}  "},
        {"AUTHORIZATION": f"Bearer   {KEY}  "},
    ]
    async with (
        running_router(tmp_path, model(), FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
    ):
        for headers in forms:
            for method, path in ENDPOINTS:
                url, body = f"{router.base_url}/v1/{path}", ASKED if method == "POST" else None
                async with session.request(method, url, json=body, headers=headers) as response:
                    assert (headers, path, response.status) == (headers, path, 200)


async def test_no_endpoint_answers_without_a_key(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, model(), FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
    ):
        for method, path in ENDPOINTS:
            url = f"{router.base_url}/v1/{path}"
            async with session.request(method, url, json=ASKED) as response:
                assert (path, response.status) == (path, 401)


# -- web pages -------------------------------------------------------------------------------------


ASKS_FIRST = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-api-key,content-type,anthropic-version",
}


@asynccontextmanager
async def browser(
    tmp_path: Path, *allowed: str
) -> AsyncGenerator[Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]], None]:
    """A browser whose pages go to a router that allows these origins."""
    async with (
        running_router(tmp_path, model(), FakeDispatcher(), cors_origins=allowed) as router,
        aiohttp.ClientSession() as session,
    ):

        async def send(
            origin: str, method: str = "POST", key: str = KEY, **more: Any
        ) -> tuple[int, dict[str, str], bytes]:
            """A preflight (OPTIONS) or an actual request of a page of this origin."""
            sent = ASKS_FIRST if method == "OPTIONS" else {"x-api-key": key}
            async with session.request(
                method, router.messages_url, json=ASKED | more, headers={"origin": origin, **sent}
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return response.status, found, await response.read()

        yield send


def words(header: str) -> set[str]:
    return {word.strip() for word in header.lower().split(",")}


@pytest.mark.parametrize("allowed", [("https://other.example", PAGE), ("*",)])
async def test_a_page_that_is_allowed_asks_first_and_is_told_what_it_may_send(
    tmp_path: Path, allowed: tuple[str, ...]
) -> None:
    async with browser(tmp_path, *allowed) as send:
        status, headers, _ = await send(PAGE, "OPTIONS")
    assert status == 200
    assert headers[MAY_USE] in (PAGE, "*")
    assert "post" in words(headers["access-control-allow-methods"])
    may_send = words(headers["access-control-allow-headers"])
    assert {"x-api-key", "content-type", "anthropic-version"} <= may_send


async def test_a_page_that_is_allowed_may_read_answers_streams_and_errors(tmp_path: Path) -> None:
    async with browser(tmp_path, PAGE) as send:
        whole = await send(PAGE)
        stream = await send(PAGE, stream=True)
        wrong = await send(PAGE, key="wrong")
    assert json.loads(whole[2])["stop_reason"] == "end_turn"
    assert stream[1]["content-type"].startswith("text/event-stream")
    assert b"message_stop" in stream[2]
    assert json.loads(wrong[2])["error"]["type"] == "authentication_error"
    assert [status for status, *_ in (whole, stream, wrong)] == [200, 200, 401]
    for _, headers, _ in (whole, stream, wrong):
        assert headers[MAY_USE] == PAGE
        assert {"request-id", "retry-after"} <= words(headers["access-control-expose-headers"])
        assert "origin" in words(headers["vary"])


@pytest.mark.parametrize("allowed", [(), (PAGE,)])
async def test_other_pages_are_given_nothing(tmp_path: Path, allowed: tuple[str, ...]) -> None:
    strangers = ["https://evil.example", f"{PAGE}.evil.example", "http://app.example", "null"]
    if not allowed:
        strangers.append(PAGE)
    async with browser(tmp_path, *allowed) as send:
        for origin in strangers:
            preflight, actual = await send(origin, "OPTIONS"), await send(origin)
            assert 400 <= preflight[0] < 500
            for _, headers, _ in (preflight, actual):
                assert (origin, headers.get(MAY_USE)) == (origin, None)
                assert "access-control-allow-credentials" not in headers
