"""Reads the text of a call's input: strict JSON, bounded, judged before any schema sees it.

One job: bytes to a JSON object, or one violation that says what is wrong and where. It must not
know schemas, tools or calls. Never raises for what the bytes hold.

Kept exactly: integers of any size within the range of a double (about 309 digits), because JSON
has one kind of number and a receiver that knows only doubles must not read infinity.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from auxot_tools.types import JSON
from auxot_tools.worker.violations import PathPart, Violation, kind_of, pointer, show

# Holds 10 MB of code with its escapes; bounds time and memory. A request has at most 40 MiB.
MAX_INPUT_BYTES = 16 * 2**20
MAX_DEPTH = 64  # deeper than any hand-made schema; far from the parser's own limit
MAX_VALUES = 200_000  # beyond, judging would hold up the whole process for more than 0.1 s
_MAX_NUMBER_CHARS = (
    400  # a double needs fewer digits; reading a longer integer takes quadratic time
)
_LARGEST = int(sys.float_info.max)
_NEAR_CHARS = 30  # of the text before a mistake, shown so that the place is found
_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")

# json.JSONDecodeError's words -> ours.
_MISTAKES = {
    "Expecting property name enclosed in double quotes": "a field name in double quotes must come",
    "Expecting ':' delimiter": "a colon must come",
    "Expecting ',' delimiter": "a comma or a closing bracket must come",
    "Expecting value": "a value must come",
    "Invalid control character at": "a control character must be escaped inside a string",
    "Invalid \\escape": "there is no such backslash escape in JSON",
    "Invalid \\uXXXX escape": "a \\u escape needs four hexadecimal digits",
    "Extra data": "nothing may follow the object",
    "Illegal trailing comma before end of object": "a comma may not come before a closing bracket",
    "Illegal trailing comma before end of array": "a comma may not come before a closing bracket",
}


class _Refused(Exception):
    """Carries a sentence out of the parser's hooks; never leaves this module."""


def parse_input(input_json: bytes) -> JSON | Violation:
    """The object that ``input_json`` holds; empty counts as ``{}``.

    Refused with one violation: more than 16 MiB, a byte order mark, invalid UTF-8, text that is not
    JSON or is cut, a duplicate field, NaN or Infinity, a number outside the range of a double, a
    lone surrogate, more than 64 levels or 200,000 values, anything but an object.
    """
    if not input_json:
        return {}
    if len(input_json) > MAX_INPUT_BYTES:
        return _whole(f"the input has {len(input_json)} bytes; at most {MAX_INPUT_BYTES} are taken")
    if input_json.startswith(_BOM):
        return _whole("the input starts with a byte order mark; send plain UTF-8 without it")
    try:
        text = input_json.decode("utf-8")
    except UnicodeDecodeError as error:
        return _whole(f"the input is not UTF-8: byte {error.start} does not fit")
    if _has_too_many_values(input_json):
        return _whole(f"the input has more than {MAX_VALUES} values; send less at once")
    try:
        value = _DECODER.decode(text)
    except _Refused as refused:
        return _whole(str(refused))
    except json.JSONDecodeError as error:
        return _whole(_mistake(error, text))
    except RecursionError:
        return _whole(_too_deep())
    if not isinstance(value, dict):
        return _whole(f"the input must be an object; got {kind_of(value)}")
    return _first_flaw(value, input_json) or value


def _has_too_many_values(raw: bytes) -> bool:
    """Counts what separates values; looks outside of strings only when that is needed."""
    if _separators(raw) <= MAX_VALUES:
        return False
    return _separators(_STRING.sub(b"", raw)) > MAX_VALUES


def _separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _mistake(error: json.JSONDecodeError, text: str) -> str:
    end = len(text.rstrip())
    if end == 0:
        return "the input is blank; send an object, {} when there is nothing to say"
    unfinished = error.msg.startswith("Unterminated string")
    if unfinished or error.pos >= end:
        where = f"after character {len(text)}"
        return f"the input is cut off {where}, near {_near(text, end)}; send it whole"
    wanted = _MISTAKES.get(error.msg, "the text must be JSON")
    place = f"line {error.lineno}, column {error.colno}"
    return f"the input is not JSON: at {place}, after {_near(text, error.pos)}, {wanted}"


def _near(text: str, position: int) -> str:
    return show(text[max(0, position - _NEAR_CHARS) : position])


def _object(pairs: list[tuple[str, Any]]) -> JSON:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen: set[str] = set()
    for name, _value in pairs:
        if name in seen:
            raise _Refused(f"the field {show(name)} comes twice in one object; send it once")
        seen.add(name)
    return made


def _float(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise _Refused(_out_of_range(text))
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_NUMBER_CHARS:
        raise _Refused(_out_of_range(text))
    number = int(text)
    if abs(number) > _LARGEST:
        raise _Refused(_out_of_range(text))
    return number


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not a JSON number; leave the field out or send null")


def _out_of_range(text: str) -> str:
    return f"the number {text[:20]}{'…' if len(text) > 20 else ''} is outside the range of a double"


def _too_deep() -> str:
    return f"the input is nested deeper than {MAX_DEPTH} levels"


def _first_flaw(value: JSON, raw: bytes) -> Violation | None:
    """Depth and surrogates, walked only when the bytes make either possible."""
    may_be_deep = raw.count(b"{") + raw.count(b"[") > MAX_DEPTH
    if not may_be_deep and not _SURROGATE_ESCAPE.search(raw):
        return None
    path: list[PathPart] = []
    open_levels = [_entries(value)]
    while open_levels:
        for part, inner in open_levels[-1]:
            if _has_surrogate(part) or _has_surrogate(inner):
                return _lone_surrogate([*path, part])
            if isinstance(inner, dict | list):
                if len(open_levels) == MAX_DEPTH:
                    return _whole(_too_deep())
                path.append(part)
                open_levels.append(_entries(inner))
                break
        else:
            open_levels.pop()
            del path[len(open_levels) - 1 :]
    return None


def _entries(container: dict[str, Any] | list[Any]) -> Iterator[tuple[PathPart, Any]]:
    return iter(container.items()) if isinstance(container, dict) else iter(enumerate(container))


def _has_surrogate(value: object) -> bool:
    return isinstance(value, str) and _SURROGATE.search(value) is not None


def _lone_surrogate(path: list[PathPart]) -> Violation:
    shown = [_SURROGATE.sub("?", part) if isinstance(part, str) else part for part in path]
    return Violation(
        pointer(shown),
        "has half of a surrogate pair (a \\ud800 to \\udfff escape on its own), "
        "which is not a character",
    )


def _whole(message: str) -> Violation:
    return Violation("", message)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
