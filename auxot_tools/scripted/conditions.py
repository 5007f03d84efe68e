"""What a request to the scripted model must be like, and what of it is missing.

One job: conditions as data, and judging a request by them. It must not know turns, files or HTTP.
A request is whatever came: nothing is relied on but that its body is an object.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import re2  # type: ignore[import-untyped]
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from auxot_tools.types import JSON

TOLD = "told"  # a mistake of this kind has our own sentence
_PATTERN_BYTES = 2**20  # of memory for one compiled pattern
_PATTERN_CHARS = 10_000  # nobody writes a longer one; RE2 writes to stderr about those of 100,000
_SHOWN_CHARS = 300  # of what came instead, in a sentence


class Part(BaseModel):
    """A part of a scenario: frozen, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def compiled(pattern: str) -> Any:
    """A pattern in RE2's syntax, whose search takes time linear in the text. Raises `re2.error`."""
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)


def _pattern(pattern: str) -> str:
    if len(pattern) > _PATTERN_CHARS:
        raise PydanticCustomError(TOLD, f"is longer than {_PATTERN_CHARS} characters")
    try:
        compiled(pattern)
    except (re2.error, UnicodeError):
        raise PydanticCustomError(TOLD, "is not a regular expression that RE2 takes") from None
    return pattern


def one_or_more(value: Any) -> Any:
    """One thing stands for a list of it."""
    return value if isinstance(value, list | tuple) else (value,)


def _short_match(value: Any) -> Any:
    return {"contains": value} if isinstance(value, str) else value


def _short_matches(value: Any) -> Any:
    return tuple(_short_match(one) for one in one_or_more(value))


Texts = Annotated[
    tuple[str, ...], BeforeValidator(one_or_more, json_schema_input_type=str | list[str])
]


class TextMatch(Part):
    """What a text must be like; all that is given must hold.

    ``contains``: each of these is in it. ``lacks``: none of these is. ``matches``: a regular
    expression (RE2) is found somewhere in it. ``equals``: it is this.
    """

    contains: Texts = ()
    lacks: Texts = ()
    matches: Annotated[str, AfterValidator(_pattern)] | None = None
    equals: str | None = None


class ResultMatch(TextMatch):
    """A ``tool_result`` of the request's last message, by its text and by these.

    ``id``: its ``tool_use_id``. ``name``: the tool, as the ``tool_use`` before it says.
    """

    id: str | None = None
    name: str | None = None
    is_error: bool | None = None


Match = Annotated[TextMatch, BeforeValidator(_short_match, json_schema_input_type=str | TextMatch)]
ResultMatches = Annotated[
    tuple[ResultMatch, ...],
    BeforeValidator(
        _short_matches, json_schema_input_type=str | ResultMatch | list[str | ResultMatch]
    ),
]


class RequestMatch(Part):
    """What a request must be like; all that is given must hold. A plain text means ``contains``.

    ``user_text``: the text of the last user message, ``system``: the system prompt, ``model``: the
    model asked for. ``tool_result``: for each of these there is a ``tool_result`` in the last
    message; ``tool_results`` says how many there are. ``round``: 1 before the model has said
    anything, one more for each of its messages. ``tool_offered``: each of these is in ``tools``.
    ``body``: the request has these members; an object in it may have more of its own.
    """

    user_text: Match | None = None
    system: Match | None = None
    model: Match | None = None
    tool_result: ResultMatches = ()
    tool_results: int | None = Field(default=None, ge=0)
    round: int | None = Field(default=None, ge=1)
    tool_offered: Texts = ()
    stream: bool | None = None
    body: JSON = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError(TOLD, "says nothing of the request")
        return self


@dataclass(frozen=True, slots=True)
class Unmet:
    """A condition that does not hold: where it stands in the match, and what came instead."""

    path: tuple[str | int, ...]
    text: str


def unmet(match: RequestMatch, body: JSON) -> list[Unmet]:
    """The conditions that a request does not meet, in the order of the fields."""
    return list(_unmet(match, body))


def rounds(body: JSON) -> int:
    """How many messages of the model's a request holds."""
    return sum(message.get("role") == "assistant" for message in _messages(body))


def result_text(result: JSON) -> str:
    """The text of a ``tool_result``; a block of another type is named in brackets."""
    return _text(result.get("content"))


def last_results(body: JSON) -> list[JSON]:
    """The ``tool_result`` blocks of a request's last message."""
    messages = _messages(body)
    content = messages[-1].get("content") if messages else None
    return [block for block in _objects(content) if block.get("type") == "tool_result"]


