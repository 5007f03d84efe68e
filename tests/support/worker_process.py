"""A process that holds one running box, to be killed by a test: `python -m ... WORKER_ID`.

Prints one line when the program in its box runs, then waits to be ended.
"""

import sys

import anyio

from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec, Program
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.types import Deadline, OutputChunk


async def main(worker_id: str) -> None:
    options = SandboxOptions(concurrency=1, ready=0)
    async with DockerSandbox(options, worker_id=worker_id) as sandbox:
        limits = BoxLimits(timeout_s=600)
        box = await sandbox.claim(BoxSpec("", limits), BoxOwner(), Deadline.after(600))
        script = "echo running; (setsid sleep 600 &); sleep 600"
        async for event in box.run(Program(("bash", "-c", script), b""), Deadline.after(600)):
            if isinstance(event, OutputChunk):
                print(box.id, flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
