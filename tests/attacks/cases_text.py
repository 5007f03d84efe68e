"""Attacks through text: what a program prints reaches terminals, logs and a model."""

from tests.support.attack import Attack, TextLacks

_OUT = "import os\nos.write(1, {data!r})\nos.write(1, b'ran\\n')"


def _lacks(name: str, data: bytes, *parts: str) -> Attack:
    return Attack(name, "encodings", _OUT.format(data=data), "nobody", holds=TextLacks(parts))


_SURROGATES = tuple(chr(code) for code in range(0xDC80, 0xDD00))

CASES = [
    _lacks("bytes that are no UTF-8", b"\xff\xfe\xc3\x28\xf8\x88 ", *_SURROGATES),
    _lacks("half a character at the end", b"\xe2\x82 \xf0\x9f\x98 ", *_SURROGATES),
    _lacks("overlong forms of a slash", b"..\xc0\xaf..\xe0\x80\xaf ", *_SURROGATES),
    _lacks("lone surrogates", b"\xed\xa0\x80\xed\xb0\x80 ", *_SURROGATES, "\ud800"),
    _lacks("NUL", b"a\0b ", "\0"),
    _lacks("clearing the screen", b"\x1b[2J\x1b[1;1H ", "\x1b"),
    _lacks("the title of the terminal", b"\x1b]0;owned\x07 ", "\x1b", "\x07"),
    _lacks("a link that shows another", b"\x1b]8;;http://x/\x1b\\ok\x1b]8;;\x1b\\ ", "\x1b"),
    _lacks("the clipboard", b"\x1b]52;c;cm0gLXJm\x07 ", "\x1b", "\x07"),
    _lacks("an unfinished sequence", b"\x1b[38;5;" + b"1;" * 3000 + b"\n", "\x1b"),
    _lacks("control characters of eight bits", "\x9b2J\x85\x90 ".encode(), "\x9b", "\x85", "\x90"),
    _lacks("backspaces and returns that hide", b"rm -rf /\rls      \x08\x08\x08 ", "\r", "\x08"),
    _lacks("another way round", "\u202eevil\u202c \u2066x\u2069 ".encode(), "\u202e", "\u2066"),
    Attack(
        "a line of 4 MB",
        "encodings",
        "import os\nos.write(1, b'ran ')\nfor _ in range(64): os.write(1, b'x' * 65536)",
        "nobody",
        holds=TextLacks(),
    ),
    Attack(
        "a million lines",
        "encodings",
        "import os\nos.write(1, b'ran ')\nfor _ in range(32): os.write(1, b'x\\n' * 32768)",
        "nobody",
        holds=TextLacks(),
    ),
]
