"""Programs that judge deployment files, run to their end.

One job: start, wait, bounded, and give what was said. It must not know the files.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LIMIT_S = 60.0  # each takes half a second


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Said:
    """Run with `PATH` and ``environment`` alone: nothing of this machine's settings."""
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
