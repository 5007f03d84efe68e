"""Malformed requests as a table: what is sent, and what must be said of it; then what passes."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.running import KEY

MESSAGES = "/api/anthropic/v1/messages"
COUNT = f"{MESSAGES}/count_tokens"
MODELS = "/api/anthropic/v1/models"
INVALID = "invalid_request_error"
MAX_BODY_BYTES = 4_000_000  # of the router that these are sent to
KEYED = (b"x-api-key: " + KEY.encode(),)
ABSENT = object()
DEEP = (300, 900, 5000)  # levels; the last two are near and beyond the interpreter's own limit


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and its error answer."""

    title: str
    status: int
    kind: str
    words: str  # part of the error's message
    body: bytes = b""
    method: str = "POST"
    path: str = MESSAGES
    headers: tuple[bytes, ...] = KEYED
    answered: tuple[tuple[str, str], ...] = ()  # headers of the answer

    def __str__(self) -> str:
        return self.title


def with_members(**changes: Any) -> bytes:
    """A sound request with other members, as JSON; `ABSENT` leaves one out."""
    sound: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    }
    kept = {name: value for name, value in (sound | changes).items() if value is not ABSENT}
    return json.dumps(kept).encode()


def with_text(name: str, text: str) -> bytes:
    """A sound request whose member `name` is this JSON text, valid or not."""
    rest = with_members(**{name: ABSENT})
    return rest[:-1] + f', "{name}": {text}}}'.encode()


GOOD = with_members()

_STRING = "Input should be a valid string"
_INTEGER = "Input should be a valid integer"
_LIST = "Input should be a valid list"
_OBJECT = "Input should be an object"
_BOOLEAN = "Input should be a valid boolean"
_ROLE = "Input should be 'user', 'assistant' or 'system'"
_REQUIRED = "Field required"
_THREAD = "thread: message threads are not supported"


def _said(content: Any) -> bytes:
    return with_members(messages=[{"role": "user", "content": content}])


# -- bodies that are no JSON, or none that can be carried ------------------------------------------

_NO_JSON = "The request body is not valid JSON: "
_NO_OBJECT = "The request body must be a JSON object."
_EMPTY = "The request body is empty"
_NO_UTF8 = "not UTF-8 at byte "
_NEW = "Expecting "

