"""The credentials of tools: `AUXOT_TOOLS_<TOOL>__<NAME>`, from the environment or from files.

One job: find them, each under the one tool that may see it. They are no settings: no command shows
them, and no sentence here holds a value.

    AUXOT_TOOLS_WEATHER__API_KEY=…               the value itself
    AUXOT_TOOLS_WEATHER__API_KEY_FILE=/path      a file that holds it
    <secrets_dir>/AUXOT_TOOLS_WEATHER__API_KEY   a file, as Docker and Kubernetes put secrets

The tool's name may be written in any case, and with `_` for `-`; the credential's name is kept as
it is, without `_FILE`. A value of the environment wins over a file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from auxot_tools.errors import ConfigError

CREDENTIAL_PREFIX = "AUXOT_TOOLS_"
_NAME = re.compile(r"AUXOT_TOOLS_([A-Za-z0-9_-]+?)__([A-Za-z_][A-Za-z0-9_]{0,127})")
_FILE = "_FILE"
MAX_BYTES = 32 * 2**10  # of one credential: a key or a certificate; all travel with each call

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of all tools; `of` gives those of one."""

    _by_tool: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def of(self, tool: str) -> Mapping[str, str]:
        """The credentials that this tool may see, by name."""
        return self._by_tool.get(_plain(tool), _NOTHING)

    def for_none_of(self, tools: Iterable[str]) -> list[str]:
        """The tools that have credentials here and are not among `tools`, as `_` spells them."""
        return sorted(self._by_tool.keys() - {_plain(tool) for tool in tools})


def read_credentials(environ: Mapping[str, str], secrets_dir: Path) -> Credentials:
    """All that there are. Blocking.

    Raises ``ConfigError`` for a file that cannot be read, or a value that no environment holds.
    """
    mistakes: list[str] = []
    found: dict[str, dict[str, str]] = {}
    for source, value in (*_in_files(secrets_dir, mistakes), *_in_environ(environ, mistakes)):
        match = _NAME.fullmatch(source)
        if match is None:
            continue
        if not value or "\0" in value or len(value.encode("utf-8", "replace")) > MAX_BYTES:
            mistakes.append(f"{source} is empty, larger than {MAX_BYTES} bytes, or holds a NUL.")
            continue
        found.setdefault(_plain(match[1]), {})[match[2]] = value
    if mistakes:
        raise ConfigError(mistakes)
    return Credentials(found)


def _plain(tool: str) -> str:
    return tool.lower().replace("-", "_")


def _in_environ(environ: Mapping[str, str], mistakes: list[str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(environ.items()):
        if _NAME.fullmatch(name) is None:
            continue
        if not name.endswith(_FILE):
            yield name, value
        elif name.removesuffix(_FILE) not in environ:
            yield from _in_file(name.removesuffix(_FILE), Path(value), mistakes)


def _in_files(folder: Path, mistakes: list[str]) -> Iterator[tuple[str, str]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return  # there need not be one
    for entry in entries:
        if _NAME.fullmatch(entry.name):
            yield from _in_file(entry.name, entry, mistakes)


def _in_file(name: str, path: Path, mistakes: list[str]) -> Iterator[tuple[str, str]]:
    """What the file holds, without one line end: editors put it there."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            mistakes.append(f"{name}: {path} is no regular file.")
            return
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        yield name, data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        mistakes.append(f"{name}: the file {path} cannot be read: {reason}.")
    except UnicodeDecodeError:
        mistakes.append(f"{name}: the file {path} is not UTF-8 text.")
