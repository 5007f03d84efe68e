"""What an answer is: a message, an error of one dialect or another, a web page, nothing.

One job: from status, headers and body to a kind, and the words in it. Must not know why it was
asked, nor what to do about it. Facts: Messages API reference, "Errors" and "Streaming"; OpenAI API
reference, "Error codes"; Auxot, `internal/router/server.go` (an OpenAI-shaped 404).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from auxot_tools.doctor.words import SHOWN_CHARS, one_line

_HTML = re.compile(rb"(?i)^\s*(<!doctype html|<html|<head|<body|<\?xml|<!--)")
_TITLE = re.compile(rb"(?i)<title[^<>]*>([^<]*)")
_KEPT_READINGS = 40  # as many as the doctor asks: each rule reads its answers anew
_MAX_DEPTH, _EVENTS = 100, 50  # of JSON that is read; of a stream that is looked through
_LOGIN = re.compile(r"(?i)\b(log ?in|sign ?in|sso|oauth2?|saml|authenticate|password)\b|/login")
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Kind(StrEnum):
    """The form of an answer."""

    MESSAGE = "message"
    STREAM = "stream"
    MESSAGES_ERROR = "messages_error"
    OPENAI = "openai"
    OPENAI_ERROR = "openai_error"
    REDIRECT = "redirect"
    HTML = "html"
    JSON = "json"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer, read. ``error_type`` and ``message`` are the server's, of any length: who shows
    them takes keys out, and shortens them then.
    """

    kind: Kind
    error_type: str = ""
    message: str = ""
    value: Any = field(default=None, repr=False)
    """The JSON, if it is that."""

    @property
    def is_login(self) -> bool:
        return self.kind is Kind.HTML and bool(_LOGIN.search(self.message[:SHOWN_CHARS]))


def read(status: int, headers: Mapping[str, str], body: bytes) -> Reading:
    """Never raises. ``headers`` have names in lower case."""
    if status in REDIRECTS and "location" in headers:
        return Reading(Kind.REDIRECT, message=one_line(headers["location"]))
    return _read_body(headers.get("content-type", "").lower(), body)


@lru_cache(maxsize=_KEPT_READINGS)
def _read_body(content_type: str, body: bytes) -> Reading:
    if not body.strip():
        return Reading(Kind.EMPTY)
    if _HTML.match(body) or "text/html" in content_type:
        return Reading(Kind.HTML, message=_page_in_words(body))
    if body.lstrip().startswith((b"event:", b"data:", b": ", b"retry:")):
        return _stream(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _text(body)
    return _text(body) if _is_deep(body, value) else _json(value)


def _text(body: bytes) -> Reading:
    return Reading(Kind.TEXT, message=one_line(body.decode("utf-8", "replace")))


def _is_deep(body: bytes, value: Any) -> bool:
    """Whether it is nested so deep that no program of ours should walk through it."""
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH:
        return False
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [one for parent in level if isinstance(parent, dict | list)
                 for one in (parent.values() if isinstance(parent, dict) else parent)]  # fmt: skip
    return bool(level)


def _stream(body: bytes) -> Reading:
    if b"message_start" in body or b'"type": "error"' in body or b'"type":"error"' in body:
        events = [line[5:] for line in body.splitlines() if line.startswith(b"data:")][:_EVENTS]
        read_events = (read(200, {}, one) for one in events if one.lstrip().startswith(b"{"))
        errors = [one for one in read_events if one.kind is Kind.MESSAGES_ERROR]
        return errors[0] if errors and b"message_start" not in body else Reading(Kind.STREAM)
    if b"chat.completion" in body:
        return Reading(Kind.OPENAI, message="a stream of chat completions")
    return _text(body)


def _json(value: Any) -> Reading:
    if not isinstance(value, dict):
        return Reading(Kind.JSON, value=value)
    if value.get("type") == "message" and isinstance(value.get("content"), list):
        return Reading(Kind.MESSAGE, value=value)
    error = value.get("error")
    if error is not None:
        return _error(value, error)
    is_openai = str(value.get("object", "")).startswith(("chat.completion", "list", "text_comp"))
    if is_openai or isinstance(value.get("choices"), list):
        return Reading(Kind.OPENAI, value=value)
    message = one_line(str(value.get("detail") or value.get("message") or ""))
    return Reading(Kind.JSON, message=message, value=value)


def _error(value: dict[str, Any], error: Any) -> Reading:
    """An error of a dialect, if it has that dialect's form; many other servers say `error`."""
    told = error if isinstance(error, dict) else {"message": error}
    kind, is_openai = Kind.JSON, "message" in told and ("type" in told or "code" in told)
    if value.get("type") == "error":
        kind = Kind.MESSAGES_ERROR
    elif isinstance(error, dict) and is_openai:
        kind = Kind.OPENAI_ERROR
    message = one_line(str(told.get("message") or ""))
    return Reading(kind, one_line(str(told.get("type") or "")), message, value)


def _page_in_words(body: bytes) -> str:
    title = _TITLE.search(body)
    words = title[1] if title else re.sub(rb"<[^<>]*>", b" ", body)
    return one_line(words.decode("utf-8", "replace"))


def model_ids(reading: Reading) -> tuple[str, ...]:
    """The models that a list of them names; both dialects have `data[].id`."""
    value = reading.value if isinstance(reading.value, dict) else {}
    data = value.get("data")
    found = (
        [one.get("id") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    )
    return tuple(name for name in found if isinstance(name, str))
