"""Servers of other makers, gateways, and answers that no table names: none is "all well"."""

import json
from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.probes import ProbeOptions, Question, observe
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import Finding, diagnose
from auxot_tools.doctor.table import RULES
from auxot_tools.net.exact import ExactLimits
from tests.support.raw_server import Answer, Asked, raw_server, reply, send
from tests.support.staged_endpoint import (
    MESSAGE,
    Endpoint,
    error,
    html_reply,
    json_reply,
)

pytestmark = pytest.mark.anyio

RIGHT, WRONG = "right-key-12345", "wrong-key-12345"
LIMITS = ExactLimits(connect_s=2, first_byte_s=2, idle_s=2, max_bytes=2**18)
OPTIONS = ProbeOptions(limits=LIMITS, ports=())
HURRIED = replace(OPTIONS, limits=replace(LIMITS, first_byte_s=0.3, idle_s=0.3), total_s=0.6)


async def found(
    answer: Answer, path: str = "", key: str = RIGHT, options: ProbeOptions = OPTIONS
) -> tuple[Finding, ...]:
    """What is found; it can be printed, and no key is in it."""
    async with raw_server(answer) as server:
        question = Question(BaseUrl(server.url(path)), KeyFacts(key))
        seen = await observe(question, options)
        origin = server.url("")
    findings = diagnose(seen, RULES)
    printed = "\n".join(lines(seen, findings)) + json.dumps(as_json(seen, findings))
    printed.encode()
    assert key not in printed
    assert key[:8] not in printed
    return tuple(replace(one, fix=one.fix.replace(origin, "ORIGIN")) for one in findings)


def faults(findings: tuple[Finding, ...]) -> list[str]:
    return [one.id for one in findings if not one.is_note]


def openai_error(status: str, message: str, kind: str) -> Answer:
    told = {"error": {"message": message, "type": kind, "param": None, "code": status[:3]}}
    return json_reply(status, told)


class Foreign:
    """A server with `/v1/messages` and the errors of another dialect, as `style` has them."""

    def __init__(self, style: str) -> None:
        self.style = style

    async def __call__(self, asked: Asked, stream: ByteStream) -> None:
        await self._answer(asked)(asked, stream)

    def _answer(self, asked: Asked) -> Answer:
        headers = asked.headers
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        keys = {bearer} if self.style == "vllm" else {bearer, headers.get("x-api-key", "")}
        if asked.path == "/health":
            return json_reply("200 OK", {"status": "ok"})
        if RIGHT not in keys:
            return self._refusal()
        if asked.path == "/v1/messages":
            body = json.loads(asked.body)
            if body.get("messages"):
                return json_reply("200 OK", MESSAGE)
            if self.style == "llama.cpp":  # as the real one answers
                told = {"code": 500, "message": "'messages' is required", "type": "server_error"}
                return json_reply("500 Internal Server Error", {"error": told})
            return openai_error("400 Bad Request", "'messages' is required", "invalid_request")
        if asked.path == "/v1/chat/completions":
            return openai_error("400 Bad Request", "'messages' is required", "invalid_request")
        return json_reply("404 Not Found", {"detail": "Not Found"})

    def _refusal(self) -> Answer:
        if self.style == "vllm":
            return json_reply("401 Unauthorized", {"error": "Unauthorized"})
        if self.style == "litellm":
            return openai_error("400 Bad Request", "Authentication Error, No key", "auth_error")
        return openai_error("401 Unauthorized", "Invalid API Key", "authentication_error")