def _unmet(match: RequestMatch, body: JSON) -> Iterator[Unmet]:
    asked = [message for message in _messages(body) if message.get("role") == "user"]
    texts = {
        "user_text": _said(asked[-1].get("content")) if asked else "",
        "system": _text(body.get("system")),
        "model": str(body.get("model", "")),
    }
    for name, text in texts.items():
        wanted: TextMatch | None = getattr(match, name)
        if wanted is not None and (fault := _fault(wanted, text)):
            yield Unmet((name,), f"{fault}; it is {_shown(text)}")
    yield from _unmet_results(match, body)
    offered = [tool.get("name") for tool in _objects(body.get("tools"))]
    for index, name in enumerate(match.tool_offered):
        if name not in offered:
            names = ", ".join(map(str, offered)) or "none"
            yield Unmet(("tool_offered", index), f"`{name}` is not offered; offered: {names}")
    facts: JSON = {"round": rounds(body) + 1, "stream": body.get("stream") is True}
    for name, fact in facts.items():
        if getattr(match, name) not in (None, fact):
            yield Unmet((name,), f"it is {str(fact).lower()}")
    for name, value in match.body.items():
        if not _has(body.get(name), value):
            came = _shown(_json(body[name])) if name in body else "not there"
            yield Unmet(("body", name), f"it is {came}")


def _unmet_results(match: RequestMatch, body: JSON) -> Iterator[Unmet]:
    results = last_results(body)
    if match.tool_results not in (None, len(results)):
        yield Unmet(("tool_results",), f"there are {len(results)} in the last message")
    names = _names_by_id(body) if match.tool_result else {}
    for index, wanted in enumerate(match.tool_result):
        faults = [_result_fault(wanted, result, names) for result in results]
        if all(faults):
            told = "; ".join(
                f"that of {result.get('tool_use_id')}: {fault}; it is {_shown(result_text(result))}"
                for result, fault in zip(results, faults, strict=True)
            )
            text = f"no tool_result is like this ({told or 'there is none in the last message'})"
            yield Unmet(("tool_result", index), text[: 4 * _SHOWN_CHARS])


def _result_fault(wanted: ResultMatch, result: JSON, names: Mapping[str, str]) -> str:
    """What a result has otherwise; empty when it is as wanted."""
    identity = str(result.get("tool_use_id"))
    if wanted.id not in (None, identity):
        return "it has another id"
    if wanted.name not in (None, names.get(identity)):
        return f"it is of {names.get(identity, 'an unknown tool')}"
    is_error = result.get("is_error") is True
    if wanted.is_error not in (None, is_error):
        return "it is an error" if is_error else "it is no error"
    return _fault(wanted, result_text(result))


def _fault(wanted: TextMatch, text: str) -> str:
    """What a text has otherwise; empty when it is as wanted."""
    if missing := [part for part in wanted.contains if part not in text]:
        return f"{_shown(missing[0])} is not in it"
    if forbidden := [part for part in wanted.lacks if part in text]:
        return f"{_shown(forbidden[0])} is in it"
    if wanted.equals not in (None, text):
        return f"it is not {_shown(wanted.equals or '')}"
    if wanted.matches is not None and not _is_found(wanted.matches, text):
        return f"{_shown(wanted.matches)} is not found in it"
    return ""


def _is_found(pattern: str, text: str) -> bool:
    return compiled(pattern).search(text.encode("utf-8", "replace").decode()) is not None


def _has(came: Any, wanted: Any) -> bool:
    """Whether a value is as wanted; an object may have more members."""
    if isinstance(wanted, dict):
        return isinstance(came, dict) and all(
            _has(came.get(name), value) for name, value in wanted.items()
        )
    return type(came) is type(wanted) and bool(came == wanted)


def _names_by_id(body: JSON) -> dict[str, str]:
    return {
        str(block.get("id")): str(block.get("name"))
        for message in _messages(body)
        for block in _objects(message.get("content"))
        if block.get("type") == "tool_use"
    }


def _messages(body: JSON) -> list[JSON]:
    return _objects(body.get("messages"))


def _objects(value: Any) -> list[JSON]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _said(content: Any) -> str:
    """The text of a user's message, without tool results."""
    if isinstance(content, str):
        return content
    blocks = _objects(content)
    return "\n".join(str(one.get("text", "")) for one in blocks if one.get("type") == "text")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(
        str(block.get("text", "")) if block.get("type") == "text" else f"[{block.get('type')}]"
        for block in _objects(content)
    )


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    """A text in a sentence: in quotes, on one line, shortened."""
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return json.dumps(cut, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
