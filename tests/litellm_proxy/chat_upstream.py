"""A model that speaks OpenAI's chat completions: it calls our tool, then says what came back.

One job: those two answers, whole and streamed. LiteLLM translates them for Messages clients.
"""

import json
from typing import Any

from auxot_tools.types import JSON

CODE = json.dumps({"language": "python", "code": "print(6 * 7)"})


async def chat_app(scope: Any, receive: Any, send: Any) -> None:
    """ASGI."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    asked = json.loads(body)
    said = _said(asked)
    kind, answer = "application/json", json.dumps(_whole(said)).encode()
    if asked.get("stream"):
        kind, answer = "text/event-stream", _streamed(said)
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _said(asked: JSON) -> JSON:
    results = [one["content"] for one in asked["messages"] if one["role"] == "tool"]
    if results:
        text = results[-1] if isinstance(results[-1], str) else results[-1][0]["text"]
        return {"role": "assistant", "content": f"The tool said {text}."}
    function = {"name": "code_executor", "arguments": CODE}
    call = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _reason(said: JSON) -> str:
    return "tool_calls" if "tool_calls" in said else "stop"


def _whole(said: JSON) -> JSON:
    choice = {"index": 0, "message": said, "finish_reason": _reason(said)}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    return _object("chat.completion", choice) | {"usage": usage}


def _streamed(said: JSON) -> bytes:
    calls = [{"index": number, **call} for number, call in enumerate(said.get("tool_calls", []))]
    delta = {**said, "tool_calls": calls} if calls else said
    first = {"index": 0, "delta": delta, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": _reason(said)}
    chunks = [json.dumps(_object("chat.completion.chunk", one)) for one in (first, last)]
    return "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"]).encode()


def _object(kind: str, choice: JSON) -> JSON:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "chat", "choices": [choice]}
