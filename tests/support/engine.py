"""Real boxes for tests: a `DockerSandbox` on the engine of this machine, and short ways to use it.

The image is built once per test run when it is missing (`make test` builds it before).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread

from auxot_tools.ports import (
    BoxLimits,
    BoxOwner,
    BoxSpec,
    CollectLimits,
    Isolation,
    KeptOutput,
    Program,
    SandboxOutcome,
)
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.image import build_image
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.profile import LABEL_WORKER
from auxot_tools.types import Deadline, InputFile, OutputChunk

NOBODY = BoxOwner()
PATIENCE_S = 20.0  # the longest a test waits for something that should come


@cache
def sandbox_image() -> str:
    """The name of the sandbox image, which is on the engine afterwards."""
    return build_image().tag


@asynccontextmanager
async def docker_sandbox(
    concurrency: int = 4, options: SandboxOptions | None = None
) -> AsyncGenerator[DockerSandbox, None]:
    """A sandbox of its own worker id, closed at the end. By default no box is made ahead."""
    await anyio.to_thread.run_sync(sandbox_image)
    options = options or SandboxOptions(concurrency=concurrency, ready=0)
    async with DockerSandbox(options, worker_id=f"test-{uuid4().hex[:8]}") as sandbox:
        yield sandbox


@dataclass
class Ran:
    """What one run gave."""

    outcome: SandboxOutcome
    chunks: list[OutputChunk] = field(default_factory=list)
    box_id: str = ""
    notice: str = ""

    @property
    def stdout(self) -> str:
        return _text(self.outcome.stdout)

    @property
    def stderr(self) -> str:
        return _text(self.outcome.stderr)


async def run_program(
    sandbox: DockerSandbox,
    *command: str,
    stdin: bytes = b"",
    limits: BoxLimits | None = None,
    tool_files: Sequence[InputFile] = (),
    work_files: Sequence[InputFile] = (),
    deadline: Deadline | None = None,
    image: str = "",
    isolation: Isolation = "call",
    owner: BoxOwner = NOBODY,
    collect: CollectLimits | None = None,
) -> Ran:
    """Claim a box, run one program in it, release it."""
    deadline = deadline or Deadline.after(60)
    program = Program(tuple(command), stdin, tuple(tool_files), tuple(work_files), collect)
    box = await sandbox.claim(BoxSpec(image, limits or BoxLimits(), isolation), owner, deadline)
    chunks: list[OutputChunk] = []
    try:
        async with aclosing(box.run(program, deadline)) as events:
            async for event in events:
                if isinstance(event, SandboxOutcome):
                    return Ran(event, chunks, box.id, box.notice)
                chunks.append(event)
    finally:
        await box.release()
    raise AssertionError("a run ended without an outcome")


async def run_python(
    sandbox: DockerSandbox, code: str, limits: BoxLimits | None = None, stdin: bytes = b""
) -> Ran:
    """Run Python code from a file in /work."""
    files = [InputFile("main.py", code.encode())]
    return await run_program(
        sandbox, "python3", "main.py", limits=limits, work_files=files, stdin=stdin
    )


def containers_of(worker_id: str) -> list[dict[str, Any]]:
    """Every container on the engine, in whatever state, that this worker made."""
    client = connect()
    try:
        found = client.containers(all=True, filters={"label": f"{LABEL_WORKER}={worker_id}"})
        return list(found)
    finally:
        client.close()


def process_sleeps(container_id: str, name: str) -> bool:
    """Whether the process of this name in the container waits for something (state S)."""
    client = connect()
    try:
        rows = client.top(container_id, "-o pid,stat,comm")["Processes"]
    finally:
        client.close()
    return any(state.startswith("S") for _pid, state, command in rows if command == name)


async def until_none_left(worker_id: str) -> None:
    """Wait until this worker has no container; fails after `PATIENCE_S`."""
    with anyio.fail_after(PATIENCE_S):
        while await anyio.to_thread.run_sync(containers_of, worker_id):  # noqa: ASYNC110
            await anyio.sleep(0.05)  # the engine has no event to wait for


def _text(kept: KeptOutput | None) -> str:
    assert kept is not None
    assert kept.omitted_bytes == 0, "use outcome.stdout where output is left out"
    return kept.head.decode()
