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
from typing import Any

SHOWN_CHARS = 200  # of a server's own words
_HTML = re.compile(rb"(?i)^\s*(<!doctype html|<html|<head|<body|<\?xml|<!--)")
_TITLE = re.compile(rb"(?is)<title[^>]*>(.*?)</title>")
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
    """An answer, read. ``error_type`` and ``message`` are the server's, the latter shortened."""

    kind: Kind
    error_type: str = ""
    message: str = ""
    value: Any = field(default=None, repr=False)
    """The JSON, if it is that."""

    @property
    def is_login(self) -> bool:
        return self.kind is Kind.HTML and bool(_LOGIN.search(self.message))


def read(status: int, headers: Mapping[str, str], body: bytes) -> Reading:
    """Never raises. ``headers`` have names in lower case."""
    if status in REDIRECTS and "location" in headers:
        return Reading(Kind.REDIRECT, message=_shortened(headers["location"]))
    if not body.strip():
        return Reading(Kind.EMPTY)
    if _HTML.match(body) or "text/html" in headers.get("content-type", "").lower():
        return Reading(Kind.HTML, message=_page_in_words(body))
    if body.lstrip().startswith((b"event:", b"data:", b": ", b"retry:")):
        return _stream(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Reading(Kind.TEXT, message=_shortened(body.decode("utf-8", "replace")))
    return _json(value)


def _stream(body: bytes) -> Reading:
    if b"message_start" in body or b'"type": "error"' in body or b'"type":"error"' in body:
        found = re.search(rb"^data:\s*(\{.*\"type\"\s*:\s*\"error\".*\})\s*$", body, re.MULTILINE)
        if found and b"message_start" not in body:
            return read(200, {}, found[1])
        return Reading(Kind.STREAM)
    if b"chat.completion" in body:
        return Reading(Kind.OPENAI, message="a stream of chat completions")
    return Reading(Kind.TEXT, message=_shortened(body.decode("utf-8", "replace")))


def _json(value: Any) -> Reading:
    if not isinstance(value, dict):
        return Reading(Kind.JSON, value=value)
    if value.get("type") == "message" and isinstance(value.get("content"), list):
        return Reading(Kind.MESSAGE, value=value)
    error = value.get("error")
    if error is not None:
        told = error if isinstance(error, dict) else {"message": error}
        kind = Kind.MESSAGES_ERROR if value.get("type") == "error" else Kind.OPENAI_ERROR
        message = _shortened(str(told.get("message") or ""))
        return Reading(kind, str(told.get("type") or ""), message, value)
    is_openai = str(value.get("object", "")).startswith(("chat.completion", "list", "text_comp"))
    if is_openai or isinstance(value.get("choices"), list):
        return Reading(Kind.OPENAI, value=value)
    message = _shortened(str(value.get("detail") or value.get("message") or ""))
    return Reading(Kind.JSON, message=message, value=value)


def _page_in_words(body: bytes) -> str:
    title = _TITLE.search(body)
    words = title[1] if title else re.sub(rb"(?s)<[^>]*>", b" ", body)
    return _shortened(words.decode("utf-8", "replace"))


def _shortened(text: str) -> str:
    """One line without control characters."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip()
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}\u2026"


def model_ids(reading: Reading) -> tuple[str, ...]:
    """The models that a list of them names; both dialects have `data[].id`."""
    value = reading.value if isinstance(reading.value, dict) else {}
    data = value.get("data")
    found = (
        [one.get("id") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    )
    return tuple(name for name in found if isinstance(name, str))
