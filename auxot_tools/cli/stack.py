"""Starts a worker and a router as two processes of their own, and stops them again.

One job: the life of the two children. What they are told is a configuration file or environment
that the caller made; where they listen they say themselves, in the first line that they print.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from auxot_tools.errors import Unavailable

READY_S = 60.0  # a cold start reads every module from disk; 1 s when they are cached
STOP_S = 30.0  # above the worker's grace
_LOG_TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class Stack:
    """Two running processes: where they listen and where they log."""

    origin: str
    worker: str
    worker_process: Process
    router_process: Process
    worker_log: Path
    router_log: Path
    worker_log_begin: int  # where this run's lines begin: a log may hold those of earlier runs
    router_log_begin: int

    async def first_to_end(self) -> str:
        """Wait until one of the two has ended; what it was, with the end of its log."""
        told: list[str] = []

        async def watch(command: str, process: Process, log: Path, begin: int) -> None:
            await process.wait()
            tail = await _tail(log, begin)
            told.append("\n".join([f"the {command} {_end_of(process)}:", *tail]))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            worker = (self.worker_process, self.worker_log, self.worker_log_begin)
            router = (self.router_process, self.router_log, self.router_log_begin)
            tasks.start_soon(watch, "worker", *worker)
            tasks.start_soon(watch, "router", *router)
        return told[0]


@asynccontextmanager
async def running_stack(
    log_dir: Path,
    environment: Mapping[str, str],
    config: Path | None = None,
    hurry: anyio.Event | None = None,
) -> AsyncGenerator[Stack, None]:
    """Worker and router, both ready. Leaving stops them, the router first; `hurry` kills them.

    Raises `Unavailable`, with the end of its log, when one of them does not get ready.
    """
    worker_log, router_log = log_dir / "worker.log", log_dir / "router.log"
    options = ["--config", str(config)] if config else []
    async with (
        _child("worker", options, environment, worker_log, hurry) as (worker, one, one_begin),
        _child("router", options, environment, router_log, hurry) as (origin, other, other_begin),
    ):
        yield Stack(origin, worker, one, other, worker_log, router_log, one_begin, other_begin)


@asynccontextmanager
async def _child(
    command: str,
    options: list[str],
    environment: Mapping[str, str],
    log: Path,
    hurry: anyio.Event | None,
) -> AsyncGenerator[tuple[str, Process, int], None]:
    """One process; yields what its ready line says, the process, and where its log begins."""
    arguments = [sys.executable, "-m", "auxot_tools.cli.main", *options, command]
    # A group of its own: Ctrl-C reaches us, and we stop the children in order.
    with _opened_log(log) as log_file:
        begin = log_file.tell()  # an earlier run's lines say nothing of this one
        process = await anyio.open_process(
            arguments,
            stdin=subprocess.DEVNULL,
            stderr=log_file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield await _ready_line(process, command, log, begin), process, begin
    finally:
        with anyio.CancelScope(shield=True):  # bounded by STOP_S
            await _stop(process, hurry)


def _opened_log(log: Path) -> BinaryIO:
    """The log, to be appended to; only its owner can read it."""
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


async def _ready_line(process: Process, command: str, log: Path, begin: int) -> str:
    prefix = f"{command} ready: "
    said = ""
    if process.stdout is None:
        raise RuntimeError("a child was started without stdout")
    with anyio.move_on_after(READY_S):
        async for piece in TextReceiveStream(process.stdout):
            said += piece
            if "\n" in said:
                break
    line = said.partition("\n")[0]
    if line.startswith(prefix):
        return line.removeprefix(prefix)
    raise Unavailable("\n".join([f"the {command} did not start:", *await _tail(log, begin)]))


async def _tail(log: Path, begin: int) -> list[str]:
    logged = (await anyio.Path(log).read_bytes())[begin:].decode(errors="replace")
    return logged.splitlines()[-_LOG_TAIL_LINES:]


async def _stop(process: Process, hurry: anyio.Event | None) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_S):
        async with anyio.create_task_group() as tasks:
            if hurry is not None:
                tasks.start_soon(_cancel_when, hurry, tasks.cancel_scope)
            await process.wait()
            tasks.cancel_scope.cancel()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()


async def _cancel_when(happened: anyio.Event, scope: anyio.CancelScope) -> None:
    await happened.wait()
    scope.cancel()


def _end_of(process: Process) -> str:
    code = process.returncode or 0
    return f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
