"""What a user of the library gives beside messages and inputs: read once, refused in plain words.

One job: from arguments of any kind to values that the rest relies on. It must not know tools,
workers or turns. Pure.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from auxot_tools.errors import ConfigError, RequestError
from auxot_tools.types import InputFile

_MAX_TIMEOUT_S = 86_400.0  # a day; far above any tool's own limit
_SHOWN_CHARS = 60  # of a name that is wrong


class CallOptions(TypedDict, total=False):
    """How calls are to be run.

    ``timeout_s``: the longest that one call may take, its waiting for a slot included; the tool's
    own limit holds too. ``session``: calls of one session find what earlier ones left (a shell's
    folder, files), where the tool keeps any. ``tenant``: whose call it is; nothing is shared
    between two. ``files``: put into the call's working folder, by plain name.
    """

    timeout_s: float
    session: str
    tenant: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class CallSettings:
    """The same, read: ``timeout_s`` is ``None`` when the client's own holds."""

    timeout_s: float | None
    session: str
    tenant: str
    files: tuple[InputFile, ...]


def settings_of(options: Mapping[str, Any]) -> CallSettings:
    """``options`` as they were given, read. Raises ``RequestError`` for one that cannot be."""
    allowed = CallOptions.__annotations__
    for name in options:
        if name not in allowed:
            shown = name[:_SHOWN_CHARS]
            raise RequestError(f"there is no option {shown}; allowed: {', '.join(allowed)}")
    return CallSettings(
        timeout_s=seconds(options["timeout_s"]) if "timeout_s" in options else None,
        session=_text("session", options.get("session", "")),
        tenant=_text("tenant", options.get("tenant", "")),
        files=_files(options.get("files", {})),
    )


def seconds(timeout_s: Any) -> float:
    """``timeout_s``. Raises ``RequestError``."""
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not is_number or not 0 < timeout_s <= _MAX_TIMEOUT_S:
        most = f"{_MAX_TIMEOUT_S:g}"
        raise RequestError(f"timeout_s: give seconds, more than 0 and at most {most}")
    return float(timeout_s)


def tool_name(name: Any) -> str:
    """The name of one tool. Raises ``RequestError``."""
    if not (isinstance(name, str) and name):
        raise RequestError("name: give the name of a tool, a text")
    return name


def tool_names(tools: Collection[str] | None) -> tuple[str, ...] | None:
    """``tools``, each once, in order; one name may be given as it is. Raises ``RequestError``."""
    if tools is None:
        return None
    names = (tools,) if isinstance(tools, str) else tools
    if not isinstance(names, Iterable):
        names = (names,)
    found = tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise RequestError("tools: give the names of tools, each a text, or None for all of them")
    return tuple(dict.fromkeys(found))


def address_or_key(name: str, value: Any) -> str:
    """What must be a text of its own kind. Raises ``ConfigError``, which never holds the value."""
    if not isinstance(value, str):
        raise ConfigError([f"{name}: give a text, not {_kind(value)}"])
    return value


def file_path(name: str, value: Any) -> str:
    """The path of a file, empty for none. Raises ``ConfigError``."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise ConfigError([f"{name}: give the path of a file, not {_kind(value)}"])
    return path


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{name}: give a text, not {_kind(value)}; leave it out for none")
    return value


def _files(files: Any) -> tuple[InputFile, ...]:
    if not isinstance(files, Mapping):
        raise RequestError('files: give names and bytes, such as {"data.csv": b"1,2"}')
    return tuple(_file(name, data) for name, data in files.items())


def _file(name: Any, data: Any) -> InputFile:
    if not isinstance(name, str):
        raise RequestError(f"files: the name of a file is a text, not {_kind(name)}")
    if not isinstance(data, bytes | bytearray | memoryview):
        shown = name[:_SHOWN_CHARS]
        raise RequestError(f'files: "{shown}" is no bytes; read the file in binary mode')
    return InputFile(name, bytes(data))


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
