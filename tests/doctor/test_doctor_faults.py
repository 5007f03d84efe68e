"""Staged faults with real servers: `doctor` names each, and the right fix."""

import json
from dataclasses import replace

import pytest
from anyio.abc import ByteStream

from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.probes import ProbeOptions, Question, observe
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import Finding, diagnose
from auxot_tools.doctor.table import RULES
from auxot_tools.net.exact import ExactLimits
from tests.support.raw_server import Answer, Asked, by_path, raw_server, reply, send
from tests.support.staged_endpoint import (
    KEY,
    MESSAGE,
    Endpoint,
    error,
    gzipped_stream,
    html_reply,
    json_reply,
    late,
    silent,
    sse,
    stream_reply,
)

pytestmark = pytest.mark.anyio

OPTIONS = ProbeOptions(
    limits=ExactLimits(connect_s=2, first_byte_s=2, idle_s=2, max_bytes=2**18), ports=()
)
IMPATIENT = replace(OPTIONS, limits=replace(OPTIONS.limits, first_byte_s=0.2))
NGINX_404 = html_reply(
    "404 Not Found", "<html><head><title>404 Not Found</title></head></html>", Server="nginx/1.25.3"
)
LOGIN = "<!doctype html><html><head><title>Sign in - Example</title></head></html>"


async def found(question: Question, options: ProbeOptions = OPTIONS) -> tuple[Finding, ...]:
    """What is found; no key is in what is printed of it."""
    seen = await observe(question, options)
    findings = diagnose(seen, RULES)
    printed = "\n".join(lines(seen, findings)) + json.dumps(as_json(seen, findings))
    for text in filter(None, (question.key.given, question.key.clean)):
        if len(text) > 8:
            assert text not in printed
    return findings


def faults(findings: tuple[Finding, ...]) -> list[str]:
    return [one.id for one in findings if not one.is_note]


async def asked(
    answer: Answer,
    path: str = "/api/anthropic",
    key: str | None = KEY,
    options: ProbeOptions = OPTIONS,
    client: Client = Client.ANTHROPIC,
    **headers: str,
) -> tuple[str, tuple[Finding, ...]]:
    """The server's origin, and what is found for that base URL."""
    async with raw_server(answer) as server:
        base = BaseUrl(server.url(path), client)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        question = Question(base, KeyFacts(key), sent)
        return server.url(""), await found(question, options)


async def test_a_healthy_endpoint_has_nothing_wrong() -> None:
    _, findings = await asked(Endpoint())
    assert findings == ()


