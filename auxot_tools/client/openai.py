"""Our tools for programs that speak OpenAI's APIs: Chat Completions, and Responses.

One job: the tools and the calls of a turn in those forms, and the results back. It reads the
objects of the `openai` SDK and plain dicts alike, and needs no SDK itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, Unpack, overload

from auxot_tools.client.answers import Answers, Content, as_blocks, texts_of
from auxot_tools.client.async_client import AsyncClient
from auxot_tools.client.blocking import Client
from auxot_tools.client.options import CallOptions
from auxot_tools.client.turn import AssistantTurn, TurnCall, call_of, member, members
from auxot_tools.errors import RequestError
from auxot_tools.loop.schedule import why_not_asked_for
from auxot_tools.types import JSON, ToolResult

_NO_ANSWER = "run() takes a chat completion, one of its choices, or the assistant's message"
_NO_RESPONSE = "run_response() takes a response of the Responses API"
# Why a turn ended, in the Messages API's words; what is not here asks for its calls.
_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal", None: ""}
_INCOMPLETE = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
_IMAGES_TEXT = "The images of the tool results above:"

_Answered = TypeVar("_Answered", bound=Answers)
_Made = Callable[[AssistantTurn, Sequence[ToolResult | None]], _Answered]


class ToolMessages(list[Any], Answers):
    """The ``role: "tool"`` messages that answer a turn: extend ``messages`` by them."""

    def __init__(
        self, turn: AssistantTurn, results: Sequence[ToolResult | None], *, images: bool = False
    ) -> None:
        super().__init__()
        self._take(turn, results, self)
        pictures = [_picture(block) for block in _images_of(self.results)] if images else []
        if pictures:
            content = [{"type": "text", "text": _IMAGES_TEXT}, *pictures]
            self.append({"role": "user", "content": content})

    def _written(self, call: TurnCall, content: Content, *, is_error: bool) -> JSON:  # noqa: ARG002
        # There is no mark for an error: the texts of ours say what failed.
        text = "\n".join(block["text"] for block in texts_of(as_blocks(content)))
        return {"role": "tool", "tool_call_id": call.id, "content": text}


class FunctionOutputs(list[Any], Answers):
    """The items that answer the calls of a response: add them to the next ``input``."""

    def __init__(self, turn: AssistantTurn, results: Sequence[ToolResult | None]) -> None:
        super().__init__()
        self._take(turn, results, self)

    def _written(self, call: TurnCall, content: Content, *, is_error: bool) -> JSON:  # noqa: ARG002
        item = {"type": f"{call.kind or 'function_call'}_output", "call_id": call.id}
        parts = as_blocks(content)
        if not any(block.get("type") == "image" for block in parts):
            return item | {"output": "\n".join(block["text"] for block in texts_of(parts))}
        return item | {"output": [_output_part(block) for block in parts]}


def chat_tools(specs: Sequence[Any]) -> list[Any]:
    """``tools`` of a Chat Completions request, from what a client's ``specs()`` gives."""
    return [{"type": "function", "function": _function(spec)} for spec in specs]


def response_tools(specs: Sequence[Any]) -> list[Any]:
    """``tools`` of a Responses request, from what a client's ``specs()`` gives."""
    return [{"type": "function", "strict": False} | _function(spec) for spec in specs]


def _function(spec: Any) -> JSON:
    return {
        "name": spec["name"],
        "description": spec["description"],
        "parameters": spec["input_schema"],
    }


@overload
def run(
    client: Client, answer: Any, *, images: bool = False, **options: Unpack[CallOptions]
) -> ToolMessages: ...


@overload
def run(
    client: AsyncClient, answer: Any, *, images: bool = False, **options: Unpack[CallOptions]
) -> Awaitable[ToolMessages]: ...


def run(
    client: Client | AsyncClient,
    answer: Any,
    *,
    images: bool = False,
    **options: Unpack[CallOptions],
) -> ToolMessages | Awaitable[ToolMessages]:
    """Run the calls of a chat completion (its first choice), a choice, or an assistant's message.

    Await it for an ``AsyncClient``. The list is empty when no tool is called. All else is as for
    ``client.run``; of a message without its choice it is not known whether it was cut. Tool
    messages hold text only: ``images`` adds a user message with the images of the results, for
    models that see; without it they are named and left out. Raises ``RequestError``.
    """

    def made(turn: AssistantTurn, results: Sequence[ToolResult | None]) -> ToolMessages:
        return ToolMessages(turn, results, images=images)

    return _run(client, chat_turn(answer), made, options)


