"""Reads tools from the disk, bounded: what lies in a tools folder, and the files of each tool.

One job: names and bytes from folders that may hold anything. It must not know schemas or what a
tool means. It blocks.

    tools/NAME/tool.json + files          a folder of its own
    tools/NAME.tool.json + tools/NAME.sh  two files side by side
"""

import os
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from auxot_tools.errors import ConfigError
from auxot_tools.types import InputFile
from auxot_tools.worker.start_line import is_program

DECLARATION = "tool.json"
DESCRIPTOR = ".tool.json"  # after NAME, of a tool of two files
MAX_ENTRIES = 2000  # of one tools folder; each descriptor is looked for a program among them
MAX_DECLARATION_BYTES = 512 * 2**10  # twice the largest schema
MAX_FILES = 100  # they are sent with every call
MAX_FILES_BYTES = 4 * 2**20  # all of them together; the same reason
_STAYS_HOME = {DECLARATION, "cases.json", "__pycache__"}


class Listed(NamedTuple):
    """What lies in a tools folder, each by name; hidden entries are left out."""

    folders: tuple[Path, ...] = ()
    descriptors: tuple[Path, ...] = ()
    stray: tuple[Path, ...] = ()  # programs that no descriptor lies beside


def list_tools_dir(tools_dir: Path) -> Listed:
    """What should be tools in ``tools_dir``.

    Raises ``ConfigError`` when it cannot be listed, or has more than 2000 entries.
    """
    try:
        found = sorted(islice(tools_dir.iterdir(), MAX_ENTRIES + 1))
    except OSError as error:
        raise ConfigError([f"the tools folder {tools_dir} {_fault(error)}"]) from None
    if len(found) > MAX_ENTRIES:
        raise ConfigError([f"the tools folder {tools_dir} has more than {MAX_ENTRIES} entries"])
    shown = [entry for entry in found if not entry.name.startswith((".", "__"))]
    files = [entry for entry in shown if not entry.is_dir()]
    descriptors = tuple(entry for entry in files if entry.name.endswith(DESCRIPTOR))
    served = {_stem(entry.name) for entry in descriptors}
    others = [entry for entry in files if _stem(entry.name) not in served]
    folders = tuple(entry for entry in shown if entry.is_dir())
    return Listed(folders, descriptors, tuple(filter(_looks_like_a_tool, others)))


def programs_of(descriptor: Path) -> Sequence[Path]:
    """The files beside ``NAME.tool.json`` that are called ``NAME`` or ``NAME.*``, by name."""
    stem = _stem(descriptor.name)
    names = [
        name
        for name in os.listdir(descriptor.parent)  # noqa: PTH208 - names alone: many, for each tool
        if name.startswith(stem) and _stem(name) == stem and not name.endswith(DESCRIPTOR)
    ]
    beside = [descriptor.with_name(name) for name in sorted(names)]
    return [path for path in beside if path.is_file()]


def is_executable(path: Path) -> bool:
    """Whether it is a plain file with any execute bit."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def read_declaration(folder: Path) -> bytes:
    """The bytes of ``tool.json``. Raises ``ConfigError`` when there is none to be read."""
    path = folder / DECLARATION
    if not path.exists():
        raise ConfigError([f"it has no {DECLARATION}"])
    return read_file(path, folder, MAX_DECLARATION_BYTES)


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
        data = read_file(entry, folder, left_bytes)
        left_bytes -= len(data)
        files.append(InputFile(entry.name, data))
    return tuple(files)


def read_file(path: Path, folder: Path, limit_bytes: int) -> bytes:
    """The bytes of a plain file that lies, links followed, inside ``folder``.

    Raises ``ConfigError``, also for more than ``limit_bytes``.
    """
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


def _stem(name: str) -> str:
    """NAME of ``NAME``, ``NAME.sh`` or ``NAME.tool.json``."""
    stem = name.removesuffix(DESCRIPTOR)
    return stem if stem != name else Path(name).stem


def _looks_like_a_tool(entry: Path) -> bool:
    """A shell script, or an executable that begins as a program does: its descriptor is missing."""
    if entry.suffix == ".sh":
        return True
    if not is_executable(entry):
        return False
    try:
        with entry.open("rb") as file:
            return is_program(file.read(4))
    except OSError:
        return False


def _fault(error: OSError | RuntimeError) -> str:
    reasons: dict[type[Exception], str] = {
        FileNotFoundError: "does not exist",
        PermissionError: "may not be read by this user",
        NotADirectoryError: "is not a folder",
    }
    return reasons.get(type(error), "cannot be read")
