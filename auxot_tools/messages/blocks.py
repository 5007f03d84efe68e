"""Content blocks: how a call that we ran is shown to a client, and how it is turned back.

An upstream's `tool_use` that we ran is shown as `mcp_tool_use` + `mcp_tool_result` with the server
name `auxot`, the whole input in its start, no deltas: the one form that every client measured
accepts (`reference/clients.md` §3.1). Ids are mapped both ways without state, and only ids that we
minted are ever turned back. Must not know loops, transports or tools.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from auxot_tools.errors import RequestError
from auxot_tools.types import JSON

SERVER_NAME = "auxot"
# "mcptoolu_auxot", then how often the upstream's id came before in the message (nothing for never),
# "b" when the rest is base64url, "_", and the upstream's id: as it is when it is made of id
# characters, else in base64url.
_MINTED = re.compile(r"mcptoolu_auxot(?P<repeat>[1-9][0-9]{0,5})?(?P<coded>b)?_(?P<rest>.+)")
_ID_CHARACTERS = re.compile(r"[a-zA-Z0-9_-]+")
_SHOWN_TYPES = {"mcp_tool_use": "id", "mcp_tool_result": "tool_use_id"}


def mint_id(upstream_id: str, repeat: int = 0) -> str:
    """The id a client sees for an upstream's `tool_use` that we ran.

    `repeat` counts earlier uses of the same id in one message: some upstreams number their calls
    from zero in every turn, and a client must not see one id twice.
    """
    counter = str(repeat) if repeat else ""
    if _ID_CHARACTERS.fullmatch(upstream_id):
        return f"mcptoolu_auxot{counter}_{upstream_id}"
    coded = base64.urlsafe_b64encode(upstream_id.encode("utf-8", "surrogatepass"))
    return f"mcptoolu_auxot{counter}b_{coded.decode().rstrip('=')}"


def unmint_id(shown_id: object) -> str | None:
    """The upstream's id behind an id that we minted; `None` for any other id."""
    found = _MINTED.fullmatch(shown_id) if isinstance(shown_id, str) else None
    if found is None:
        return None
    upstream_id = _decoded(found["rest"]) if found["coded"] else found["rest"]
    if not upstream_id or mint_id(upstream_id, int(found["repeat"] or 0)) != shown_id:
        return None
    return upstream_id


def _decoded(coded: str) -> str:
    try:
        data = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        return data.decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeError, ValueError):
        return ""


def shown_upstream_id(block: object) -> str | None:
    """The upstream's id of a block with which we showed a call; `None` for every foreign block."""
    if not isinstance(block, dict):
        return None
    id_key = _SHOWN_TYPES.get(str(block.get("type")))
    if id_key is None:
        return None
    if id_key == "id" and block.get("server_name") != SERVER_NAME:
        return None
    return unmint_id(block.get(id_key))


def shown_use(tool_use: JSON, shown_id: str) -> JSON:
    """The `mcp_tool_use` that shows an upstream's `tool_use`; fields we do not know are kept."""
    known = {
        "type": "mcp_tool_use",
        "id": shown_id,
        "name": tool_use["name"],
        "server_name": SERVER_NAME,
        "input": tool_use["input"],
    }
    return known | {key: value for key, value in tool_use.items() if key not in known}


def whole_result(result: JSON, shown_id: str) -> JSON:
    """The `mcp_tool_result` that stands for a `tool_result`, with all that it holds."""
    return {
        "type": "mcp_tool_result",
        "tool_use_id": shown_id,
        "is_error": bool(result.get("is_error", False)),
        "content": result["content"],
    }


def shown_result(result: JSON, shown_id: str) -> JSON:
    """The same as a client may see it: text only, images named."""
    whole = whole_result(result, shown_id)
    content = [_shown_content(block, number) for number, block in enumerate(whole["content"], 1)]
    return whole | {"content": content}


def _shown_content(block: JSON, number: int) -> JSON:
    if block.get("type") == "text":
        return block
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    kind = str(block.get("type", "block"))
    extension = str(source.get("media_type", "")).rpartition("/")[2] or "bin"
    data = str(source.get("data", ""))
    size = len(data) * 3 // 4 - data[-2:].count("=")  # of base64, its padding left out
    return {"type": "text", "text": f"[{kind} {kind}-{number}.{extension}, {size} bytes]"}


def upstream_use(shown: JSON) -> JSON:
    """The `tool_use` that a shown `mcp_tool_use` stands for."""
    known: JSON = {
        "type": "tool_use",
        "id": shown_upstream_id(shown),
        "name": shown.get("name"),
        "input": shown.get("input") if isinstance(shown.get("input"), dict) else {},
    }
    return known | {k: v for k, v in shown.items() if k not in known and k != "server_name"}


def upstream_result(shown: JSON) -> JSON:
    """The `tool_result` that a shown `mcp_tool_result` stands for. Raises `RequestError`."""
    content = shown.get("content")
    if content is not None and not isinstance(content, str | list):
        raise RequestError("mcp_tool_result.content: Input should be a string or a valid list")
    extra = {key: value for key, value in shown.items() if key not in _RESULT_KEYS}
    return (
        tool_result(
            shown_upstream_id(shown) or "",
            [{"type": "text", "text": content}] if isinstance(content, str) else (content or []),
            is_error=bool(shown.get("is_error")),
        )
        | extra
    )


_RESULT_KEYS = {"type", "tool_use_id", "is_error", "content"}


def tool_result(tool_use_id: str, content: Iterable[Any], *, is_error: bool) -> JSON:
    """A `tool_result` block for an upstream; `is_error` is written only when true."""
    block: JSON = {"type": "tool_result", "tool_use_id": tool_use_id, "content": list(content)}
    return block | {"is_error": True} if is_error else block


def is_empty_text(block: JSON) -> bool:
    """Whether it is a text block without text: a turn may hold one, a request must not."""
    return block.get("type") == "text" and block.get("text") == ""
