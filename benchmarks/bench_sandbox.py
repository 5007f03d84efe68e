"""One tool call through `DockerSandbox` against a bare `docker run` of the same command.

Same engine, same image, interleaved in one run, so that only the ratio counts and a busy machine
hurts both alike. The bare run has none of our restrictions but the network's absence, and ours has
all; the bare run waits for its container's removal, and ours is removed behind the caller's back.
"""

import statistics
import subprocess
import time
from collections.abc import Awaitable
from contextlib import aclosing

import anyio
import anyio.to_thread

from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec, Program, SandboxOutcome
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.image import build_image
from auxot_tools.types import Deadline

ROUNDS = 20
PARALLEL = 4
COMMAND = ("python3", "-c", "print(6*7)")
SPEC = BoxSpec("", BoxLimits())


async def our_call(sandbox: DockerSandbox) -> None:
    deadline = Deadline.after(60)
    box = await sandbox.claim(SPEC, BoxOwner(), deadline)
    try:
        async with aclosing(box.run(Program(COMMAND, b""), deadline)) as events:
            async for event in events:
                if isinstance(event, SandboxOutcome):
                    assert event.stdout is not None
                    assert event.stdout.head == b"42\n", event
    finally:
        await box.release()


def bare_call(image: str) -> None:
    command = ["docker", "run", "--rm", "--network", "none", image, *COMMAND]
    result = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert result.stdout == b"42\n"


async def timed_ms(call: Awaitable[None]) -> float:
    begun = time.perf_counter()
    await call
    return (time.perf_counter() - begun) * 1000


def row(name: str, times_ms: list[float], baseline_ms: float) -> None:
    p50 = statistics.median(times_ms)
    p95 = sorted(times_ms)[int(len(times_ms) * 0.95) - 1]
    print(f"{name:34} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   ratio {p50 / baseline_ms:.2f}")


async def one_after_another(sandbox: DockerSandbox, image: str) -> None:
    ours, bare = [], []
    for number in range(ROUNDS + 2):
        bare_ms = await timed_ms(anyio.to_thread.run_sync(bare_call, image))
        ours_ms = await timed_ms(our_call(sandbox))
        if number >= 2:  # the first rounds warm caches up
            bare.append(bare_ms)
            ours.append(ours_ms)
    row("bare docker run", bare, statistics.median(bare))
    row("one call through the sandbox", ours, statistics.median(bare))


async def side_by_side(sandbox: DockerSandbox, image: str) -> None:
    async def bare_batch() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(PARALLEL):
                tasks.start_soon(anyio.to_thread.run_sync, bare_call, image)

    async def our_batch() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(PARALLEL):
                tasks.start_soon(our_call, sandbox)

    ours, bare = [], []
    for _ in range(ROUNDS // 4):
        bare.append(await timed_ms(bare_batch()))
        ours.append(await timed_ms(our_batch()))
    row(f"{PARALLEL} bare docker runs at once", bare, statistics.median(bare))
    row(f"{PARALLEL} calls through the sandbox at once", ours, statistics.median(bare))


async def main() -> None:
    image = (await anyio.to_thread.run_sync(build_image)).tag
    sandbox = DockerSandbox(worker_id="bench", concurrency=PARALLEL)
    try:
        await one_after_another(sandbox, image)
        await side_by_side(sandbox, image)
    finally:
        await sandbox.close()


if __name__ == "__main__":
    anyio.run(main)
