"""One other sandbox in a process of its own, run by `.venv-bench`: `peer_process.py WHICH IMAGE`.

One job: for each line that it reads, one call that prints 42, and a line with its seconds.
It must not import anything of ours: the two live in different environments.
"""

import asyncio
import logging
import sys
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from llm_sandbox import SandboxSession  # type: ignore[import-not-found]
from swerex.deployment.docker import DockerDeployment  # type: ignore[import-not-found]
from swerex.runtime.abstract import (  # type: ignore[import-not-found]
    BashAction,
    Command,
    CreateBashSessionRequest,
)

CODE = "print(6*7)"
COMMAND = ["python3", "-c", CODE]
EXPECTED = "42"
Ask = Callable[[], str]
AskAsync = Callable[[], Awaitable[str]]


def session(image: str) -> "SandboxSession":
    """As fast as it can be made: nothing is installed or set up, and its container ends at once.

    Without an init its stop waits 10 s for a shell that ignores SIGTERM.
    """
    return SandboxSession(
        image=image,
        lang="python",
        skip_environment_setup=True,
        keep_template=True,
        workdir="/tmp",
        runtime_configs={"network_mode": "none", "init": True, "command": "sleep infinity"},
    )


@contextmanager
def llm_sandbox_kept(image: str) -> Iterator[Ask]:
    with session(image) as kept:
        yield lambda: str(kept.run(CODE).stdout)


@contextmanager
def llm_sandbox_fresh(image: str) -> Iterator[Ask]:
    def ask() -> str:
        with session(image) as fresh:
            return str(fresh.run(CODE).stdout)

    yield ask


@asynccontextmanager
async def swe_rex_execute(image: str) -> AsyncIterator[AskAsync]:
    async with deployed(image) as runtime:

        async def ask() -> str:
            return str((await runtime.execute(Command(command=COMMAND))).stdout)

        yield ask


@asynccontextmanager
async def swe_rex_session(image: str) -> AsyncIterator[AskAsync]:
    async with deployed(image) as runtime:
        await runtime.create_session(CreateBashSessionRequest())

        async def ask() -> str:
            action = BashAction(command=f"python3 -c '{CODE}'")
            return str((await runtime.run_in_session(action)).output)

        yield ask


@asynccontextmanager
async def deployed(image: str):  # type: ignore[no-untyped-def]
    """Its server in a container that publishes a port, as it wants it."""
    deployment = DockerDeployment(image=image, pull="never", startup_timeout=60.0)
    await deployment.start()
    try:
        yield deployment.runtime
    finally:
        await deployment.stop()


BLOCKING = {"llm-sandbox-kept": llm_sandbox_kept, "llm-sandbox-fresh": llm_sandbox_fresh}
ASYNC = {"swe-rex-execute": swe_rex_execute, "swe-rex-session": swe_rex_session}


def tell(begun: float, answer: str) -> None:
    took_s = time.perf_counter() - begun
    if EXPECTED not in answer:
        raise SystemExit(f"it answered {answer[:200]!r}")
    print(f"took {took_s}", flush=True)


def serve(which: str, image: str) -> None:
    with BLOCKING[which](image) as ask:
        print("ready 1", flush=True)
        for _ in sys.stdin:
            tell(time.perf_counter(), ask())


async def serve_async(which: str, image: str) -> None:
    async with ASYNC[which](image) as ask:
        print("ready 1", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            begun = time.perf_counter()
            tell(begun, await ask())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    if sys.argv[1] in BLOCKING:
        serve(*sys.argv[1:3])
    else:
        asyncio.run(serve_async(*sys.argv[1:3]))
