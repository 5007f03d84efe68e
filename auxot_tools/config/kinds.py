"""The kinds of values that settings have: how they are written, checked and described.

One job: types and small checks that several sections share. It must not know any setting.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from auxot_tools.types import TOOL_NAME_PATTERN


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting's value may be, in words, where the type does not say it."""

    text: str


def host_port(address: str, lowest_port: int = 0) -> str:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", address)
    if match is None or not lowest_port <= int(match[2]) <= 65535:
        raise ValueError(address)
    return address


def listen_address(address: str) -> str:
    is_socket = re.fullmatch(r"unix:/[^\x00]+", address) is not None
    return address if is_socket else host_port(address)


def target_address(address: str) -> str:
    if address.startswith("unix:"):
        return listen_address(address)
    return host_port(address, lowest_port=1)


def printable(secret: SecretStr) -> SecretStr:
    """Keys travel in headers: no spaces, no line ends, ASCII only."""
    if re.fullmatch(r"[!-~]*", secret.get_secret_value()) is None:
        raise ValueError("not printable")
    return secret


def tool_name(name: str) -> str:
    if re.fullmatch(TOOL_NAME_PATTERN, name) is None:
        raise ValueError(name)
    return name


def split(value: object) -> object:
    """A list may be written as one text with commas, as the environment has no lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def origin(text: str) -> str:
    """A web page's origin as browsers write it, or `*`."""
    text = text.lower()
    if text != "*" and re.fullmatch(r"https?://[a-z0-9._\[\]:-]+", text) is None:
        raise ValueError(text)
    return text


def open_host(text: str) -> str:
    """A host, the hosts below one, or all; with or without a port."""
    form = r"\*|(\*\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?"
    if re.fullmatch(form, text.lower()) is None:
        raise ValueError(text)
    return text.lower()


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def none_if_empty(value: object) -> object:
    return None if value == "" else value


def not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    return value


SOCKET = "`host:port` or `unix:/path`"
FileName = Annotated[
    Path | None, BeforeValidator(none_if_empty), Allowed("a path, or empty for none")
]
Count = Annotated[int, BeforeValidator(not_bool)]
Seconds = Annotated[float, BeforeValidator(not_bool)]
Text = Annotated[str, Allowed("a text")]
ToolNames = Annotated[
    tuple[Annotated[str, AfterValidator(tool_name)], ...],
    BeforeValidator(split),
    Allowed("a list of tool names"),
]
Secret = Annotated[
    SecretStr, AfterValidator(printable), Allowed("printable ASCII without spaces; never shown")
]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )
