"""The body sent upstream: a head that never changes, messages that only grow, and a short tail.

Bytes that went upstream once are repeated exactly in later rounds, so an upstream's prompt cache
and its thinking signatures hold. What may differ between rounds (`max_tokens`, `tool_choice`,
`stream`) stands behind the messages. Must not know states or results.
"""

from collections.abc import Iterable, Sequence

from auxot_tools.errors import LocalProtocolError, RequestError
from auxot_tools.messages import exact_json
from auxot_tools.messages.blocks import is_empty_text
from auxot_tools.messages.events import FinishedBlock
from auxot_tools.messages.history import upstream_messages
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.types import JSON, ToolSpec

_ELSEWHERE = {"model", "messages", "max_tokens", "tool_choice", "stream"}


class UpstreamBody:
    """The growing request of one conversation with an upstream."""

    def __init__(self, request: MessagesRequest, tools: Sequence[ToolSpec]) -> None:
        body = request.body
        self._stream = request.stream
        head = {key: value for key, value in body.items() if key not in _ELSEWHERE}
        if tools:
            head["tools"] = [*request.tools, *map(_declaration, tools)]
        try:
            rest = exact_json.encode(head)[1:-1]
            # The model comes first: whoever sends the body may put another in its place.
            begin = _model_member(request.model) + (b"," if rest else b"")
            self._head = begin + rest + b',"messages":['
            self._messages = [exact_json.encode(m) for m in upstream_messages(request.messages)]
        except exact_json.InvalidJSON as error:
            raise RequestError(f"The request body is {error}.") from None

    def add_turn(self, blocks: Iterable[FinishedBlock]) -> None:
        """Append the upstream's own turn, its blocks as they came."""
        kept = (block.encode() for block in blocks if not is_empty_text(block.block))
        self._messages.append(b'{"role":"assistant","content":[' + b",".join(kept) + b"]}")

    def add_results(self, results: Sequence[JSON]) -> None:
        """Append one user message with the results of the turn."""
        self._messages.append(exact_json.encode({"role": "user", "content": results}))

    def render(self, max_tokens: int, tool_choice: JSON) -> bytes:
        """The whole body of the next request.

        The upstream is asked to stream when the client asked for it, but for `max_tokens` 0, which
        primes a cache: there is nothing to stream then.
        """
        tail: JSON = {"max_tokens": max_tokens}
        if tool_choice:
            tail["tool_choice"] = tool_choice
        tail["stream"] = self._stream and max_tokens > 0
        return self._head + b",".join(self._messages) + b"]," + exact_json.encode(tail)[1:]

    def render_for_counting(self, tool_choice: JSON) -> bytes:
        """The body of a request that only counts the tokens of this conversation."""
        tail = b',"tool_choice":' + exact_json.encode(tool_choice) if tool_choice else b""
        return self._head + b",".join(self._messages) + b"]" + tail + b"}"


def with_model(body: bytes, model: str, wanted: str) -> bytes:
    """`body`, which asks for `model`, asking for `wanted`; nothing else of it changes."""
    if wanted == model:
        return body
    begin = _model_member(model)
    if not body.startswith(begin):
        raise LocalProtocolError("a body for the upstream does not begin with its model")
    return _model_member(wanted) + body[len(begin) :]


def _model_member(model: str) -> bytes:
    return exact_json.encode({"model": model})[:-1]


def _declaration(tool: ToolSpec) -> JSON:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
    }
