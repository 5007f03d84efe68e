"""The body of `POST /api/tools/v1/execute`, checked.

One job: from bytes to an `ExecuteRequest`, or a `RequestError` that names the member. All spellings
of Auxot's are read (`tool` or `tool_name`, `arguments` or `input`); what is not known passes.
Pure. Must not know which tools there are, nor judge their arguments: that is the worker's.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from auxot_tools.errors import RequestError
from auxot_tools.messages import exact_json
from auxot_tools.types import JSON, InputFile

MAX_TIMEOUT_S = 86_400.0  # a day; the router's own limit is far below
MAX_KEY_CHARS = 200  # it is kept for each call that is to be run once
MAX_FILES = 256  # a program is given a handful; a sandbox's folder holds 4,096 entries
MAX_NAME_BYTES = 255  # what Linux file systems hold


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """What is to be run. `stream` is `None` where the body does not say."""

    tool: str
    input_json: bytes
    session: str = ""
    timeout_s: float | None = None
    idempotency_key: str = ""
    files: tuple[InputFile, ...] = ()
    stream: bool | None = None


def parse_execute(data: bytes) -> ExecuteRequest:
    """The request in a body. Raises `RequestError`."""
    body = parse_object(data)
    tool = _either(body, "tool", "tool_name")
    if tool is not None and not isinstance(tool, str):
        raise RequestError("tool: Input should be a valid string")
    if not tool:
        raise RequestError("tool name is required")
    arguments = _either(body, "arguments", "input")
    if arguments is not None and not isinstance(arguments, dict):
        raise RequestError("arguments: Input should be an object")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise RequestError("stream: Input should be a valid boolean")
    return ExecuteRequest(
        tool=tool,
        input_json=exact_json.encode(arguments or {}),
        session=_text(body, "session"),
        timeout_s=_timeout_s(body),
        idempotency_key=_idempotency_key(body),
        files=_files(body),
        stream=stream,
    )


def parse_object(data: bytes) -> JSON:
    """The JSON object in a body, nested no deeper than can be carried. Raises `RequestError`."""
    try:
        body = exact_json.decode(data)
    except exact_json.InvalidJSON as error:
        raise RequestError(f"invalid JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("invalid JSON: the request body must be an object")
    brackets = data.count(b"{") + data.count(b"[")
    if brackets > exact_json.MAX_DEPTH and exact_json.is_deeper(body, exact_json.MAX_DEPTH):
        raise RequestError(f"invalid JSON: nested in more than {exact_json.MAX_DEPTH} levels")
    return body


def _either(body: JSON, name: str, other: str) -> Any:
    """The value under one of two names; `null` counts as absent."""
    values = [value for value in (body.get(name), body.get(other)) if value is not None]
    if len(values) == 2 and exact_json.encode(values[0]) != exact_json.encode(values[1]):
        raise RequestError(f"{name}, {other}: these mean the same and differ; send one of them")
    return values[0] if values else None


def _text(body: JSON, name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(f"{name}: Input should be a valid string")
    return value


def _timeout_s(body: JSON) -> float | None:
    value = body.get("timeout_seconds")
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MAX_TIMEOUT_S:
        most = f"{MAX_TIMEOUT_S:g}"
        raise RequestError(f"timeout_seconds: Input should be a number above 0 and up to {most}")
    return float(value)


def _idempotency_key(body: JSON) -> str:
    value = _text(body, "idempotency_key")
    if len(value) > MAX_KEY_CHARS or not _is_unicode(value):
        raise RequestError(
            f"idempotency_key: Input should be valid text of at most {MAX_KEY_CHARS} characters"
        )
    return value


def _files(body: JSON) -> tuple[InputFile, ...]:
    value = body.get("files")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_FILES:
        raise RequestError(f"files: Input should be a list of at most {MAX_FILES} files")
    return tuple(_file(f"files.{number}", file) for number, file in enumerate(value))


def _file(place: str, value: Any) -> InputFile:
    if not isinstance(value, dict):
        raise RequestError(f"{place}: Input should be an object with `name` and `data`")
    name, data = value.get("name"), value.get("data")
    if not isinstance(name, str) or not _is_plain(name):
        raise RequestError(
            f"{place}.name: Input should be a plain name without a folder, of 1 to "
            f"{MAX_NAME_BYTES} bytes"
        )
    if not isinstance(data, str):
        raise RequestError(f"{place}.data: Input should be the file's bytes in base64")
    try:
        return InputFile(name, base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise RequestError(f"{place}.data: Input should be valid base64") from None


def _is_plain(name: str) -> bool:
    is_word = name not in {"", ".", ".."} and not {"/", "\0"}.intersection(name)
    return is_word and _is_unicode(name) and len(name.encode()) <= MAX_NAME_BYTES


def _is_unicode(text: str) -> bool:
    """Whether it can be sent: JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode() == text