# base URL's path -> what is found; the endpoint is strict, at /api/anthropic/v1/messages
PATHS = {
    "": "api_path_missing",
    "/v1": "api_path_missing",
    "/api/anthropic/v1": "v1_doubled",
    "/api/anthropic/v1/v1": "v1_repeated",
    "/api/anthropic/v1/v1/v1": "v1_repeated",
    "/api/anthropic/v1/messages": "endpoint_in_base",
    "/api/anthropic/messages": "endpoint_in_base",
    "/api/openai": "openai_path",
    "/api/openai/v1": "openai_path",
    "/API/Anthropic": "wrong_case",
    "/api/anthropic?beta=true": "query_in_base",
    "/api/antropic": "api_path_missing",
    "/api/anthropic/extra": "path_wrong",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
async def test_a_wrong_path_is_found_and_the_right_base_url_is_named(
    path: str, expected: str
) -> None:
    origin, findings = await asked(Endpoint(), path)
    assert faults(findings) == [expected]
    assert findings[0].fix == f"Set ANTHROPIC_BASE_URL={origin}/api/anthropic"


async def test_a_slash_at_the_end_is_found_where_the_server_does_not_take_two() -> None:
    origin, findings = await asked(Endpoint(), "/api/anthropic/")
    assert [one.id for one in findings if one.is_note] == ["trailing_slash"]
    assert faults(findings) == []
    assert findings[0].fix == f"Set ANTHROPIC_BASE_URL={origin}/api/anthropic"


async def test_the_vercel_sdk_is_told_the_base_with_v1() -> None:
    origin, findings = await asked(Endpoint(), client=Client.VERCEL)
    assert faults(findings) == ["v1_dropped"]
    assert findings[0].fix == f"Set baseURL={origin}/api/anthropic/v1"


async def test_an_endpoint_at_the_root_is_found() -> None:
    origin, findings = await asked(Endpoint(root=""))
    assert faults(findings) == ["api_path_too_much"]
    assert findings[0].fix == f"Set ANTHROPIC_BASE_URL={origin}"


async def test_an_endpoint_that_takes_the_key_is_preferred_to_one_that_refuses_it() -> None:
    refusing = json_reply("401 Unauthorized", error("authentication_error", "Not here."))
    strict = Endpoint(root="/team/api/anthropic")
    async with raw_server(
        by_path(api=refusing, team=strict, v1=refusing, health=NGINX_404)
    ) as server:
        findings = await found(Question(BaseUrl(server.url("/team")), KeyFacts(KEY)))
        assert faults(findings) == ["api_path_missing"]
        assert findings[0].fix.endswith(server.url("/team/api/anthropic"))


# the key as it is set -> what is found, and a part of the fix
KEYS: dict[str | None, tuple[str, str]] = {
    f'"{KEY}"': ("key_with_quotes", "without quotes"),
    f"Bearer {KEY}": ("key_with_bearer", "without `Bearer `"),
    f"ANTHROPIC_API_KEY={KEY}": ("key_with_name", "the key alone"),
    f"{KEY}\n": ("key_with_space", "tr -d"),
    "$ANTHROPIC_API_KEY": ("key_not_expanded", "double quotes"),
    "": ("key_empty", "keys create"),
    "rtr_...": ("key_is_placeholder", "a real key"),
    None: ("key_missing", "x-api-key"),
    "adm_" + "a" * 43: ("key_for_workers", "begins with rtr_"),
    "tls_" + "a" * 43: ("key_for_workers", "begins with rtr_"),
    "tools.id1.secret12345678": ("key_for_workers", "begins with rtr_"),
    "sk-ant-api03-aaaaaaaaaaaaaaaaaaaa": ("key_of_anthropic", "a key of this router"),
    "sk-proj-aaaaaaaaaaaaaaaaaaaa": ("key_of_openai", "a key of this router"),
    KEY[:-5]: ("key_cut", "whole key"),
    "rtr_" + "z" * 43: ("key_unknown", "this very router"),
}


@pytest.mark.parametrize(("key", "expected"), KEYS.items())
async def test_a_wrong_key_is_found(key: str | None, expected: tuple[str, str]) -> None:
    _, findings = await asked(Endpoint(), key=key)
    assert faults(findings) == [expected[0]]
    assert expected[1] in findings[0].fix


async def test_a_key_that_was_set_with_a_line_end_is_sent_without_it() -> None:
    async with raw_server(Endpoint()) as server:
        await observe(Question(BaseUrl(server.url("/api/anthropic")), KeyFacts(f"{KEY}\r\n")))
        assert {one.headers.get("x-api-key") for one in server.asked} <= {KEY, None}


async def test_a_key_in_the_wrong_header_is_found() -> None:
    _, findings = await asked(Endpoint(forms=["bearer"]))
    assert faults(findings) == ["key_in_the_wrong_header"]
    assert "`Authorization: Bearer KEY`" in findings[0].fix


async def test_bearer_in_lower_case_is_found() -> None:
    _, findings = await asked(
        Endpoint(), authorization=f"bearer {KEY}", anthropic_version="2023-06-01"
    )
    assert faults(findings) == ["bearer_in_lower_case"]
    assert "capital B" in findings[0].fix


async def test_a_header_that_other_clients_send_and_is_refused_is_a_note() -> None:
    _, findings = await asked(Endpoint(forms=["x-api-key"]))
    assert [one.id for one in findings] == ["bearer_refused"]
    assert findings[0].is_note


async def test_a_missing_version_is_found() -> None:
    _, findings = await asked(Endpoint(), x_api_key=KEY)
    assert faults(findings) == ["version_missing"]
    assert "anthropic-version: 2023-06-01" in findings[0].fix


async def test_a_wrong_version_is_found() -> None:
    _, findings = await asked(Endpoint(), x_api_key=KEY, anthropic_version="2024-01-01")
    assert faults(findings) == ["version_wrong"]
    assert "anthropic-version: 2023-06-01" in findings[0].fix


async def test_a_server_that_does_not_know_the_newest_version_is_a_note() -> None:
    _, findings = await asked(Endpoint(versions=["2023-06-01"]))
    assert [one.id for one in findings] == ["new_version_refused"]


async def test_a_model_that_is_not_served_is_told_with_those_that_are() -> None:
    async with raw_server(Endpoint(models=("alpha", "beta"))) as server:
        base = BaseUrl(server.url("/api/anthropic"))
        findings = await found(Question(base, KeyFacts(KEY), model="gamma"))
    assert faults(findings) == ["model_unknown"]
    assert "alpha, beta" in findings[0].fix


async def test_without_a_model_one_that_is_served_is_asked() -> None:
    _, findings = await asked(Endpoint(models=("alpha", "beta")))
    assert [one.id for one in findings] == ["model_replaced"]


# an answer to everything -> what is found, and a part of the fix
SERVERS: dict[str, tuple[Answer, str, str]] = {
    "nginx": (NGINX_404, "web_page", "let nginx/1.25.3 pass /api/anthropic/ on"),
    "login page": (html_reply("200 OK", LOGIN), "login_page", "takes keys"),
    "another page": (html_reply("200 OK", "<html>Welcome</html>"), "web_page", "the router itself"),
    "json of another kind": (json_reply("200 OK", {"hello": 1}), "not_messages", "at a router"),
    "nothing at all": (reply(), "not_messages", "at a router"),
    "json 404": (
        json_reply("404 Not Found", {"detail": "Not Found"}),
        "no_endpoint",
        "at a router",
    ),
    "firewall": (
        html_reply(
            "403 Forbidden", "<html><title>Access denied</title></html>", Server="cloudwall"
        ),
        "blocked_before_the_server",
        "Ask the operator of cloudwall",
    ),
    "no permission": (
        json_reply("403 Forbidden", error("permission_error", "This key may not.")),
        "key_may_not",
        "to allow it for this key",
    ),
    "limited": (
        json_reply("429 Too Many Requests", error("rate_limit_error", "Slowly."), Retry_After="7"),
        "rate_limited",
        "Wait 7 seconds",
    ),
    "overloaded": (
        json_reply("529 Overloaded", error("overloaded_error", "No provider is online.")),
        "provider_offline",
        "Start the model's server",
    ),
    "unavailable": (
        json_reply("503 Service Unavailable", error("api_error", "The upstream is away.")),
        "provider_offline",
        "/health",
    ),
    "router's own key": (
        json_reply(
            "502 Bad Gateway",
            error("api_error", "The upstream refused the router's own key; set another one."),
        ),
        "upstream_key_refused",
        "AUXOT_UPSTREAM_API_KEY",
    ),
    "proxy without a backend": (
        html_reply(
            "502 Bad Gateway", "<html><title>502 Bad Gateway</title></html>", Server="nginx"
        ),
        "backend_down",
        "Start the router behind nginx",
    ),
    "timeout": (
        json_reply("504 Gateway Timeout", error("timeout_error", "Too slow.")),
        "provider_slow",
        "loading or overloaded",
    ),
    "fault": (
        json_reply("500 Oops", error("api_error", "Internal error."), Request_Id="req_12"),
        "server_fault",
        "req_12",
    ),
    "too large": (
        html_reply("413 Payload Too Large", "<html>413</html>", Server="nginx"),
        "request_too_large",
        "client_max_body_size",
    ),
    "wrong content type": (
        reply(b'{"type": "message", "content": []}', Content_Type="text/plain"),
        "wrong_content_type",
        "application/json",
    ),
    "openai answers": (
        json_reply("200 OK", {"object": "chat.completion", "choices": []}),
        "openai_only",
        "OpenAI client",
    ),
}


@pytest.mark.parametrize("case", SERVERS)
async def test_a_wrong_server_or_a_fault_of_it_is_found(case: str) -> None:
    answer, expected, fix = SERVERS[case]
    _, findings = await asked(answer)
    assert faults(findings)[0] == expected
    assert fix in findings[0].fix


async def test_a_server_of_the_openai_dialect_alone_is_found() -> None:
    unauthorized = {"error": {"message": "you must provide a model", "type": "invalid_request"}}
    _, findings = await asked(
        Endpoint(root="/nowhere", missing=_openai(json_reply("400 Bad Request", unauthorized)))
    )
    assert faults(findings) == ["openai_only"]
    assert "base_url=" in findings[0].fix


def _openai(chat: Answer) -> Answer:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        is_chat = asked.path == "/v1/chat/completions"
        await (chat if is_chat else NGINX_404)(asked, stream)

    return answer


STREAMS: dict[str, tuple[Answer, str, str]] = {
    "held back": (late(stream_reply(sse(pings=2)), 0.5), "stream_buffered", "proxy_buffering off"),
    "compressed": (gzipped_stream(), "stream_compressed", "gzip off"),
    "cut": (stream_reply(sse()[:-60]), "stream_broken", "proxy_read_timeout"),
    "wrong type": (
        stream_reply(sse(), Content_Type="text/plain"),
        "stream_of_wrong_type",
        "text/event-stream",
    ),
    "not one": (json_reply("200 OK", MESSAGE), "not_streamed", '"stream": true'),
    "refused": (
        json_reply("500 Oops", error("api_error", "No streams.")),
        "stream_refused",
        "log of the router",
    ),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_an_ill_stream_is_found(case: str) -> None:
    answer, expected, fix = STREAMS[case]
    _, findings = await asked(Endpoint(stream=answer))
    assert faults(findings) == [expected]
    assert fix in findings[0].fix


async def test_a_proxy_that_refuses_large_bodies_is_found() -> None:
    _, findings = await asked(Endpoint(large=html_reply("413 Too Large", "<html>413</html>")))
    assert faults(findings) == ["large_bodies_refused"]
    assert "client_max_body_size" in findings[0].fix


async def test_a_model_that_does_not_answer_is_told_from_a_dead_server() -> None:
    health = json_reply("200 OK", {"status": "ok"})
    _, findings = await asked(Endpoint(hello=silent, health=health), options=IMPATIENT)
    assert faults(findings) == ["provider_hangs"]
    assert "the model server behind" in findings[0].fix


async def test_the_auxot_router_without_a_gpu_worker_is_found() -> None:
    health = json_reply("200 OK", {"status": "ok", "workers": 0, "available": 0})
    _, findings = await asked(Endpoint(hello=silent, health=health), options=IMPATIENT)
    assert faults(findings) == ["no_gpu_worker"]
    assert "Start a GPU worker" in findings[0].fix


async def test_a_server_that_says_nothing_is_found() -> None:
    _, findings = await asked(silent, options=IMPATIENT)
    assert faults(findings) == ["server_hangs"]


async def test_what_is_no_http_server_is_found() -> None:
    _, findings = await asked(send(b"SSH-2.0-OpenSSH_9.2\r\n"), options=IMPATIENT)
    assert faults(findings) == ["not_http"]
    assert "another service" in findings[0].fix


async def test_a_connection_that_is_closed_at_once_is_found() -> None:
    _, findings = await asked(send(b""), options=IMPATIENT)
    assert faults(findings) == ["closed"]
