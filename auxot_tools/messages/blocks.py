"""Content blocks: how a call that we ran is shown to a client, and how it is turned back.

An upstream's `tool_use` that we ran is shown as `mcp_tool_use` + `mcp_tool_result` with the server
name `auxot`, the whole input in its start, no deltas: the one form that every client measured
accepts (`reference/clients.md` §3.1). Must not know loops, transports or tools.
"""

from collections.abc import Iterable
from typing import Any

from auxot_tools.errors import RequestError
from auxot_tools.messages.ids import unmint_id
from auxot_tools.types import JSON

SERVER_NAME = "auxot"
_SHOWN_TYPES = {"mcp_tool_use": "id", "mcp_tool_result": "tool_use_id"}


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
