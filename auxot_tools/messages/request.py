"""The client's request: checked as little as possible, in Anthropic's own wording.

One job: from body bytes to a `MessagesRequest`, or a `RequestError` that names the field. Unknown
fields, block types and beta features pass. Must not know tools, upstreams or HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auxot_tools.errors import RequestError
from auxot_tools.messages import exact_json
from auxot_tools.types import JSON

AUTO_MODEL = "auto"  # asks for whatever model is there; the answer says which one served
# The Messages API's own limit; a body of 32 MB could hold a million.
MAX_MESSAGES = 100_000
ROLES = frozenset({"user", "assistant", "system"})


class ThreadUnsupported(RequestError):
    """The request uses message threads; SDKs fall back to full history on this error's code."""

    error_code = "thread_unsupported_request"


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A request whose envelope is sound. `body` is as it came; blocks were not looked at.

    Of a request that only counts tokens `max_tokens` is 0: it needs none.
    """

    body: JSON
    model: str
    max_tokens: int
    stream: bool
    messages: tuple[JSON, ...]
    tools: tuple[JSON, ...]
    tool_choice: JSON
    thinking_budget_tokens: int


def parse_request(data: bytes) -> MessagesRequest:
    """Check the envelope of a request for a message. Raises `RequestError`."""
    return _checked(_object(data), _max_tokens)


def parse_count_request(data: bytes) -> MessagesRequest:
    """Check the envelope of a request that only counts tokens. Raises `RequestError`."""
    return _checked(_object(data), lambda _body: 0)


def _object(data: bytes) -> JSON:
    if not data.strip():
        raise RequestError("The request body is empty; a JSON object is expected.")
    try:
        body = exact_json.decode(data)
    except exact_json.InvalidJSON as error:
        raise RequestError(f"The request body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise RequestError("The request body must be a JSON object.")
    brackets = data.count(b"{") + data.count(b"[")
    if brackets > exact_json.MAX_DEPTH and exact_json.is_deeper(body, exact_json.MAX_DEPTH):
        levels = exact_json.MAX_DEPTH
        raise RequestError(f"The request body is nested in more than {levels} levels.")
    return body


def _checked(body: JSON, max_tokens: Callable[[JSON], int]) -> MessagesRequest:
    if body.get("thread") is not None:
        raise ThreadUnsupported("thread: message threads are not supported; send the whole history")
    _check_system(body.get("system"))
    choice = body.get("tool_choice")
    thinking = body.get("thinking")
    return MessagesRequest(
        body=body,
        model=_text(body, "model"),
        max_tokens=max_tokens(body),
        stream=_boolean(body, "stream"),
        messages=_messages(body),
        tools=_objects(body.get("tools"), "tools"),
        tool_choice=_object_or_absent(choice, "tool_choice"),
        thinking_budget_tokens=_thinking_budget(_object_or_absent(thinking, "thinking")),
    )


def _present(body: JSON, name: str) -> Any:
    if name not in body:
        raise RequestError(f"{name}: Field required")
    return body[name]


def _text(body: JSON, name: str) -> str:
    value = _present(body, name)
    if not isinstance(value, str):
        raise RequestError(f"{name}: Input should be a valid string")
    if not value:
        raise RequestError(f"{name}: String should have at least 1 character")
    return value


def _max_tokens(body: JSON) -> int:
    value = _present(body, "max_tokens")
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError("max_tokens: Input should be a valid integer")
    if value < 0:  # 0 is legal: it primes a cache
        raise RequestError("max_tokens: Input should be greater than or equal to 0")
    return value


def _check_system(system: object) -> None:
    if system is None or isinstance(system, str):
        return
    _objects(system, "system")


def _boolean(body: JSON, name: str) -> bool:
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise RequestError(f"{name}: Input should be a valid boolean")
    return value


def _messages(body: JSON) -> tuple[JSON, ...]:
    messages = _objects(_present(body, "messages"), "messages")
    if not messages:
        raise RequestError("messages: at least one message is required")
    if len(messages) > MAX_MESSAGES:
        count = len(messages)
        raise RequestError(f"messages: at most {MAX_MESSAGES} messages are allowed, not {count}")
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if "role" not in message:
            raise RequestError(f"{where}.role: Field required")
        if not isinstance(message["role"], str) or message["role"] not in ROLES:
            raise RequestError(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
        content = message.get("content")
        if isinstance(content, list):
            _objects(content, f"{where}.content")
        elif not isinstance(content, str):
            problem = "Field required" if content is None else "Input should be a valid list"
            raise RequestError(f"{where}.content: {problem}")
    return messages


def _objects(value: object, where: str) -> tuple[JSON, ...]:
    if value is None and where != "messages":
        return ()
    if not isinstance(value, list):
        raise RequestError(f"{where}: Input should be a valid list")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise RequestError(f"{where}.{number}: Input should be an object")
    return tuple(value)


def _object_or_absent(value: object, where: str) -> JSON:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{where}: Input should be an object")
    return value


def _thinking_budget(thinking: JSON) -> int:
    """Tokens that thinking takes of `max_tokens`; 0 when thinking is off or adaptive."""
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or not isinstance(budget, int):
        return 0
    return max(0, budget)
