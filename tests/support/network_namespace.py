"""A network namespace in which every address there is belongs to this machine.

One job: make it, run a program of ours inside, and remove it. Needs root and `ip`; a machine
without them fails the tests that need it. Whatever address a program inside connects to, a listener
inside is touched, so that a check that lets something through is seen, and nothing leaves.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND_S = 20
PROGRAM_S = 60

# `local` routes make the whole address space our own; a link-local one needs a scope to be used.
_SET_UP = (
    ("link", "set", "lo", "up"),
    ("route", "add", "local", "0.0.0.0/0", "dev", "lo"),
    ("-6", "route", "add", "local", "::/0", "dev", "lo"),
    ("-6", "address", "add", "fe80::1/64", "dev", "lo", "nodad"),
)


@contextmanager
def network_namespace() -> Iterator[str]:
    """Its name."""
    name = f"auxot-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _ip("netns", "add", name)
    try:
        for command in _SET_UP:
            _ip("-n", name, *command)
        yield name
    finally:
        _ip("netns", "delete", name)


def run_inside(namespace: str, module: str, given: str) -> str:
    """What `python -m module` writes when it is given `given`; raises when it fails."""
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", module]
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _ip(*arguments: str) -> None:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
