"""What an assistant's turn asks for: its calls, in order, and whether they are to be run.

One job: read a Messages answer, whatever form it comes in (an object of an SDK or a dict). Pure. It
must not know tools, workers or any SDK: members are read by their names.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auxot_tools.errors import RequestError
from auxot_tools.loop.schedule import why_not_asked_for
from auxot_tools.messages import exact_json

_NOT_A_MESSAGE = (
    "run() takes the assistant's message: an object of the SDK, or a dict with `role` and `content`"
)
_MISSING = object()


@dataclass(frozen=True, slots=True)
class TurnCall:
    """One call as the model wrote it. ``input_json`` is what the worker gets.

    ``input_flaw`` says why there is none. ``is_text_only``: the result may hold no images.
    ``kind`` names a call that only its caller can answer (a toolset's, a custom tool's).
    """

    id: str
    name: str
    input: Any = field(repr=False)
    input_json: bytes = field(default=b"", repr=False)
    input_flaw: str = ""
    is_text_only: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """The calls of one answer; ``why_not`` says why none of them is run, empty: they are."""

    calls: tuple[TurnCall, ...]
    why_not: str = ""
    message_id: str = ""


def member(thing: Any, name: str, default: Any = None) -> Any:
    """The member of a dict or an object; ``default`` when there is none."""
    if isinstance(thing, Mapping):
        return thing.get(name, default)
    return getattr(thing, name, default)


def members(thing: Any, name: str) -> list[Any]:
    """The members of a list in it; none when it has no such list."""
    found = member(thing, name)
    return list(found) if isinstance(found, list | tuple) else []


def turn_of(message: Any) -> AssistantTurn:
    """The turn in an assistant's Messages answer.

    A dict without a ``stop_reason`` (as a history holds it) counts as one that asks for its calls;
    one whose ``stop_reason`` is ``None`` is not complete, and does not. Raises ``RequestError`` for
    what is no assistant's message.
    """
    content = member(message, "content", _MISSING)
    if member(message, "role") != "assistant" or content is _MISSING:
        raise RequestError(_NOT_A_MESSAGE)
    uses = [block for block in members(message, "content") if member(block, "type") == "tool_use"]
    stop_reason = member(message, "stop_reason", "tool_use")
    message_id = member(message, "id")
    return AssistantTurn(
        calls=tuple(map(_messages_call, uses)),
        why_not=why_not_asked_for(str(stop_reason or "")),
        message_id=message_id if isinstance(message_id, str) else "",
    )


def _messages_call(block: Any) -> TurnCall:
    toolset = member(block, "toolset_name")
    caller = member(member(block, "caller"), "type", "direct")
    return call_of(
        member(block, "id"),
        member(block, "name"),
        member(block, "input", {}),
        # A call that code of the model makes: its result may hold text only (Messages API).
        is_text_only=caller != "direct",
        kind=toolset if isinstance(toolset, str) else "",
    )


def call_of(
    call_id: Any, name: Any, given: Any, *, is_text_only: bool = False, kind: str = ""
) -> TurnCall:
    """One call; text as input is JSON text as the model wrote it. Raises ``RequestError``."""
    if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
        raise RequestError("a tool call of this message has no id or no name")
    try:
        input_json, flaw = _json_text(given), ""
    except (exact_json.InvalidJSON, TypeError, ValueError):
        input_json, flaw = b"", "The input cannot be written as JSON. This call was not run."
    return TurnCall(call_id, name, given, input_json, flaw, is_text_only, kind)


def _json_text(given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode("utf-8", "surrogatepass")  # the worker says what is wrong with it
    text = exact_json.encode(given)
    if b"null" in text and _is_beyond_json(given):  # for which the fast writer writes null
        raise exact_json.InvalidJSON("NaN and Infinity are not JSON")
    return text


def _is_beyond_json(value: Any) -> bool:
    """Whether there is a NaN or an infinity in a value that was written, so is not too deep."""
    if isinstance(value, dict):
        return any(map(_is_beyond_json, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_beyond_json, value))
    return isinstance(value, float) and not math.isfinite(value)