NOT_JSON: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", _EMPTY),
    "blanks only": (b" \r\n\t ", _EMPTY),
    "cut in an object": (GOOD[:-1], _NO_JSON),
    "cut in a string": (b'{"model": "m', _NO_JSON + "Unterminated string"),
    "cut in an escape": (b'{"model": "\\u12', _NO_JSON),
    "cut in a literal": (b'{"stream": tru', _NO_JSON + _NEW),
    "a comma before the end": (GOOD[:-1] + b",}", _NO_JSON),
    "single quotes": (b"{'model': 'm'}", _NO_JSON + _NEW + "property name"),
    "a name without quotes": (b"{model: 1}", _NO_JSON + _NEW + "property name"),
    "a comment": (b"/* hi */" + GOOD, _NO_JSON + _NEW),
    "two objects": (GOOD + GOOD, "something follows the JSON value"),
    "a bracket too many": (GOOD + b"}", "something follows the JSON value"),
    "a NUL behind it": (GOOD + b"\0", "something follows the JSON value"),
    "a line break in a string": (b'{"model": "a\nb"}', _NO_JSON + "Invalid control character"),
    "a wrong escape": (b'{"model": "\\x41"}', _NO_JSON + "Invalid \\escape"),
    "an array": (b"[" + GOOD + b"]", _NO_OBJECT),
    "a string": (json.dumps(GOOD.decode()).encode(), _NO_OBJECT),
    "a number": (b"42", _NO_OBJECT),
    "null": (b"null", _NO_OBJECT),
    "a form": (b"model=m&max_tokens=9", _NO_JSON + _NEW),
    "XML": (b"<model>m</model>", _NO_JSON + _NEW),
    "UTF-8 with a byte order mark": (b"\xef\xbb\xbf" + GOOD, _NO_JSON + _NEW),
    "UTF-16 with a byte order mark": (GOOD.decode().encode("utf-16"), _NO_UTF8 + "0"),
    "UTF-16 without one": (GOOD.decode().encode("utf-16-be"), _NO_JSON + _NEW),
    "UTF-32": (GOOD.decode().encode("utf-32"), _NO_UTF8 + "0"),
    "Latin-1": ('{"model": "é"}'.encode("latin-1"), _NO_UTF8 + "11"),
    "a surrogate in UTF-8": (b'{"model": "\xed\xa0\x80"}', _NO_UTF8 + "11"),
    "an overlong slash": (b'{"model": "\xc0\xaf"}', _NO_UTF8 + "11"),
    "gzip that nobody asked for": (gzip.compress(GOOD), _NO_UTF8 + "1"),
    "NaN": (with_text("temperature", "NaN"), "NaN is not JSON"),
    "Infinity": (with_text("temperature", "Infinity"), "Infinity is not JSON"),
    "minus Infinity": (with_text("temperature", "-Infinity"), "-Infinity is not JSON"),
    "a number beyond a double": (with_text("temperature", "1e999"), "the number 1e999 is outside"),
    "one below all doubles": (with_text("top_p", "-1e999"), "the number -1e999 is outside"),
    "5000 digits": (with_text("max_tokens", "9" * 5000), "an integer has too many digits"),
    "5000 digits below zero": (with_text("seed", "-" + "9" * 5000), "has too many digits"),
    "a number that begins with zero": (with_text("max_tokens", "09"), _NO_JSON + _NEW),
    "a hexadecimal number": (with_text("max_tokens", "0x9"), _NO_JSON + _NEW),
    "a number with a plus": (with_text("max_tokens", "+9"), _NO_JSON + _NEW),
    "a number that ends with a point": (with_text("top_p", "1."), _NO_JSON + _NEW),
}


def _arrays(levels: int) -> str:
    return "[" * levels + "]" * levels


def _objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def _results(levels: int) -> str:
    """Blocks in blocks, as a tool's result holds them."""
    opened = '[{"type":"tool_result","tool_use_id":"t","content":'
    return opened * levels + '"x"' + "}]" * levels


def _use(value: str) -> str:
    return f'{{"type": "tool_use", "id": "t", "name": "n", "input": {value}}}'


