"""Endpoints that a doctor is called to: strict ones, and others that are ill in one way each.

One job: answers for `raw_server`. Their words are those of the servers that they stand for.
"""

import gzip
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream

from tests.support.raw_server import Answer, Asked, reply

KEY = "rtr_" + "k3y" * 14 + "k"  # 47 characters, as Auxot's keys have
DEADLINE_S = 20.0
GO_404 = {"error": {"message": "endpoint not found", "type": "not_found"}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


PING: dict[str, object] = {"type": "ping"}


def error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def json_reply(status: str, body: bytes | Mapping[str, object], **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply(data, status, **({"Content_Type": "application/json"} | headers))


def html_reply(status: str, page: str, **headers: str) -> Answer:
    return reply(page.encode(), status, **({"Content_Type": "text/html"} | headers))


def sse(pings: int = 0) -> bytes:
    """A whole stream of a few words."""
    delta = {"type": "text_delta", "text": "1 "}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
        *[PING] * pings,
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * 8,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 8},
        },
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)


def stream_reply(body: bytes, **headers: str) -> Answer:
    return reply(body, **({"Content_Type": "text/event-stream"} | headers))


def gzipped_stream() -> Answer:
    return stream_reply(gzip.compress(sse()), Content_Encoding="gzip")


NOT_FOUND = json_reply("404 Not Found", GO_404)
HELLO = json_reply("200 OK", MESSAGE)
STREAM = stream_reply(sse())


@dataclass(frozen=True)
class Endpoint:
    """A strict Messages endpoint: one path, exact rules, nothing repaired. An `Answer`.

    ``stream``, ``healthy`` and ``large`` replace the answers to those requests.
    """

    root: str = "/api/anthropic"
    key: str = KEY
    forms: Collection[str] = ("x-api-key", "bearer")
    versions: Collection[str] = ("2023-06-01", "2026-10-21")
    missing: Answer = NOT_FOUND
    hello: Answer = HELLO
    stream: Answer = STREAM
    large: Answer | None = None
    health: Answer | None = None
    models: tuple[str, ...] = ()

    async def __call__(self, asked: Asked, stream: ByteStream) -> None:
        await self._answer(asked)(asked, stream)

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/health" and self.health is not None:
            return self.health
        path = asked.path.partition("?")[0]
        if path == f"{self.root}/v1/models" and self.models:
            listed = {"data": [{"type": "model", "id": name} for name in self.models]}
            return json_reply("200 OK", listed)
        if asked.method != "POST" or path != f"{self.root}/v1/messages":
            return self.missing
        if not self._is_key_right(asked):
            return json_reply("401 Unauthorized", error("authentication_error", "Invalid API key."))
        version = asked.headers.get("anthropic-version", "")
        if version not in self.versions:
            return json_reply(
                "400 Bad Request",
                error("invalid_request_error", f"anthropic-version: {version or 'required'}"),
            )
        return self._answer_to_body(asked)

    def _answer_to_body(self, asked: Asked) -> Answer:
        if self.large is not None and len(asked.body) > 2**20:
            return self.large
        body = json.loads(asked.body)
        if not body.get("messages"):
            return json_reply(
                "400 Bad Request", error("invalid_request_error", "messages: Field required")
            )
        if self.models and body["model"] not in self.models:
            return json_reply("404 Not Found", error("not_found_error", f"model: {body['model']}"))
        return self.stream if body.get("stream") else self.hello

    def _is_key_right(self, asked: Asked) -> bool:
        given = {
            "x-api-key": asked.headers.get("x-api-key") == self.key,
            "bearer": asked.headers.get("authorization") == f"Bearer {self.key}",
        }
        return any(given[form] for form in self.forms)


async def silent(_asked: Asked, _stream: ByteStream) -> None:
    """Takes the request and never answers; the server's end, or the client's leaving, ends it."""
    await anyio.sleep(DEADLINE_S)


def late(answer: Answer, after_s: float) -> Answer:
    """What a proxy does that holds an answer back until it is whole."""

    async def held_back(asked: Asked, stream: ByteStream) -> None:
        await anyio.sleep(after_s)
        await answer(asked, stream)

    return held_back
