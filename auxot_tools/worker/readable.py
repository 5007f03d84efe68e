"""Makes bytes and names that a program chose into text that is safe to show, and sizes into words.

One job: spelling. Pure: it must not know what the text is about.
"""

import re

_MIB = 2**20
_MAX_NAME_CHARS = 100  # of a file's name in a sentence; a name has at most 255 bytes
# Terminal control sequences, removed whole: CSI (colours, cursor), OSC (titles, links), DCS.
_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
)
# Other control characters become their visible pictures (NUL -> U+2400), C1 the replacement mark.
_VISIBLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# Overrides, embeddings and isolates of the writing direction: they make text look like another.
_VISIBLE |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)


def readable(data: bytes) -> str:
    """Valid Unicode without control characters but newline and tab, and without sequences that a
    terminal acts on.
    """
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return _ANSI.sub("", text).translate(_VISIBLE)


def readable_name(name: str) -> str:
    """A file's name as text on one line."""
    clean = readable(name.encode("utf-8", "replace"))
    return clean.replace("\n", "\u240a").replace("\t", "\u2409")


def short_name(name: str) -> str:
    """The same, shortened: one word of a sentence of ours."""
    line = readable_name(name)
    return line if len(line) <= _MAX_NAME_CHARS else f"{line[:_MAX_NAME_CHARS]}…"


def size_text(size_bytes: int) -> str:
    """A size as people say it: ``512 MiB``, ``100 bytes``."""
    return f"{size_bytes / _MIB:g} MiB" if size_bytes >= _MIB else f"{size_bytes} bytes"
