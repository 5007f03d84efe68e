"""The paths of `memory`: which are taken, and how a directory of them is shown.

One job, and pure. A path is only ever a name in a database: nothing here, nor behind it, opens a
file by it. It is checked as strictly as if it were one, so that it is one thing to every reader and
can be written out some day. It must not know keys, databases or what is in a file.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from auxot_tools.hosted.memory_text import MemoryRefusal, human_size

ROOT = "/memories"
MAX_PATH_CHARS = 512  # two hundred of them are still a listing that a model reads
MAX_DEPTH = 8  # names below the root; a view shows two levels
_SHOWN_CHARS = 100
_LEVELS = 2
# Percent-encoded dot, slash, backslash, percent and NUL: harmless here, never meant well.
_ENCODED = ("%2e", "%2f", "%5c", "%25", "%00")


def memory_path(written: str) -> str:
    """The path that a model wrote, in its one spelling: without a slash at the end.

    Raises ``MemoryRefusal`` for what does not lie under the root, is not a plain spelling, is
    longer than 512 characters or deeper than 8 levels.
    """
    if len(written) > MAX_PATH_CHARS:
        raise _bad(written, f"it is longer than {MAX_PATH_CHARS} characters")
    path = written.rstrip("/")
    if path != ROOT and not path.startswith(f"{ROOT}/"):
        raise _bad(written, f"it must be {ROOT} or begin with {ROOT}/")
    if not path.isprintable():  # also NUL, line ends, lone surrogates, marks that turn text around
        raise _bad(written, "it has characters that cannot be seen")
    if "\\" in path or any(code in path.lower() for code in _ENCODED):
        raise _bad(written, "it has a backslash, or an encoded dot, slash or percent sign")
    names = path.removeprefix(ROOT).split("/")[1:]
    if len(names) > MAX_DEPTH:
        raise _bad(written, f"it has more than {MAX_DEPTH} names below {ROOT}")
    if any(name.strip() in {"", ".", ".."} for name in names):
        raise _bad(written, "it has an empty name, `.` or `..` in it")
    return path


def _bad(written: str, reason: str) -> MemoryRefusal:
    cut = written if len(written) <= _SHOWN_CHARS else f"{written[:_SHOWN_CHARS]}…"
    shown = "".join(char if char.isprintable() else "�" for char in cut)
    return MemoryRefusal(
        f"Error: The path {shown} cannot be used: {reason}. A path is like {ROOT}/notes.md"
    )


def is_below(path: str, folder: str) -> bool:
    """Whether a file of this path lies in the folder, however deep."""
    return path.startswith(f"{folder}/")


def folders_above(path: str) -> tuple[str, ...]:
    """The folders that the path implies, without the root."""
    above = (str(parent) for parent in PurePosixPath(path).parents)
    return tuple(parent for parent in above if is_below(parent, ROOT))


def listing(folder: str, sizes: Mapping[str, int]) -> str:
    """The files of ``sizes`` (path to bytes) in a folder, and its folders, two levels deep.

    A folder has the size of all that is in it, also of what is not listed: names that begin with a
    dot, and `node_modules`.
    """
    total = 0
    entries: dict[tuple[str, ...], int] = {}
    folders: set[tuple[str, ...]] = set()
    for path, size in sizes.items():
        if not is_below(path, folder):
            continue
        total += size
        names = tuple(path.removeprefix(f"{folder}/").split("/"))
        for depth in range(1, min(_LEVELS, len(names)) + 1):
            if _is_hidden(names[depth - 1]):
                break
            entry = names[:depth]
            entries[entry] = entries.get(entry, 0) + size
            if depth < len(names):
                folders.add(entry)
    header = (
        f"Here're the files and directories up to 2 levels deep in {folder}, "
        "excluding hidden items and node_modules:"
    )
    lines = [header, f"{human_size(total)}\t{folder}"]
    for entry, size in sorted(entries.items()):
        mark = "/" if entry in folders else ""
        lines.append(f"{human_size(size)}\t{folder}/{'/'.join(entry)}{mark}")
    return "\n".join(lines)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "node_modules"
