"""The scripted model over HTTP: a plain ASGI callable for any ASGI server.

One job: carry requests to a `ScriptedModel` and play its answers, so that tests and benchmarks have
a real upstream on a socket. It needs no framework and must not know what is said.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from auxot_tools.errors import Unavailable
from auxot_tools.scripted.model import PlayedAnswer, ScriptedModel
from auxot_tools.scripted.sse import Break, error_body, json_bytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_LIMIT_BYTES = 64 * 2**20  # twice the Messages API's own limit


def scripted_app(model: ScriptedModel) -> AsgiApp:
    """An ASGI app that answers ``POST …/messages`` and its ``count_tokens``, and ``GET …/models``,
    from ``model``, and 404 to everything else.

    A scripted cut drops the connection without an end; an unreachable upstream cannot be played
    here and is a 503. A client that leaves ends the answer at once and counts as cancelled.
    """

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await _answer(model, scope, receive, send)

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(
    model: ScriptedModel, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    asked = f"{scope['method']} {scope['path'].rpartition('/')[2]}"
    if asked == "GET models":
        listed = [{"type": "model", "id": name} for name in model.models]
        await _whole(send, 200, json_bytes({"data": listed, "has_more": False}))
        return
    if asked not in ("POST messages", "POST count_tokens"):
        await _whole(send, 404, error_body("not_found_error", "There is only POST …/messages."))
        return
    body = await _body(receive)
    if body is None:
        await _whole(send, 413, error_body("request_too_large", "The body is too large."))
        return
    if asked == "POST count_tokens":
        count = await model.count_tokens(body, {})
        await _whole(send, 200, json_bytes({"input_tokens": count}))
        return
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        query = scope.get("query_string", b"").decode("latin-1")
        answer = model.answer(body, headers, query)
    except Unavailable as error:
        await _whole(send, 503, error_body("api_error", str(error)))
        return
    ended = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_leave_with_client, receive, tasks.cancel_scope)
        try:
            await _play(model, answer, send)
            ended = True
        finally:
            model.count_end(ended=ended)
        tasks.cancel_scope.cancel()


async def _body(receive: Receive) -> bytes | None:
    """The request's body; ``None`` when it is larger than the limit or the client left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _leave_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _play(model: ScriptedModel, answer: PlayedAnswer, send: Send) -> None:
    await _start(send, answer.status, answer.content_type, dict(answer.headers))
    for piece in answer.pieces:
        data = await model.in_time(piece)
        if isinstance(data, Break):
            return  # without `more_body: False`: the server drops the connection
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _start(send: Send, status: int, content_type: str, headers: dict[str, str]) -> None:
    everything = {"content-type": content_type, "cache-control": "no-store", **headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in everything.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _whole(send: Send, status: int, body: bytes) -> None:
    await _start(send, status, "application/json", {"content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body, "more_body": False})
