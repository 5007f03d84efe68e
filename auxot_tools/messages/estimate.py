"""How many tokens a request has, roughly: for upstreams that do not count.

One job: a number that is not too low for text, code and every kind of block. A token is about 3.5
characters of English or code, and one of other scripts; images and pages have flat prices, as the
Messages API bills them by size (an image at most about 1,600 tokens). Must not know upstreams.
"""

from typing import Any

from auxot_tools.messages import exact_json
from auxot_tools.types import JSON

CHARS_PER_TOKEN = 3.5
IMAGE_TOKENS = 1600
PAGE_TOKENS = 2500  # of a PDF: its text and its picture
PAGE_BYTES = 60_000  # a page of a PDF, base64 taken off, on a rough average
MESSAGE_TOKENS = 4  # role and frame of one message
BLOCK_TOKENS = 3
TOOLS_TOKENS = 350  # what a first tool adds by itself: the instructions for using tools
TOOL_TOKENS = 12


def estimated_tokens(body: JSON) -> int:
    """The input tokens of a request body whose envelope is sound; at least 1."""
    tools = body.get("tools") or ()
    total = _of_content(body.get("system"))
    total += sum(MESSAGE_TOKENS + _of_content(m.get("content")) for m in body["messages"])
    total += TOOLS_TOKENS if tools else 0
    total += sum(TOOL_TOKENS + _of_json(tool) for tool in tools)
    return max(1, round(total))


def _of_content(content: Any) -> float:
    if isinstance(content, str):
        return _of_text(content)
    if isinstance(content, list):
        return sum(map(_of_block, content))
    return _of_json(content) if content is not None else 0


def _of_block(block: Any) -> float:
    if not isinstance(block, dict):
        return _of_json(block)
    kind = block.get("type")
    if kind == "image":
        return BLOCK_TOKENS + IMAGE_TOKENS
    if kind == "document":
        return BLOCK_TOKENS + _of_document(block)
    if isinstance(block.get("input"), dict | list):  # whatever it is, it is no block
        return BLOCK_TOKENS + sum(
            _of_text(value) if isinstance(value, str) else _of_json(value)
            for value in block.values()
        )
    texts = (value for value in block.values() if isinstance(value, str))
    inner = (value for value in block.values() if isinstance(value, list | dict))
    return BLOCK_TOKENS + sum(map(_of_text, texts)) + sum(map(_of_inner, inner))


def _of_inner(value: Any) -> float:
    """A block's own blocks (a tool's result), a tool's input, or whatever it holds."""
    if isinstance(value, list):
        return sum(map(_of_block, value))
    return _of_block(value) if isinstance(value, dict) and "type" in value else _of_json(value)


def _of_document(block: JSON) -> float:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    around = sum(_of_text(block[name]) for name in ("title", "context") if _is_text(block, name))
    if source.get("type") == "base64":
        pages = len(str(source.get("data", ""))) * 3 / 4 / PAGE_BYTES
        return around + PAGE_TOKENS * max(1.0, pages)
    if source.get("type") == "content":
        return around + _of_content(source.get("content"))
    return around + (_of_text(source["data"]) if _is_text(source, "data") else PAGE_TOKENS)


def _is_text(block: JSON, name: str) -> bool:
    return isinstance(block.get(name), str)


def _of_json(value: Any) -> float:
    return _of_text(exact_json.encode(value).decode("utf-8", "replace"))


def _of_text(text: str) -> float:
    if text.isascii():
        return len(text) / CHARS_PER_TOKEN
    return sum(map(_of_character, text))


def _of_character(character: str) -> float:
    """Latin letters share a token; those of other alphabets are two to a token; where characters
    are syllables or words each is one, more or less.
    """
    code = ord(character)
    return 1 / CHARS_PER_TOKEN if code < 0x370 else 0.5 if code < 0x2E80 else 1.0
