"""What kind of document a body is: HTML, an image to show, some text, or nothing for a model.

One job: judge by the type the server names and by the first bytes. Pure. It must not know what is
done with a document.
"""

import re
from enum import StrEnum


class Kind(StrEnum):
    HTML = "html"
    TEXT = "text"
    MAYBE_TEXT = "maybe_text"  # nothing says so: text if its bytes are
    IMAGE = "image"
    PDF = "pdf"
    BINARY = "binary"


_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_TEXT_TYPE = re.compile(
    r"text/.+|.+\+(xml|json|yaml)|(application|model)/(.*[-.])?"
    r"(json|xml|javascript|ecmascript|x-javascript|yaml|x-yaml|toml|sql|graphql|x-sh|csv|x-ndjson"
    r"|ndjson|jsonl|x-www-form-urlencoded|rtf|x-tex|x-httpd-php|markdown|typescript|rss|atom)"
)
_UNSAID = {"", "application/octet-stream", "binary/octet-stream", "application/x-download"}
_HTML_START = re.compile(
    rb"\s*(<!--.{0,400}?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_MARKS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
_GIF_MARKS = (b"GIF87a", b"GIF89a")
_PDF_MARK = b"%PDF-"
_LOOKED_AT_BYTES = 1024


def media_type(content_type: str) -> str:
    """The type without parameters, in lower case; empty when there is none."""
    return content_type.partition(";")[0].strip().lower()


def image_mark(body: bytes) -> str:
    """The type of an image of the kinds that can be shown, by its first bytes; else empty.

    Whether it is whole, ``messages.images`` judges.
    """
    if body.startswith(_GIF_MARKS):
        return "image/gif"
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _MARKS if body.startswith(mark)), "")


def kind_of(content_type: str, body: bytes) -> Kind:
    """What a body is. A body that shows what it is counts more than the server's word."""
    named = media_type(content_type)
    start = body[:_LOOKED_AT_BYTES].removeprefix(b"\xef\xbb\xbf")
    if image_mark(body):
        return Kind.IMAGE
    if start.startswith(_PDF_MARK) or named == "application/pdf":
        return Kind.PDF
    if named in _HTML_TYPES:
        return Kind.HTML
    if _TEXT_TYPE.fullmatch(named):
        return Kind.TEXT
    if named not in _UNSAID:
        return Kind.BINARY
    return Kind.HTML if _HTML_START.match(start) else Kind.MAYBE_TEXT
