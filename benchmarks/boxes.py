"""Calls through a real `DockerSandbox`: by mode and language, to the first output, cancelled.

One job: the sandbox side of the comparison. It knows no baseline and prints nothing.
"""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from uuid import uuid4

import anyio

from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec, Isolation, Program, Sandbox
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.measure import (
    CALL_LIMIT_S,
    WORKLOADS,
    CallTimes,
    claimed,
    spec_of,
    timed_call,
)
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.types import Deadline, OutputChunk
from benchmarks.machine import CORES
from benchmarks.timing import Call

_ENDLESS = Program(("bash", "-c", "sleep 300 & sleep 300 & echo on; while :; do :; done"), b"")


@asynccontextmanager
async def opened(
    ready: int = CORES, concurrency: int = CORES
) -> AsyncGenerator[DockerSandbox, None]:
    """A sandbox of its own worker id. As many boxes at once as cores: more only queue inside."""
    options = SandboxOptions(
        concurrency=concurrency, ready=ready, sessions=64, sessions_per_tenant=64
    )
    async with DockerSandbox(options, worker_id=f"bench-{uuid4().hex[:6]}") as sandbox:
        yield sandbox


def calls_of(
    sandbox: Sandbox, modes: tuple[Isolation, ...], languages: Iterable[str] = tuple(WORKLOADS)
) -> Mapping[str, Call]:
    """The name of a row -> one whole call, for each mode and language."""
    return {
        f"{mode} {language}": _whole(sandbox, mode, language)
        for mode in modes
        for language in languages
    }


def first_outputs_of(sandbox: Sandbox) -> Mapping[str, Call]:
    """The same for claims of ready boxes, up to the first output."""
    return {f"call {language}, first output": _first(sandbox, language) for language in WORKLOADS}


def _whole(sandbox: Sandbox, mode: Isolation, language: str) -> Call:
    async def call(client: int) -> float:
        return (await _timed(sandbox, mode, language, client)).total_s

    return call


def _first(sandbox: Sandbox, language: str) -> Call:
    async def call(client: int) -> float:
        return (await _timed(sandbox, "call", language, client)).first_output_s

    return call


async def _timed(sandbox: Sandbox, mode: Isolation, language: str, client: int) -> CallTimes:
    # In mode session each client has a session of its own; the others share one tenant.
    owner = BoxOwner("bench", f"session-{client}")
    return await timed_call(sandbox, WORKLOADS[language], mode, owner)


def keep_ready(
    sandbox: DockerSandbox, languages: tuple[str, ...] = ("python", "javascript")
) -> None:
    """Announce the kinds of boxes that calls will ask for."""
    specs = [spec_of(WORKLOADS[language], "call") for language in languages]
    sandbox.keep_ready(specs)


def cancelling(sandbox: Sandbox, mode: Isolation) -> Call:
    """From the wish to cancel a busy program with children until its box is given back."""

    async def call(client: int) -> float:
        deadline = Deadline.after(CALL_LIMIT_S)
        spec = BoxSpec("", BoxLimits(), mode)
        owner = BoxOwner("bench", f"cancelled-{client}")
        begun = 0.0
        async with (
            claimed(sandbox, spec, owner, deadline) as box,
            anyio.create_task_group() as tasks,
            aclosing(box.run(_ENDLESS, deadline)) as events,
        ):
            async for event in events:
                if isinstance(event, OutputChunk) and not begun:
                    begun = time.perf_counter()
                    tasks.start_soon(box.cancel)
        return time.perf_counter() - begun

    return call
