"""Tools for a sketch: from a JSON file in any of the common forms.

One job: from a document to `ToolSpec`, checked. Forms: Messages (`name`, `input_schema`), OpenAI
(`function`, `parameters`), a `tool.json` of ours (its folder is its name), or a list of these.
"""

import json
import re
from pathlib import Path
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.types import JSON, TOOL_NAME_PATTERN, ToolSpec
from auxot_tools.worker.validation import compile_any_schema

MAX_FILE_BYTES = 2**20
MAX_TOOLS = 16  # of one sketch: more is no smallest exchange


def read_tools(path: Path) -> list[ToolSpec]:
    """The tools in a file. Raises `ConfigError` with what is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path} is larger than {MAX_FILE_BYTES} bytes: no tool is"])
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError([f"{path} is not JSON"]) from None
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > MAX_TOOLS:
        raise ConfigError([f"{path}: 1 to {MAX_TOOLS} tools, please; there are {len(items)}"])
    fallback = path.parent.name if path.name == "tool.json" else path.stem
    return [_tool(item, fallback, path) for item in items]


def _tool(item: Any, fallback: str, path: Path) -> ToolSpec:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        raise ConfigError([f"{path}: a tool is a JSON object"])
    name = str(item.get("name") or fallback)
    schema = item.get("input_schema", item.get("parameters", _bare(item)))
    if not re.fullmatch(TOOL_NAME_PATTERN, name):
        raise ConfigError([f"{path}: a tool's name is 1 to 64 letters, digits, `_` or `-`"])
    if not isinstance(schema, dict):
        raise ConfigError([f"{path}: {name} has no input_schema (a JSON Schema of type object)"])
    schema = {"type": "object"} | schema
    compile_any_schema(schema)
    return ToolSpec(name, str(item.get("description") or f"The tool {name}"), schema)


def _bare(item: JSON) -> JSON | None:
    """A file that is a schema itself."""
    return item if "properties" in item or item.get("type") == "object" else None
