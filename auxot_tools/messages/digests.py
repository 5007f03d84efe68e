"""Digests by which a request, or the visible beginning of a conversation, is known again.

One job: what counts as the same. A request is the same when its key, session and body are, but for
what clients change in a repeat: `stream`, `max_tokens`, `metadata`. A conversation's beginning is
the same when its roles and visible contents are: clients move `cache_control`, drop thinking, join
texts, and write the same value in other ways. Must not know what is kept under a digest.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from auxot_tools.messages import exact_json
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.types import JSON

DIGEST_BYTES = 24  # enough that two requests with one digest do not happen

# Claude Code puts a block of its own before the system prompt, which differs from prompt to prompt.
BILLING_PREFIX = "x-anthropic-billing-header:"
_CHANGES = frozenset({"stream", "max_tokens", "metadata"})
_UNSEEN_TYPES = frozenset({"thinking", "redacted_thinking"})


def request_digest(key_name: str, session: str, request: MessagesRequest) -> bytes:
    """The digest of a request of this key, for recognising its repeat.

    `session` is the one that the client names beside the body; empty for none.
    """
    told = {name: value for name, value in request.body.items() if name not in _CHANGES}
    told["system"] = _without_billing(told.get("system"))
    return _digest(exact_json.encode([key_name, session]) + _sorted(told))


def prefix_digests(messages: Iterable[JSON]) -> list[bytes]:
    """For each message the digest of the conversation up to it and with it."""
    digests = [b""]
    for message in messages:
        digests.append(digest_after(digests[-1], message))
    return digests[1:]


def digest_after(before: bytes, message: JSON) -> bytes:
    """The digest of a conversation whose beginning has the digest `before`, and `message`."""
    visible = [message["role"], list(_visible(message["content"]))]
    return _digest(before + _sorted(visible))


def _without_billing(system: object) -> object:
    if not isinstance(system, list):
        return system
    return [part for part in system if not _is_billing(part)]


def _is_billing(part: object) -> bool:
    text = part.get("text") if isinstance(part, dict) else None
    return isinstance(text, str) and text.startswith(BILLING_PREFIX)


def _visible(content: object) -> Iterator[object]:
    """What a reader sees: texts joined where they stand side by side, and other blocks."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        yield content
        return
    texts: list[str] = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
            continue
        if isinstance(kind, str) and kind in _UNSEEN_TYPES:
            continue
        yield from _joined(texts)
        texts = []
        yield _visible_block(block)
    yield from _joined(texts)


def _joined(texts: list[str]) -> Iterator[str]:
    text = "".join(texts).strip()
    if text:
        yield text


def _visible_block(block: Any) -> object:
    if not isinstance(block, dict):
        return block
    kept = {k: v for k, v in block.items() if k != "cache_control" and v is not None}
    if isinstance(kept.get("content"), list | str):
        kept["content"] = list(_visible(kept["content"]))
    if "input" in kept:
        kept["input"] = _plain(kept["input"])
    return kept


def _plain(value: Any) -> Any:
    """The value as JavaScript writes it: `1.0` is `1`."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sorted(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, sort_keys=True).encode()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
