"""Runs `examples/node/call_tools.mjs` as its README says."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import anyio

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class NodeRun:
    exit_code: int
    output: str
    errors: str


async def run_node_example(address: str, key: str = "") -> NodeRun:
    """One run against the worker at ``address``."""
    assert (EXAMPLE / "node_modules").is_dir(), "run deploy/ensure-node-example.sh first"
    with anyio.fail_after(PATIENCE_S):
        done = await anyio.run_process(
            ["node", "call_tools.mjs", address],
            cwd=EXAMPLE,
            env={"PATH": os.environ["PATH"], "AUXOT_WORKER_KEY": key},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    return NodeRun(done.returncode, done.stdout.decode(), done.stderr.decode())