@overload
def run_response(
    client: Client, response: Any, **options: Unpack[CallOptions]
) -> FunctionOutputs: ...


@overload
def run_response(
    client: AsyncClient, response: Any, **options: Unpack[CallOptions]
) -> Awaitable[FunctionOutputs]: ...


def run_response(
    client: Client | AsyncClient, response: Any, **options: Unpack[CallOptions]
) -> FunctionOutputs | Awaitable[FunctionOutputs]:
    """Run the function calls of a response of the Responses API; its other items are left alone.

    Await it for an ``AsyncClient``. The list is empty when no function is called. All else is as
    for ``client.run``. Raises ``RequestError``.
    """
    return _run(client, response_turn(response), FunctionOutputs, options)


def _run(
    client: Client | AsyncClient, turn: AssistantTurn, made: _Made[_Answered], options: CallOptions
) -> _Answered | Awaitable[_Answered]:
    if isinstance(client, AsyncClient):
        return _run_async(client, turn, made, options)
    return made(turn, client.run_turn(turn, **options))


async def _run_async(
    client: AsyncClient, turn: AssistantTurn, made: _Made[_Answered], options: CallOptions
) -> _Answered:
    return made(turn, await client.run_turn(turn, **options))


def chat_turn(answer: Any) -> AssistantTurn:
    """The turn in a chat completion, a choice or a message. Raises ``RequestError``."""
    choices = members(answer, "choices")
    choice = choices[0] if choices else answer
    message = member(choice, "message", choice)
    if member(message, "role") != "assistant":
        raise RequestError(_NO_ANSWER)
    reason = member(choice, "finish_reason") if message is not choice else "stop"
    stop_reason = "refusal" if member(message, "refusal") else _STOP_REASONS.get(reason, "tool_use")
    return AssistantTurn(
        calls=tuple(map(_chat_call, members(message, "tool_calls"))),
        why_not=why_not_asked_for(stop_reason),
        message_id=_text(member(answer, "id")),
    )


def _chat_call(call: Any) -> TurnCall:
    kind = member(call, "type", "function")
    if kind == "custom":
        custom = member(call, "custom")
        return call_of(
            member(call, "id"), member(custom, "name"), member(custom, "input"), kind=kind
        )
    function = member(call, "function")
    return call_of(member(call, "id"), member(function, "name"), member(function, "arguments", ""))


def response_turn(response: Any) -> AssistantTurn:
    """The turn in a response of the Responses API. Raises ``RequestError``."""
    status = member(response, "status")
    if not isinstance(member(response, "output"), list | tuple):
        raise RequestError(_NO_RESPONSE)
    stop_reason = "tool_use" if status == "completed" else ""
    if status == "incomplete":
        reason = member(member(response, "incomplete_details"), "reason")
        stop_reason = _INCOMPLETE.get(reason, "")
    items = members(response, "output")
    if any(member(part, "type") == "refusal" for one in items for part in members(one, "content")):
        stop_reason = "refusal"
    calls = [one for one in items if member(one, "type") in ("function_call", "custom_tool_call")]
    return AssistantTurn(
        calls=tuple(map(_response_call, calls)),
        why_not=why_not_asked_for(stop_reason),
        message_id=_text(member(response, "id")),
    )


def _response_call(item: Any) -> TurnCall:
    if member(item, "type") == "custom_tool_call":
        kind, given = "custom_tool_call", member(item, "input")
    else:
        kind, given = "", member(item, "arguments", "")
    return call_of(member(item, "call_id"), member(item, "name"), given, kind=kind)


def _images_of(results: Sequence[ToolResult]) -> list[JSON]:
    return [block for one in results for block in one.content if block.get("type") == "image"]


def _picture(block: JSON) -> JSON:
    return {"type": "image_url", "image_url": {"url": _data_url(block)}}


def _output_part(block: JSON) -> JSON:
    if block.get("type") == "image":
        return {"type": "input_image", "image_url": _data_url(block), "detail": "auto"}
    return {"type": "input_text", "text": texts_of([block])[0]["text"]}


def _data_url(block: JSON) -> str:
    source = block.get("source", {})
    return f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
