"""What `memory` does with the text of a file: number its lines, replace in it, insert into it.

One job, and pure: text in, text out. It must not know paths of files, keys or databases.

The wordings here and in `memory.py` are wire facts: the documentation of the client tool
`memory_20250818` names them, and models have learned to read them. What it leaves open is ours.
"""

from collections.abc import Sequence

MAX_LINES = 999_999  # the tool's documentation: numbers are six wide
_CONTEXT_LINES = 2  # shown before and after a change
_LISTED_LINES = 20  # of places where a text occurs; enough to see that it must be longer
_SHOWN_CHARS = 1000  # of a text that a message repeats: the model knows it already


class MemoryRefusal(Exception):
    """What was asked cannot be done, and nothing was. Its text is complete, and for the model."""


def lines_of(text: str) -> list[str]:
    """The lines, without their ends. A newline at the very end begins no further line."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def refuse_too_many_lines(path: str, text: str) -> None:
    if text.count("\n") + (not text.endswith("\n")) > MAX_LINES:
        raise MemoryRefusal(f"File {path} exceeds maximum line limit of 999,999 lines.")


def viewed(path: str, text: str, view_range: Sequence[int] | None) -> str:
    """The file with line numbers, or only the lines of ``view_range``: first and last."""
    refuse_too_many_lines(path, text)
    lines = lines_of(text)
    first, last = (1, len(lines)) if view_range is None else _range(view_range, len(lines))
    shown = _numbered(lines[first - 1 : last], first) or "(the file is empty)"
    return f"Here's the content of {path} with line numbers:\n{shown}"


def _range(view_range: Sequence[int], count: int) -> tuple[int, int]:
    first, last = (int(number) for number in view_range)  # JSON writes 8.0 for 8 too
    begin, end = max(1, first), count if last == -1 else min(last, count)
    if count and begin > end:
        raise MemoryRefusal(
            f"Error: Invalid `view_range` parameter: [{first}, {last}]. It should be the first and "
            f"the last line to show, within the range of lines of the file: [1, {count}]; -1 as "
            "the last shows the rest."
        )
    return begin, end


def _numbered(lines: Sequence[str], first: int) -> str:
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(lines, first))


def replaced(path: str, text: str, old: str, new: str) -> tuple[str, str]:
    """The text with its one ``old`` made ``new``, and the numbered lines around the change.

    Raises ``MemoryRefusal`` when there is none, or more than one: also where two overlap.
    """
    if not old:
        raise MemoryRefusal("Error: old_str is empty. Give the exact text to replace.")
    at = text.find(old)
    shown = old if len(old) <= _SHOWN_CHARS else f"{old[:_SHOWN_CHARS]}…"
    if at == -1:
        raise MemoryRefusal(
            f"No replacement was performed, old_str `{shown}` did not appear verbatim in {path}."
        )
    if text.find(old, at + 1) != -1:
        raise MemoryRefusal(
            f"No replacement was performed. Multiple occurrences of old_str `{shown}` in lines: "
            f"{_places(text, old)}. Please ensure it is unique"
        )
    changed = text[:at] + new + text[at + len(old) :]
    first_changed = text.count("\n", 0, at)
    last_changed = first_changed + new.count("\n")
    begin = max(0, first_changed - _CONTEXT_LINES)
    around = lines_of(changed)[begin : last_changed + _CONTEXT_LINES + 1]
    return changed, _numbered(around, begin + 1)


def _places(text: str, old: str) -> str:
    """The numbers of the lines in which ``old`` begins."""
    numbers: list[str] = []
    at, line, counted = text.find(old), 1, 0
    while at != -1:
        if len(numbers) == _LISTED_LINES:
            return f"{', '.join(numbers)} and more"
        line, counted = line + text.count("\n", counted, at), at
        numbers.append(str(line))
        line_end = text.find("\n", at)
        at = -1 if line_end == -1 else text.find(old, line_end + 1)
    return ", ".join(numbers)


def inserted(text: str, after_line: int, new: str) -> str:
    """The text with ``new`` as whole lines after line ``after_line``; 0: before the first."""
    count = len(lines_of(text))
    if not 0 <= after_line <= count:
        raise MemoryRefusal(
            f"Error: Invalid `insert_line` parameter: {int(after_line)}. It should be within the "
            f"range of lines of the file: [0, {count}]"
        )
    lines = _with_ends(text)
    before, after = "".join(lines[: int(after_line)]), "".join(lines[int(after_line) :])
    return _ended(before) + _ended(new, even_if_empty=True) + after


def _with_ends(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _ended(text: str, *, even_if_empty: bool = False) -> str:
    if text.endswith("\n") or not (text or even_if_empty):
        return text
    return f"{text}\n"


def human_size(size_bytes: int) -> str:
    """A size as people read it: `512B`, `4.0K`, `1.2M`."""
    size = float(size_bytes)
    for unit in ("B", "K", "M"):
        if size < 1024:
            return f"{size_bytes}B" if unit == "B" else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}G"
