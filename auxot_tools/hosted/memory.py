"""The tool `memory`: files that a model keeps from one conversation to the next, for its key.

One job: the six commands of the client tool `memory_20250818`, and their answers in its words. It
must not know SQL, nor what any other tool does.

A command that cannot be done (no such path, a text that is not unique, a full memory) is answered
with ``INVALID_ARGUMENTS``: that tool's convention returns those as results with `is_error`, and so
does every status but ``COMPLETED``. Sending the same arguments again would not help either.

What each command needs is checked here and not in `tool.json`: the Messages API takes no `allOf`
or `oneOf` at the top of an input schema.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import anyio
import anyio.to_thread

from auxot_tools.errors import Unavailable
from auxot_tools.hosted.memory_paths import ROOT, folders_above, is_below, listing, memory_path
from auxot_tools.hosted.memory_store import WAIT_S, Files, MemoryStore
from auxot_tools.hosted.memory_text import (
    MemoryRefusal,
    inserted,
    refuse_too_many_lines,
    replaced,
    viewed,
)
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import JSON, Deadline, Status

_THREADS = 4  # one writes, others read; more would only wait for one another


@dataclass(frozen=True, slots=True)
class _Command:
    needs: tuple[str, ...]
    run: Callable[[Files, JSON], str]
    changes: bool = True


class MemoryTool:
    """Implements ``ports.HostedTool``. A call waits at most 5 s for others to finish theirs."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        wait_s = min(WAIT_S, deadline.remaining_s())
        work = partial(self._done, call.tenant, call.arguments, wait_s)
        try:
            return HostedAnswer.of(await anyio.to_thread.run_sync(work, limiter=self._threads))
        except MemoryRefusal as refusal:
            return HostedAnswer.of(str(refusal), Status.INVALID_ARGUMENTS)
        except Unavailable as error:
            return HostedAnswer.of(str(error), Status.UNAVAILABLE)

    def _done(self, tenant: str, arguments: JSON, wait_s: float) -> str:
        name = str(arguments.get("command"))
        command = _COMMANDS.get(name)
        if command is None:
            raise MemoryRefusal(f"Error: The command is one of {', '.join(_COMMANDS)}.")
        missing = [field for field in command.needs if field not in arguments]
        if missing:
            fields = " and ".join(f"`{field}`" for field in missing)
            raise MemoryRefusal(f"Error: {name} needs {fields}; nothing was done.")
        paths = {
            field: memory_path(arguments[field])
            for field in command.needs
            if field.endswith("path")
        }
        space = self._store.changing if command.changes else self._store.reading
        with space(tenant, wait_s) as files:
            return command.run(files, arguments | paths)


def _view(files: Files, given: JSON) -> str:
    path = given["path"]
    text = files.text(path)
    if text is not None:
        return viewed(path, text, given.get("view_range"))
    sizes = files.sizes()
    if path != ROOT and not _inside(path, sizes):
        raise MemoryRefusal(f"The path {path} does not exist. Please provide a valid path.")
    return listing(path, sizes)


def _create(files: Files, given: JSON) -> str:
    path, sizes = given["path"], files.sizes()
    if path in sizes:
        raise MemoryRefusal(f"Error: File {path} already exists")
    if path == ROOT or _inside(path, sizes):
        raise MemoryRefusal(
            f"Error: The path {path} is a directory. Give the path of a file, such as "
            f"{path}/notes.md"
        )
    _refuse_below_a_file(path, sizes)
    refuse_too_many_lines(path, given["file_text"])
    files.write(path, given["file_text"])
    return f"File created successfully at: {path}"


def _str_replace(files: Files, given: JSON) -> str:
    path = given["path"]
    text = files.text(path)
    if text is None:
        raise MemoryRefusal(f"Error: The path {path} does not exist. Please provide a valid path.")
    changed, around = replaced(path, text, given["old_str"], given["new_str"])
    refuse_too_many_lines(path, changed)
    files.write(path, changed)
    return f"The memory file has been edited.\n{around}".rstrip("\n")


def _insert(files: Files, given: JSON) -> str:
    path = given["path"]
    text = files.text(path)
    if text is None:
        _refuse_missing(path)
    changed = inserted(text, given["insert_line"], given["insert_text"])
    refuse_too_many_lines(path, changed)
    files.write(path, changed)
    return f"The file {path} has been edited."


def _delete(files: Files, given: JSON) -> str:
    path, sizes = given["path"], files.sizes()
    if path == ROOT:
        raise MemoryRefusal(
            f"Error: {ROOT} itself cannot be deleted. Delete the files and directories in it."
        )
    doomed = _at_or_inside(path, sizes)
    if not doomed:
        _refuse_missing(path)
    files.delete(doomed)
    return f"Successfully deleted {path}"


def _rename(files: Files, given: JSON) -> str:
    old, new, sizes = given["old_path"], given["new_path"], files.sizes()
    if old == ROOT:
        raise MemoryRefusal(f"Error: {ROOT} itself cannot be renamed.")
    moved = _at_or_inside(old, sizes)
    if not moved:
        _refuse_missing(old)
    if new == ROOT or _at_or_inside(new, sizes):
        raise MemoryRefusal(f"Error: The destination {new} already exists")
    if is_below(new, old):
        raise MemoryRefusal(f"Error: {old} cannot be moved into itself; nothing was renamed.")
    _refuse_below_a_file(new, sizes)
    # Checked again: what lies deep in a directory may be too deep at its new place.
    files.move({path: memory_path(new + path.removeprefix(old)) for path in moved})
    return f"Successfully renamed {old} to {new}"


def _inside(folder: str, sizes: dict[str, int]) -> list[str]:
    return [path for path in sizes if is_below(path, folder)]


def _at_or_inside(path: str, sizes: dict[str, int]) -> list[str]:
    return [path] if path in sizes else _inside(path, sizes)


def _refuse_below_a_file(path: str, sizes: dict[str, int]) -> None:
    for folder in folders_above(path):
        if folder in sizes:
            raise MemoryRefusal(
                f"Error: {folder} is a file, so nothing can be in it. Choose another path."
            )


def _refuse_missing(path: str) -> NoReturn:
    raise MemoryRefusal(f"Error: The path {path} does not exist")


_COMMANDS = {
    "view": _Command(("path",), _view, changes=False),
    "create": _Command(("path", "file_text"), _create),
    "str_replace": _Command(("path", "old_str", "new_str"), _str_replace),
    "insert": _Command(("path", "insert_line", "insert_text"), _insert),
    "delete": _Command(("path",), _delete),
    "rename": _Command(("old_path", "new_path"), _rename),
}
