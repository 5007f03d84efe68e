"""By which command a program file is started."""

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.worker.start_line import start_command

COMMANDS = {
    b"#!/bin/bash\necho": ("/bin/bash", "/tool/x"),
    b"#! /bin/bash -e\n": ("/bin/bash", "-e", "/tool/x"),
    b"#!/bin/bash\r\necho\r\n": ("/bin/bash", "/tool/x"),
    b"#!/bin/awk -f  -x\n": ("/bin/awk", "-f -x", "/tool/x"),
    b"#!/usr/bin/env python3": ("python3", "/tool/x"),
    b"#!/usr/bin/env -S python3 -u\n": ("python3", "-u", "/tool/x"),
    b"#!/usr/bin/env A=1 node\n": ("/usr/bin/env", "A=1", "node", "/tool/x"),
    b"#!/usr/bin/env -i bash\n": ("/usr/bin/env", "-i", "bash", "/tool/x"),
    b"\x7fELF\x02": ("/tool/x",),
}


@pytest.mark.parametrize("data", COMMANDS, ids=repr)
def test_the_first_line_says_the_command(data: bytes) -> None:
    assert start_command("x", data) == COMMANDS[data]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin with a `#!` line"),
        (b"echo hello\n", "does not begin with a `#!` line"),
        (b"\xef\xbb\xbf#!/bin/bash\n", "after a byte order mark"),
        (b"#!\n", "names no interpreter by its full path"),
        (b"#!bash\n", "names no interpreter by its full path"),
        (b"#!/bin/b\xe4sh\n", "names no interpreter by its full path"),
        (b"#!/usr/bin/env\n", "names no interpreter after `env`"),
    ],
)
def test_a_file_that_does_not_say_how_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        start_command("x", data)