def _nested(levels: int) -> Iterator[tuple[str, bytes, str]]:
    """Where it is nested, the body, and what is said."""
    arrays, objects, results = _arrays(levels), _objects(levels), _results(levels // 2)
    user, deep = '[{"role": "user", "content": %s}]', "nested"
    schema, odd = f'[{{"name": "t", "input_schema": {objects}}}]', f'[{{"odd": {arrays}}}]'
    yield "the metadata", with_text("metadata", arrays), deep
    yield "the metadata's objects", with_text("metadata", objects), deep
    yield "a tool's schema", with_text("tools", schema), deep
    yield "a block", with_text("messages", user % odd), deep
    yield "a tool's input", with_text("messages", user % f"[{_use(objects)}]"), deep
    yield "results in results", with_text("messages", user % results), deep
    yield "a body that is cut", b'{"metadata":' + b"[" * levels, _NO_JSON
    yield "the content", with_text("messages", user % arrays), deep
    yield "the messages", with_text("messages", arrays), deep


# A large body is read in a thread, which has more levels left than the event loop.
_LARGE = '[{"role": "user", "content": [{"y": %s}, {"type": "text", "text": "%s"}]}]'
_LARGE_NESTED = with_text("messages", _LARGE % (_arrays(975), "x" * 300_000))

NESTED: dict[str, tuple[bytes, str]] = {
    f"{levels} levels in {where}": (body, words)
    for levels in DEEP
    for where, body, words in _nested(levels)
} | {"975 levels in a block of a large body": (_LARGE_NESTED, "nested")}

# -- members of a wrong type -----------------------------------------------------------------------


def _all(words: str, *values: Any) -> list[tuple[Any, str]]:
    """Values of which the same is said."""
    return [(value, words) for value in values]


_NO_OBJECTS: tuple[Any, ...] = (None, "hi", 5, [])
# member -> its wrong values, each with what is said
_MEMBERS: dict[str, list[tuple[Any, str]]] = {
    "model": [
        (ABSENT, "model: " + _REQUIRED),
        *_all("model: " + _STRING, None, 5, True, [], {}),
        ("", "model: String should have at least 1 character"),
    ],
    "messages": [
        (ABSENT, "messages: " + _REQUIRED),
        *_all("messages: " + _LIST, None, "hi", 5, True, {"role": "user"}),
        ([], "messages: at least one message is required"),
        *_all("messages.0: " + _OBJECT, *([value] for value in _NO_OBJECTS)),
    ],
    "system": [
        *_all("system: " + _LIST, 5, True, {"type": "text"}),
        *_all("system.1: " + _OBJECT, *([{}, value] for value in _NO_OBJECTS)),
    ],
    "tools": [
        *_all("tools: " + _LIST, "echo", 5, True, {"name": "echo"}),
        *_all("tools.0: " + _OBJECT, *([value] for value in _NO_OBJECTS)),
    ],
    "tool_choice": _all("tool_choice: " + _OBJECT, "auto", 5, True, []),
    "thinking": _all("thinking: " + _OBJECT, "enabled", 5, True, []),
    "stream": _all("stream: " + _BOOLEAN, "true", "", 1, 0, [], {}),
    "thread": _all(_THREAD, {}, {"type": "create"}, "t", "", False),
}
_ROLES: list[Any] = [None, 5, True, "", "User", "tool", "developer", "\ud800", ["user"], {}]
_CONTENTS: list[tuple[Any, str]] = [
    (None, "content: " + _REQUIRED),
    *_all("content: " + _LIST, 5, True, {"type": "text", "text": "hi"}),
    *_all("content.0: " + _OBJECT, *([value] for value in _NO_OBJECTS)),
]
_SHOWN = {"type": "mcp_tool_use", "id": "mcptoolu_auxot_a", "name": "n", "server_name": "auxot"}
_RESULT = {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_auxot_a"}


def _wrong_types() -> Iterator[tuple[str, tuple[bytes, str]]]:
    for name, wrongs in _MEMBERS.items():
        for wrong, words in wrongs:
            told = "no" if wrong is ABSENT else f"{wrong!r} as"
            yield f"{told} {name}", (with_members(**{name: wrong}), words)
    hello = {"role": "user", "content": "hi"}
    for role in _ROLES:
        body = with_members(messages=[hello, hello | {"role": role}])
        yield f"the role {role!r}", (body, "messages.1.role: " + _ROLE)
    body = with_members(messages=[{"content": "hi"}])
    yield "no role", (body, "messages.0.role: " + _REQUIRED)
    yield "no content", (with_members(messages=[{"role": "user"}]), "content: " + _REQUIRED)
    for content, words in _CONTENTS:
        yield f"the content {content!r}", (_said(content), "messages.0." + words)
    for content in (5, True, {}):
        shown = {"role": "assistant", "content": [_SHOWN, _RESULT | {"content": content}]}
        words = "mcp_tool_result.content: Input should be a string or a valid list"
        yield f"a result's content {content!r}", (with_members(messages=[hello, shown]), words)
    body = with_members(messages=[hello] * 100_001)
    yield "100,001 messages", (body, "messages: at most 100000 messages are allowed, not 100001")


WRONG_TYPES = dict(_wrong_types())
_MAX_TOKENS: list[tuple[Any, str]] = [
    (ABSENT, _REQUIRED),
    *_all(_INTEGER, None, "9", 1.5, 9.0, True, [], {}),
    (-1, "Input should be greater than or equal to 0"),
    (-(10**30), "Input should be greater than or equal to 0"),
]

BODIES = [
    Case(title, 400, INVALID, words, body)
    for table in (NOT_JSON, NESTED, WRONG_TYPES)
    for title, (body, words) in table.items()
]
COUNTED = [  # the same bodies, sent to have their tokens counted
    Case(f"{case.title}, to be counted", 400, INVALID, case.words, case.body, path=COUNT)
    for case in BODIES
]


def _told(value: object) -> str:
    """A name that is the same in each process."""
    return "absent" if value is ABSENT else repr(value)


_TOO_LARGE = b" " * (MAX_BODY_BYTES + 1)
MESSAGES_ONLY = [
    *[
        Case(f"max_tokens {_told(wrong)}", 400, INVALID, words, with_members(max_tokens=wrong))
        for wrong, words in _MAX_TOKENS
    ],
    Case("a body too large", 413, "request_too_large", "larger than 4000000 bytes", _TOO_LARGE),
    Case("one to count", 413, "request_too_large", "larger than 4000000", _TOO_LARGE, path=COUNT),
    Case(
        "gzip with its encoding named",
        400,
        INVALID,
        _NO_UTF8 + "1",
        gzip.compress(GOOD),
        headers=(*KEYED, b"content-encoding: gzip"),
    ),
    Case(
        "an encoding that the body does not have",
        400,
        INVALID,
        _NO_JSON,
        b"\x0b\x02\x80hi\x03",
        headers=(*KEYED, b"content-encoding: br"),
    ),
]

# -- what passes: odd, and the upstream's to judge -------------------------------------------------

PASSES: dict[str, bytes] = {
    "members that nobody knows": with_members(odd={"a": [1]}, temperature="hot", metadata=5),
    "nulls in place of members": with_members(system=None, tools=None, stream=None, thread=None),
    "blocks of an unknown type": _said([{"type": "hologram", "data": [1]}]),
    "blocks without a type": _said([{"text": "hi"}, {}]),
    "a block whose type is no text": _said([{"type": ["text"], "text": "hi"}]),
    "max_tokens zero": with_members(max_tokens=0),
    "max_tokens of 4000 digits": with_text("max_tokens", "9" * 4000),
    "integers beyond 64 bits": with_members(metadata={"n": 2**200}),
    "lone surrogates": _said("a\ud800b\udfff"),
    "a NUL in a text": _said("a\0b"),
    "blanks around": b"\r\n\t " + GOOD + b" \n",
    "members twice, of which the last counts": b'{"model": 5, ' + GOOD[1:],
    "an empty text": _said(""),
    "no blocks": _said([]),
    "a system role in between": with_members(
        messages=[{"role": role, "content": "hi"} for role in ("user", "system", "user")]
    ),
    "one role twice": with_members(messages=[{"role": "user", "content": "hi"}] * 2),
    "an assistant's words at the end": with_members(
        messages=[{"role": role, "content": "hi"} for role in ("user", "assistant")]
    ),
    "240 levels": with_text("metadata", _arrays(240)),
    "odd tools": with_members(tools=[{}, {"name": []}, {"name": 5, "type": {}}]),
    "an odd tool_choice": with_members(tool_choice={"type": ["any"], "name": 5}),
    "odd thinking": with_members(thinking={"type": "enabled", "budget_tokens": "many"}),
    "an odd container": with_members(container=[{"id": 5}]),
    "a result that nobody asked for": _said([{"type": "tool_result", "tool_use_id": []}]),
    "a call of ours without a result": with_members(
        messages=[{"role": "assistant", "content": [_SHOWN | {"name": 5, "input": [1]}]}]
    ),
}