STYLES = ["llama.cpp", "vllm", "litellm"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_a_wrong_key_at_another_server_is_told_as_that(style: str, path: str) -> None:
    assert faults(await found(Foreign(style), path, WRONG)) == ["key_unknown"]


@pytest.mark.parametrize("style", STYLES)
async def test_a_doubled_v1_at_another_server_is_told_with_the_right_key(style: str) -> None:
    findings = await found(Foreign(style), "/v1")
    assert faults(findings) == ["v1_doubled"]
    assert findings[0].fix == "Set ANTHROPIC_BASE_URL=ORIGIN"


async def test_a_server_that_takes_bearer_alone_in_another_dialect_is_told_so() -> None:
    assert faults(await found(Foreign("vllm"))) == ["key_in_the_wrong_header"]


async def test_an_error_of_another_dialect_where_every_path_has_it_is_no_endpoint() -> None:
    everywhere = openai_error("400 Bad Request", "no", "invalid_request")
    assert faults(await found(everywhere)) == ["openai_only"]


UNFINISHED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
BODY = json.dumps(MESSAGE).encode()


async def trickle(_asked: Asked, stream: ByteStream) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        await stream.send(b" ")
        await anyio.sleep(0.05)


async def silent(_asked: Asked, stream: ByteStream) -> None:
    await stream.receive()


# an answer to everything -> what is found, and a part of the fix
ANSWERS: dict[str, tuple[Answer, str, str]] = {
    "no credit": (
        json_reply("402 Payment Required", error("billing_error", "Too low.")), "no_credit", "Pay",
    ),
    "conflict": (json_reply("409 Conflict", error("x", "y")), "unknown_answer", "/v1/messages"),
    "teapot": (reply(b"teapot", "418 X"), "unknown_answer", "log of"),
    "no content": (reply(status="204 No Content"), "unknown_answer", "log of"),
    "created": (json_reply("201 Created", b"{}"), "unknown_answer", "log of"),
    "choices": (reply(b"x", "300 Multiple Choices"), "unknown_answer", "log of"),
    "to nowhere": (reply(b"x", "302 Found"), "unknown_answer", "log of"),
    "to no URL": (reply(b"x", "302 Found", Location="http://[bad"), "unknown_answer", "log of"),
    "bad request": (html_reply("400 Bad Request", "<html>400</html>"), "unknown_answer", "log of"),
    "not ours": (json_reply("422 X", {"detail": [{"msg": "required"}]}), "unknown_answer", "log"),
    "without end": (
        send(UNFINISHED + f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n"), "answer_broken", "cuts",
    ),
    "basic": (
        html_reply("401 Unauthorized", "<html><title>401</title></html>", Server="nginx",
                   WWW_Authenticate="Basic realm=x"),
        "gateway_wants_sign_in", "operator of nginx",
    ),
    "kong": (
        json_reply("401 Unauthorized", {"message": "No API key found in request"}, Server="kong/3"),
        "gateway_wants_sign_in", "operator of kong/3",
    ),
    "cloudflare": (
        html_reply("525 X", "<title>525: SSL handshake failed</title>", Server="cloudflare"),
        "origin_of_cloudflare_down", "certificate",
    ),
    "tunnel": (html_reply("530 X", "<html>530</html>"), "origin_of_cloudflare_down", "tunnel"),
    "no id": (json_reply("500 Oops", error("api_error", "Oops.")), "server_fault", "by its time"),
    "authelia": (
        reply(status="302 Found", Location="https://auth.example.com/?rd=https://x"),
        "redirect_to_login", "takes keys",
    ),
    "sso": (
        reply(status="302 Found", Location="https://x.example/start?redirect_uri=https://x"),
        "redirect_to_login", "takes keys",
    ),
    "shell": (
        reply(status="308 X", Location="/$(touch${IFS}p)`a`;'/v1/messages"),
        "redirect", "/%24%28touch%24%7BIFS%7Dp%29%60a%60%3B%27",
    ),
    "surrogate": (
        json_reply("400 Bad Request", b'{"type":"error","error":{"type":"x","message":"\\ud800"}}'),
        "request_refused", "Correct",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_that_is_no_message_is_never_well(case: str) -> None:
    answer, expected, fix = ANSWERS[case]
    findings = await found(
        answer, "/api/anthropic", options=replace(OPTIONS, limits=HURRIED.limits)
    )
    assert faults(findings) == [expected]
    assert fix in findings[0].fix
    assert "none" not in findings[0].fix


@pytest.mark.parametrize(
    ("answer", "expected"), [(trickle, "answer_broken"), (silent, "server_hangs")]
)
async def test_a_first_answer_that_takes_all_the_time_is_no_good_answer(
    answer: Answer, expected: str
) -> None:
    impatient = replace(HURRIED, limits=replace(LIMITS, first_byte_s=30, idle_s=30))
    assert faults(await found(answer, options=impatient)) == [expected]


async def test_where_nothing_was_asked_nothing_is_well() -> None:
    assert faults(diagnose(Observations(base=BaseUrl("http://h")), RULES)) == ["unknown_answer"]


async def test_a_limit_that_is_met_while_looking_is_a_note() -> None:
    limited = json_reply("429 X", error("rate_limit_error", "Slowly."))
    findings = await found(Endpoint(root="", key=RIGHT, stream=limited, large=limited))
    assert [one.id for one in findings] == ["limited_while_looking"]


@pytest.mark.parametrize("padding", [*range(180, 201, 4)])
@pytest.mark.parametrize("field", ["message", "type", "server", "page", "text"])
async def test_of_a_key_that_a_server_repeats_no_piece_is_left_where_words_are_cut(
    padding: int, field: str
) -> None:
    key = "any" + "0123456789" * 4
    said = "x" * (padding % 40 if field == "server" else padding) + " " + key
    told = {"type": "error", "error": {"type": "t", "message": "m"} | {field: said}}
    bodies = {"page": f"<title>{said}</title>", "text": said}
    body = bodies.get(field, json.dumps(told)).encode()
    headers = {"server": said} if field == "server" else {}
    asked = Attempt("asked", "http://h/v1/messages", status=401, body=body, headers=headers)
    seen = Observations(base=BaseUrl("http://h"), key=KeyFacts(key), attempts=(asked,))
    findings = diagnose(seen, RULES)
    printed = "\n".join(lines(seen, findings)) + json.dumps(as_json(seen, findings))
    assert "any0" not in printed


async def test_signs_that_a_reader_does_not_see_are_not_printed() -> None:
    told = error("x", "abc\u202eexe\u200b\u2066\u2028d\x1b[2J")
    asked = Attempt("asked", "http://h/v1/messages", status=404, body=told)
    seen = Observations(base=BaseUrl("http://h"), attempts=(asked,))
    printed = "\n".join(lines(seen, diagnose(seen, RULES)))
    assert not {"\u202e", "\u200b", "\u2066", "\u2028", "\x1b"} & set(printed)
