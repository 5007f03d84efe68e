"""Reads one tool's folder from the disk, bounded: its ``tool.json`` and the files that travel.

One job: bytes from a folder that may hold anything. It must not know schemas or what a tool means.
Used at start only; it blocks.
"""

import stat
from pathlib import Path

from auxot_tools.errors import ConfigError
from auxot_tools.types import InputFile

DECLARATION = "tool.json"
MAX_DECLARATION_BYTES = 512 * 2**10  # twice the largest schema
MAX_FILES = 100  # they are sent with every call
MAX_FILES_BYTES = 4 * 2**20  # all of them together; the same reason
_STAYS_HOME = {DECLARATION, "cases.json", "__pycache__"}


def tool_folders(tools_dir: Path) -> list[Path]:
    """The folders in ``tools_dir`` that should be tools, by name; hidden ones are left out.

    Raises ``ConfigError`` when it cannot be listed.
    """
    try:
        found = [entry for entry in tools_dir.iterdir() if entry.is_dir()]
    except OSError as error:
        raise ConfigError([f"the tools folder {tools_dir} {_fault(error)}"]) from None
    return sorted(entry for entry in found if not entry.name.startswith((".", "__")))


def read_declaration(folder: Path) -> bytes:
    """The bytes of ``tool.json``. Raises ``ConfigError`` when there is none to be read."""
    path = folder / DECLARATION
    if not path.exists():
        raise ConfigError([f"it has no {DECLARATION}"])
    return _read(path, folder, MAX_DECLARATION_BYTES)


def read_tool_files(folder: Path) -> tuple[InputFile, ...]:
    """The files that are sent to the box, by name.

    All that lie in the folder except ``tool.json``, ``cases.json`` and hidden ones. Raises
    ``ConfigError`` for a folder inside it, a link that leads out of it, anything that is not a
    plain file, more than 100 files or 4 MiB.
    """
    try:
        entries = sorted(
            entry
            for entry in folder.iterdir()
            if entry.name not in _STAYS_HOME and not entry.name.startswith(".")
        )
    except OSError as error:
        raise ConfigError([f"its folder {_fault(error)}"]) from None
    if len(entries) > MAX_FILES:
        raise ConfigError([f"it has {len(entries)} files; at most {MAX_FILES} are sent to a box"])
    left_bytes = MAX_FILES_BYTES
    files = []
    for entry in entries:
        data = _read(entry, folder, left_bytes)
        left_bytes -= len(data)
        files.append(InputFile(entry.name, data))
    return tuple(files)


def _read(path: Path, folder: Path, limit_bytes: int) -> bytes:
    """The bytes of a plain file that lies, links followed, inside ``folder``."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):
            raise ConfigError([f"`{path.name}` is a link that leads out of the tool's folder"])
        status = real.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ConfigError([f"it has a folder `{path.name}`; a tool's files lie side by side"])
        if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device could wait for ever
            raise ConfigError([f"`{path.name}` is not a plain file"])
        with real.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ConfigError([f"`{path.name}` {_fault(error)}"]) from None
    if len(data) > limit_bytes:
        raise ConfigError(
            [f"its files are too large: `{path.name}` goes beyond {limit_bytes} bytes"]
        )
    return data


def _fault(error: OSError | RuntimeError) -> str:
    reasons: dict[type[Exception], str] = {
        FileNotFoundError: "does not exist",
        PermissionError: "may not be read by this user",
        NotADirectoryError: "is not a folder",
    }
    return reasons.get(type(error), "cannot be read")
