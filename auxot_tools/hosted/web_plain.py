"""The plain text of a page that no parser got through, and of small pieces of HTML.

One job: leave tags out, in time linear in the size, whatever the input. Pure.
"""

import re
import string
from html import unescape as _unescape

# What is not text of the page, with all that is in it.
_SILENT = ("script", "style", "noscript", "template", "svg", "head", "title")
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th"),
        *("tr", "ul"),
    )
)
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9-]{0,40})")
# A number that no character has. Python refuses to read one of more than 4,300 digits at all.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{20,};?")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# More is not a page that anybody reads as plain text; takes about 1 s.
MAX_CHARS = 2 * 2**20


def plain_text(page: str) -> str:
    """The text between the tags, one line for each block. Never raises."""
    text = unescape("".join(_pieces(page[:MAX_CHARS])))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def one_line(text: str, max_chars: int) -> str:
    """A title or snippet without tags, entities and line ends, at most `max_chars` long."""
    line = " ".join(unescape("".join(_pieces(text))).split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1].rstrip()}…"


def unescape(text: str) -> str:
    """`text` with its entities as characters; a number that means none is U+FFFD. Never raises."""
    return _unescape(_ENDLESS_NUMBER.sub("\ufffd", text))


def ascii_lower(text: str) -> str:
    """`text` with A to Z in small letters, as long as before: other letters may grow."""
    return text.translate(_LOWER)


def _pieces(page: str) -> list[str]:
    pieces: list[str] = []
    lowered = ascii_lower(page)
    absent: set[str] = set()  # closings that do not come any more: looked for once
    position = 0
    while True:
        begin = page.find("<", position)
        if begin < 0:
            break
        pieces.append(page[position:begin])
        if page.startswith("<!--", begin):
            position = _after(lowered, "-->", begin, absent)
            continue
        found = _NAME.match(page, begin)
        if not found and not page.startswith(("<!", "<?"), begin):
            pieces.append("<")  # a sign of its own, as in a < b
            position = begin + 1
            continue
        name = found[1].lower() if found else ""
        pieces.append("\n" if name in _BLOCKS else "")
        position = _after(page, ">", begin, absent)
        if name in _SILENT and page[begin + 1] != "/":
            closing = lowered.find(f"</{name}", position) if name not in absent else -1
            absent.update({name} if closing < 0 else ())
            position = closing if closing >= 0 else position
    return [*pieces, page[position:]]


def _after(page: str, closing: str, begin: int, absent: set[str]) -> int:
    """Where what begins at `begin` has ended; when it does not end, after its first character."""
    found = page.find(closing, begin) if closing not in absent else -1
    if found < 0:
        absent.add(closing)
        return begin + 1
    return found + len(closing)
