"""Pages of a long text, and the lines of it that match a pattern.

One job: choose what of a text, or of a list of links, is shown. Pure. It must not know where the
text comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import re2  # type: ignore[import-untyped]

CONTEXT_LINES = 3
GROUP_BREAK = "---"
LINE_END_CHARS = 200  # how much shorter a page may be to end with a line
_PATTERN_BYTES = 8 * 2**20  # of a compiled pattern: RE2's own default


@dataclass(frozen=True, slots=True)
class Part:
    """A part of something that has `total` units and goes on at `next_offset` (0: it ends here).

    `matches` counts the lines that a search found; -1 when nothing was searched for.
    """

    content: str
    offset: int = 0
    shown: int = 0
    total: int = 0
    next_offset: int = 0
    matches: int = -1

    def with_matches(self, count: int) -> "Part":
        return replace(self, matches=count)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: the lines, with those around them, and how many match."""

    text: str
    count: int


def page_of(whole: str | Sequence[str], offset: int, limit: int) -> Part:
    """From `offset`, `limit` characters of a text or members of a list, at most.

    A text is cut after a line end when one is near. Pages that follow one another join to the
    whole text.
    """
    end = min(len(whole), offset + limit)
    if isinstance(whole, str) and end < len(whole):
        line_end = whole.rfind("\n", max(offset, end - LINE_END_CHARS), end)
        end = line_end + 1 if line_end > offset else end
    shown = whole[offset:end]
    content = shown if isinstance(shown, str) else "\n".join(shown)
    next_offset = end if offset < end < len(whole) else 0
    return Part(content, offset, len(shown), len(whole), next_offset)


def pattern_fault(pattern: str) -> str:
    """Why `pattern` cannot be searched for, in words; empty when it can."""
    try:
        _compiled(pattern)
    except re2.error:
        return (
            "`search` is not a valid RE2 pattern. RE2 has no look-around and no back-references; "
            "escape special characters such as ( [ * with a backslash to find them as they are."
        )
    return ""


def matching_lines(text: str, pattern: str) -> Found:
    """The lines that match, each with three around it, and `---` between groups."""
    search = _compiled(pattern).search
    lines = text.splitlines()
    hits = [number for number, line in enumerate(lines) if search(line)]
    groups: list[list[int]] = []  # [first line, line after the last]
    for hit in hits:
        first, after = max(0, hit - CONTEXT_LINES), min(len(lines), hit + CONTEXT_LINES + 1)
        if groups and first <= groups[-1][1]:
            groups[-1][1] = after
        else:
            groups.append([first, after])
    parts = ("\n".join(lines[first:after]) for first, after in groups)
    return Found(f"\n{GROUP_BREAK}\n".join(parts), len(hits))


def matching_links(links: Sequence[str], pattern: str) -> Sequence[str]:
    """The links whose text or address matches; all without a pattern."""
    if not pattern:
        return links
    search = _compiled(pattern).search
    return [link for link in links if search(link)]


def _compiled(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)
