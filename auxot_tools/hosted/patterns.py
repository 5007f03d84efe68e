"""RE2 patterns, and the lines of a text that match one.

One job: compile within bounds, and search. Pure. It takes time linear in the text, but many seconds
for a hostile pattern: texts of any size are searched in a process that can be killed
(`killable.py`). It must not know what is shown of a line.
"""

import re
from collections.abc import Iterator

import re2  # type: ignore[import-untyped]

# Of memory for a compiled pattern; it takes 20 ms at most. Enough for `.{0,100}`, or all letters.
_PATTERN_BYTES = 256 * 1024
# What means something else in a whole text than in one line of it; `\C` also matches a line end.
_OF_ONE_LINE = re.compile(r"\\[AzZC]|\(\?\w*-")


def is_valid(pattern: str) -> bool:
    """Whether `pattern` is of RE2's syntax and small enough to search for."""
    try:
        _compiled(pattern)
    except (re2.error, UnicodeError):
        return False
    return True


def matches(line: str, pattern: str) -> bool:
    """Whether a line, which has no line end, matches."""
    return _compiled(pattern).search(line.encode("utf-8", "replace")) is not None


def matching_lines(text: bytes, pattern: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each line of `text` (UTF-8) that matches, one after the other.

    The end is that before the line end; behind the last line end there is one more line.
    """
    find = _by_line if _OF_ONE_LINE.search(pattern) else _at_once
    return find(text, _compiled(pattern))


def _at_once(text: bytes, compiled: "re2._Regexp") -> Iterator[tuple[int, int]]:
    """In one go over the text, from match to match."""
    begin = 0
    while begin <= len(text):
        found = compiled.search(text, begin)
        if found is None:
            return
        at = found.start()
        begin = text.rfind(b"\n", begin, at) + 1 or begin
        end = _line_end(text, at)
        yield begin, end
        begin = end + 1


def _by_line(text: bytes, compiled: "re2._Regexp") -> Iterator[tuple[int, int]]:
    """Each line by itself: some 1 µs for each."""
    begin = 0
    while begin <= len(text):
        end = _line_end(text, begin)
        if compiled.search(text[begin:end]):
            yield begin, end
        begin = end + 1


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def _compiled(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    options.never_nl = True  # no match goes over a line end, so lines need not be cut out
    options.never_capture = True
    return re2.compile(b"(?m)" + pattern.encode(), options)
