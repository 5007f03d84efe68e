"""Words of others, made fit to be shown: on one line, harmless to terminal and shell, short.

One job: text to text. Must not know keys: what may hold one goes through `key.Redactor` first, as
half a key is a key to nobody who looks for it.
"""

import re
import unicodedata
from urllib.parse import quote

SHOWN_CHARS = 200  # of a server's own words
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, bidi marks, half characters, breaks
_NOT_IN_A_URL = re.compile(r"[^\w:/%@\[\]+,=~?.\u2026-]")
_NOT_IN_A_NAME = re.compile(r"[^\w ./():+,=@-]")


def printable(text: str) -> str:
    """Without what a terminal would obey or a reader would not see; it becomes space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(one) in _HIDDEN else one for one in text)


def one_line(text: str) -> str:
    return " ".join(printable(text).split())


def shortened(text: str, chars: int = SHOWN_CHARS) -> str:
    """At most ``chars`` characters, and a sign that there were more."""
    return text if len(text) <= chars else f"{text[:chars]}\u2026"


def shell_safe_url(url: str) -> str:
    """A URL that does nothing but name a place when it stands in a shell's line."""
    return _NOT_IN_A_URL.sub(lambda match: quote(match[0], safe="", errors="replace"), url)


def plain_name(text: str) -> str:
    """What a server calls itself, or a number of its: no sign that a shell would obey."""
    return _NOT_IN_A_NAME.sub("?", text)
