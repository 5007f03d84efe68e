"""Pages of a long text, and the lines of it that match a pattern.

One job: choose what of a text, or of a list of links, is shown. Pure. It must not know where the
text comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from auxot_tools.hosted.patterns import is_valid, matches, matching_lines

CONTEXT_LINES = 3
GROUP_BREAK = "---"
LINE_END_CHARS = 200  # how much shorter a page may be to end with a line
MAX_MATCHES = 10_000  # lines that a search finds; nobody pages through so many


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
    """What a search found: the lines, with those around them, and how many match.

    `is_cut`: there are more.
    """

    text: str
    count: int
    is_cut: bool = False


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
    if is_valid(pattern):
        return ""
    return (
        "`search` is not a valid RE2 pattern. RE2 has no look-around and no back-references; "
        "escape special characters such as ( [ * with a backslash to find them as they are. It "
        "may also be too large: keep counts such as {1,100} small."
    )


def found_in(text: str, pattern: str) -> Found:
    """The lines that match, each with three around it, and `---` between groups.

    Lines end with LF, CR or both. After `MAX_MATCHES` lines it stops. Takes as long as
    `patterns.matching_lines`.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    body = plain.encode("utf-8", "replace").removesuffix(b"\n")
    groups: list[list[int]] = []  # [begin of the first line, begin of the line after the last]
    count = 0
    for start, end in matching_lines(body, pattern) if plain else ():
        if count == MAX_MATCHES:
            return Found(_joined(body, groups), count, is_cut=True)
        count += 1
        floor = groups[-1][1] if groups else 0
        first, after = _lines_back(body, start, floor), _lines_on(body, end)
        if groups and first <= floor:
            groups[-1][1] = after
        else:
            groups.append([first, after])
    return Found(_joined(body, groups), count)


def _lines_back(body: bytes, begin: int, floor: int) -> int:
    """Where the line begins that is three before the one at `begin`; not before `floor`."""
    for _line in range(CONTEXT_LINES):
        if begin <= floor:
            break
        begin = max(floor, body.rfind(b"\n", floor, begin - 1) + 1)
    return begin


def _lines_on(body: bytes, end: int) -> int:
    """Behind the end of the line that is three after the one that ends at `end`."""
    for _line in range(CONTEXT_LINES):
        following = body.find(b"\n", end + 1)
        end = following if following >= 0 else len(body)
    return end + 1


def _joined(body: bytes, groups: list[list[int]]) -> str:
    parts = (body[first : after - 1].decode() for first, after in groups)
    return f"\n{GROUP_BREAK}\n".join(parts)


def matching_links(links: Sequence[str], pattern: str) -> Sequence[str]:
    """The links whose text or address matches; all without a pattern."""
    return [link for link in links if matches(link, pattern)] if pattern else links
