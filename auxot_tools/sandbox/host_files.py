"""The private folder of a call that runs on the host: made, looked through, removed.

One job: these files. Blocks: it belongs in a thread. It must not know processes. Names that a
program chose are data here; nothing is opened through a link.

    <temporary folder>/tool  the tool's own files    /work  the call's files, the working folder
                      /tmp   $TMPDIR
"""

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from auxot_tools.ports import CollectLimits, LeftOutFile, OutputFile, Program
from auxot_tools.types import InputFile

logger = logging.getLogger(__name__)

TOOL, WORK, TEMPORARY, OUT = "tool", "work", "tmp", "out"
_PREFIX = "auxot-host-"
_LOOKED_AT = 1000  # entries of the output folder, as in a box; the others are told as one
_THE_REST = "(what lies there beyond the first 1000)"


def make_folder(program: Program, parent: Path | None) -> Path:
    """A new folder in ``parent`` (``None``: the machine's temporary folder), with the program's
    files. Only this user may enter it. Raises `OSError` or `ValueError`; then nothing is left.
    """
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        for name in (TOOL, WORK, TEMPORARY):
            (root / name).mkdir(0o700)
        if program.collect is not None:
            (root / WORK / OUT).mkdir(0o700)
        _write(root / TOOL, program.tool_files, 0o500)
        _write(root / WORK, program.work_files, 0o600)
    except (OSError, ValueError):
        remove_folder(root)
        raise
    return root


def _write(folder: Path, files: Iterable[InputFile], mode: int) -> None:
    for file in files:
        if file.name != Path(file.name).name:  # it would lie elsewhere
            raise OSError("not a plain name")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(folder / file.name, flags, mode), "wb") as opened:
            opened.write(file.data)


def remove_folder(root: Path) -> None:
    """Remove the folder with all that is in it; what cannot be removed is logged. Never raises."""
    shutil.rmtree(root, ignore_errors=True)
    if not root.exists():
        return
    for folder, folders, _ in os.walk(root):  # the program may have shut some for its own user
        for path in (Path(folder, name) for name in folders):
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)
    if root.exists():
        logger.error("the folder %s of a call on the host could not be removed", root)


def collect_files(
    root: Path, limits: CollectLimits
) -> tuple[tuple[OutputFile, ...], tuple[LeftOutFile, ...]]:
    """The plain files in the output folder within ``limits``, by name, and those left out."""
    out = root / WORK / OUT
    if out.is_symlink():
        return (), (LeftOutFile(OUT, "not_a_file"),)
    try:
        with os.scandir(out) as entries:
            names = [entry.name for entry in islice(entries, _LOOKED_AT + 1)]
    except OSError:
        return (), ()
    files: list[OutputFile] = []
    left_out: list[LeftOutFile] = []
    left_bytes = limits.total_bytes
    for name in sorted(names[:_LOOKED_AT]):
        data, reason = _taken(out / name, limits.file_bytes)
        if not reason and len(files) == limits.files:
            reason = "too_many"
        if not reason and len(data) > left_bytes:
            reason = "total"
        shown = os.fsencode(name).decode("utf-8", "replace")
        if not reason and shown != name:
            reason = "name"
        if reason:
            left_out.append(LeftOutFile(shown, reason))
            continue
        files.append(OutputFile(name, data))
        left_bytes -= len(data)
    if len(names) > _LOOKED_AT:
        left_out.append(LeftOutFile(_THE_REST, "too_many"))
    return tuple(files), tuple(left_out)


def _taken(path: Path, limit_bytes: int) -> tuple[bytes, str]:
    """The bytes of a plain file, or the reason why it is left out."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        try:
            is_file = stat.S_ISREG(path.lstat().st_mode)
        except OSError:
            is_file = True
        return b"", "unreadable" if is_file else "not_a_file"
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return b"", "not_a_file"
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit_bytes + 1)
    return (b"", "too_large") if len(data) > limit_bytes else (data, "")
