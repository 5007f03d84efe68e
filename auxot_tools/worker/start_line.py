"""Says how a program file is started in the box: by its first line, or as it is.

One job: from a file's name and bytes to a command. Pure: it must not know folders or tools. The
first line is read here and not by the box's kernel, so that a mistake in it is told when the tool
is loaded, and a Python script gets the interpreter that is waiting for it.
"""

from auxot_tools.errors import ConfigError

TOOL = "/tool"
_MAX_LINE_BYTES = 256  # the kernel reads no more of it either
_ELF = b"\x7fELF"
_MARK = b"#!"
_ENV = "env"
_BOM = b"\xef\xbb\xbf"


def is_program(first_bytes: bytes) -> bool:
    """Whether a file that begins like this is meant to be started."""
    return first_bytes.startswith((_ELF, _MARK))


def start_command(name: str, data: bytes) -> tuple[str, ...]:
    """The command that starts the file ``name``, which lies in /tool and holds ``data``.

    ``#!/usr/bin/env NAME`` becomes ``NAME``, found on the box's path. Raises ``ConfigError`` for a
    file that has no first line of this kind and is not a compiled program.
    """
    path = f"{TOOL}/{name}"
    if data.startswith(_ELF):
        return (path,)
    line = data[:_MAX_LINE_BYTES].partition(b"\n")[0]
    if not line.startswith(_MARK):
        before = ", after a byte order mark" if line.startswith(_BOM + _MARK) else ""
        advice = "begin it with `#!/bin/bash`, `#!/usr/bin/env python3` or the like"
        raise ConfigError([f"`{name}` does not begin with a `#!` line{before}; {advice}"])
    try:
        words = line.removeprefix(_MARK).decode("ascii").split()
    except UnicodeDecodeError:
        words = []
    if not words or not words[0].startswith("/"):
        raise ConfigError([f"the first line of `{name}` names no interpreter by its full path"])
    interpreter, *rest = words
    if interpreter.rpartition("/")[2] == _ENV:
        rest = rest[1:] if rest[:1] == ["-S"] else rest
        if not rest:
            raise ConfigError([f"the first line of `{name}` names no interpreter after `env`"])
        if not rest[0].startswith("-") and "=" not in rest[0]:
            return (*rest, path)
        return (interpreter, *rest, path)
    argument = " ".join(rest)  # the kernel's rule: what follows is one argument
    return (interpreter, argument, path) if argument else (interpreter, path)
