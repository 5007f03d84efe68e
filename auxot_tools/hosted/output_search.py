"""The lines of a kept output that match a pattern, as many as an answer holds.

One job: that choice. Pure, and slow for a hostile pattern: it is run by `output_search_process.py`,
where it can be stopped.
"""

from dataclasses import dataclass

from auxot_tools.hosted.patterns import matching_lines

MAX_LINES = 500  # matching lines in one answer
LINE_CHARS = 2_000  # shown of one matching line


@dataclass(frozen=True, slots=True)
class OutputSearch:
    """`pattern` compiles. The body begins at character `offset` of the output, in line `number`.

    `limit`: characters of all lines that are shown.
    """

    pattern: str
    offset: int
    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class OutputLines:
    """Lines with their numbers. `next_offset`: the first line that had no room; -1: none."""

    lines: tuple[str, ...]
    next_offset: int = -1


def search(task: OutputSearch, body: bytes) -> OutputLines:
    """The matching lines of `body`, which is UTF-8, as far as `task.limit` goes; one at least."""
    found: list[str] = []
    number, counted_to, chars = task.number, 0, 0
    for start, end in matching_lines(body, task.pattern):
        number += body.count(b"\n", counted_to, start)
        counted_to = start
        line = body[start : min(end, start + 4 * LINE_CHARS)].decode("utf-8", "ignore")
        shown = f"{number}: {line[:LINE_CHARS]}"
        if found and (chars + len(shown) > task.limit or len(found) >= MAX_LINES):
            return OutputLines(tuple(found), task.offset + len(body[:start].decode()))
        found.append(shown[: task.limit])  # the first is cut rather than left out for ever
        chars += len(shown) + 1
    return OutputLines(tuple(found))
