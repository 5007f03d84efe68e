"""A server that plays answers of OpenAI's APIs: Chat Completions (streamed too), and Responses."""

import json
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from auxot_tools.assembly.serving import serving
from auxot_tools.scripted.server import Receive, Send
from auxot_tools.types import JSON

_PIECE_CHARS = 5  # of the arguments, in a stream


def chat_call(call_id: str, name: str, arguments: str) -> JSON:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def completion(*calls: JSON, text: str | None = None, finish: str = "tool_calls") -> JSON:
    """An answer of Chat Completions."""
    message: JSON = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = list(calls)
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def response(*items: JSON, status: str = "completed", incomplete: str | None = None) -> JSON:
    """An answer of Responses."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "error": None,
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


@dataclass
class ChatUpstream:
    """Plays `answers` in order; `sent` are the requests' bodies. `url` is an SDK's base URL."""

    answers: list[JSON]
    url: str = ""
    sent: list[Any] = field(default_factory=list)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        whole, more = b"", True
        while more:
            message = await receive()
            whole += message.get("body", b"")
            more = message.get("more_body", False)
        body = json.loads(whole)
        self.sent.append(body)
        answer = self.answers.pop(0)
        streamed = body.get("stream") is True
        kind = b"text/event-stream" if streamed else b"application/json"
        said = _streamed(answer) if streamed else json.dumps(answer).encode()
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said, "more_body": False})


def _streamed(answer: JSON) -> bytes:
    choice = answer["choices"][0]
    message = choice["message"]
    deltas: list[JSON] = [{"role": "assistant", "content": message["content"]}]
    for index, call in enumerate(message.get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        head = call | {"index": index, "function": call["function"] | {"arguments": ""}}
        deltas.append({"tool_calls": [head]})
        for start in range(0, len(arguments), _PIECE_CHARS):
            piece = {"arguments": arguments[start : start + _PIECE_CHARS]}
            deltas.append({"tool_calls": [{"index": index, "function": piece}]})
    chunks = [
        *({"index": 0, "delta": delta, "finish_reason": None} for delta in deltas),
        {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]},
    ]
    base = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": "m"}
    lines = [f"data: {json.dumps(base | {'choices': [chunk]})}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


@asynccontextmanager
async def chat_upstream(*answers: JSON) -> AsyncGenerator[ChatUpstream, None]:
    upstream = ChatUpstream(list(answers))
    async with serving(upstream) as origin:
        upstream.url = f"{origin}/v1"
        yield upstream
