"""`auxot-tools` as a process of its own: a command sets logs up and runs an event loop, and neither
belongs into a process of tests.
"""

import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """How it ended; `output` is what it wrote to stdout."""

    exit_code: int
    output: str
    errors: str


def auxot_tools(*arguments: str) -> Done:
    """Run one command in the folder that this process is in, without its configuration."""
    environment = {name: value for name, value in os.environ.items() if name != "AUXOT_CONFIG"}
    command = [sys.executable, "-m", "auxot_tools.cli.main", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, env=environment
    )
    return Done(done.returncode, done.stdout, done.stderr)
