"""A router's words as they may be shown to an operator: one line, bounded, without the key.

One job: that. Pure. It must not know which words those are.
"""

from dataclasses import dataclass, field

KEY_WORDS = "[the tools key]"
MAX_ID_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """``secret`` is the tools key, which a router that was told it could say again."""

    secret: str = field(default="", repr=False)

    def text(self, text: str, most: int) -> str:
        """At most so many characters; what moves a cursor or ends a line becomes `?`."""
        if self.secret:  # before it is cut, so that no part of the key is left
            text = text.replace(self.secret, KEY_WORDS)
        return "".join(one if one.isprintable() else "?" for one in text[:most])

    def id(self, text: str) -> str:
        """An id or the name of a tool."""
        return self.text(text, MAX_ID_SHOWN)
