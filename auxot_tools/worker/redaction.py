"""Keeps a tool's credentials out of what leaves the worker, should the tool echo them.

One job: replacing them, also where a stream is cut into chunks, and in the spellings that programs
make of them by accident (percent-encoded, inside a JSON text, with other line ends). Pure. It is no
wall: a program that wants to give a secret away can spell it in ways that nobody looks for.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

MIN_CHARS = 5  # a shorter value would be found in words that are no secret
_PERCENT = re.compile("%[0-9A-F]{2}")
_MARK = "[credential {name}]"


class Redactor:
    """For the credentials of one tool, by name. Without any it changes nothing."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        spelled = {
            form.encode(): _MARK.format(name=name).encode()
            for name, value in credentials.items()
            if len(value) >= MIN_CHARS
            for form in _forms(value)
        }
        # The longest first: one may be a part of another.
        self._marks = dict(sorted(spelled.items(), key=lambda pair: -len(pair[0])))

    def redact(self, data: bytes) -> bytes:
        """``data`` without the credentials."""
        for secret, mark in self._marks.items():
            data = data.replace(secret, mark)
        return data

    def redact_text(self, text: str) -> str:
        """As ``redact``; half of a surrogate pair stays what it is."""
        if not self._marks:
            return text
        return self.redact(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def cut_before_last(self, data: bytes) -> int:
        """Up to where ``data`` may be redacted and sent while more of it is to come: behind that a
        credential may have begun, or stand whole that a longer one begins with.
        """
        cut = len(data) - self._begun(data)
        while begin := self._whole_across(data, cut):
            cut = begin - 1
        return cut

    def _whole_across(self, data: bytes, cut: int) -> int:
        """The place, from 1, of a credential that stands on both sides of ``cut``; 0 for none."""
        for secret in self._marks:
            at = data.find(secret, max(0, cut - len(secret) + 1))
            if 0 <= at < cut:
                return at + 1
        return 0

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end of ``data`` may be the beginning of a credential."""
        longest = max(map(len, self._marks), default=0)
        for size in range(min(longest - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(secret.startswith(end) for secret in self._marks):
                return size
        return 0

    def cut_end(self, head: bytes) -> bytes:
        """What stands before a cut, without a part of a credential that the cut went through."""
        return head[: len(head) - self._begun(head)]

    def cut_start(self, tail: bytes) -> bytes:
        """What stands behind a cut, likewise."""
        longest = max(map(len, self._marks), default=0)
        for size in range(min(longest - 1, len(tail)), 0, -1):
            if any(secret.endswith(tail[:size]) for secret in self._marks):
                return tail[size:]
        return tail

    def __bool__(self) -> bool:
        return bool(self._marks)


def _forms(value: str) -> set[str]:
    in_json = {json.dumps(value, ensure_ascii=only)[1:-1] for only in (True, False)}
    in_urls = {quote(value), quote(value, safe=""), quote_plus(value)}
    return {
        value,
        value.replace("\n", "\r\n"),
        *in_json,
        *(form.replace("/", "\\/") for form in in_json),
        *in_urls,
        *(_PERCENT.sub(lambda found: found[0].lower(), form) for form in in_urls),
    }
