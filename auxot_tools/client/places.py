"""Where the calls of a client go: a worker behind gRPC, or an executor in this process.

One job: open either from what a user of the library says, with errors in the user's own words. What
runs tools here is loaded when it is asked for: a program that calls a worker needs none of it.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from auxot_tools.config import Config
from auxot_tools.errors import ConfigError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget

# How our settings are called here; the longer names first.
_OUR_NAMES = (
    ("router.worker_tls_cert", "tls_cert"),
    ("router.worker_tls_key", "tls_key"),
    ("router.worker_tls_ca", "tls_ca"),
    ("router.worker_key (AUXOT_WORKER_KEY)", "key"),
    ("router.worker", "worker"),
)


def worker_dispatcher(target: WorkerTarget) -> RemoteDispatcher:
    """The worker at ``target``. Raises ``ConfigError`` for what cannot be used."""
    try:
        return RemoteDispatcher(target)
    except ConfigError as error:
        raise ConfigError([_renamed(mistake) for mistake in error.mistakes]) from None


def _renamed(mistake: str) -> str:
    for name, ours in _OUR_NAMES:
        mistake = mistake.replace(name, ours)
    return mistake


@asynccontextmanager
async def local_dispatcher(config: Config | Path | None) -> AsyncGenerator[ToolDispatcher, None]:
    """Tools in this process, on the Docker engine. Raises ``ConfigError``."""
    local = import_module("auxot_tools.assembly.client").local_dispatcher
    async with local(config, os.environ, Path.cwd()) as dispatcher:
        yield dispatcher
