"""The process that works for an Auxot router: where its jobs are run, and its life until a signal.

One job: wiring, from the configuration to a worker that is connected.
"""

import logging
import os
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio

from auxot_tools.assembly.router import remote_dispatcher, worker_target
from auxot_tools.assembly.tools import check_allowed_tools
from auxot_tools.assembly.worker import credential_fault, local_executor
from auxot_tools.config import Config, Credentials
from auxot_tools.connect.advice import NO_KEY, tenant_of
from auxot_tools.connect.jobs import JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_url import shown_address
from auxot_tools.connect.router_worker import RouterTarget, RouterWorker
from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.ports import ToolDispatcher

logger = logging.getLogger(__name__)

_SIGNALLED = 128  # shells report death by signal N as 128 + N


async def run_connect(config: Config, credentials: Credentials) -> None:
    """Run the jobs of `connect.router_url` until a signal.

    SIGTERM or SIGINT finishes what runs, for `worker.grace_s`, and delivers it; a second one exits
    at once. Raises `ConfigError` without a key, and `RouterRefused`, with advice, for a key that
    the router does not take.
    """
    key = config.connect.tools_key.get_secret_value()
    if not key:
        raise ConfigError([NO_KEY])
    grace_s = config.worker.grace_s
    await _until_signal(lambda stop: _work(config, credentials, key, stop), grace_s)


async def _work(config: Config, credentials: Credentials, key: str, stop: anyio.Event) -> None:
    """From the first box to the last one: until ``stop``, or for ever."""
    async with _dispatcher(config, credentials) as dispatcher:
        offered = Offered(
            dispatcher,
            config.worker.allowed_tools,
            deny_by_default=config.connect.deny_by_default,
        )
        worker = RouterWorker(
            RouterTarget(config.connect.router_url, key),
            dispatcher,
            offered,
            job_settings(config, key),
        )
        await _tell_start(config, offered)
        await worker.run(stop, config.worker.grace_s)


@asynccontextmanager
async def _dispatcher(
    config: Config, credentials: Credentials
) -> AsyncGenerator[ToolDispatcher, None]:
    """The worker behind gRPC that `connect.worker` names, or tools in this process."""
    if config.connect.worker:
        async with remote_dispatcher(_with_worker(config)) as remote:
            yield remote
        return
    async with local_executor(config, secrets.token_hex(6), credentials) as executor:
        yield executor


def _with_worker(config: Config) -> Config:
    """The same, whose router's worker is the one of `connect.worker`."""
    router = config.router.model_copy(update={"worker": config.connect.worker})
    return config.model_copy(update={"router": router})


def job_settings(config: Config, key: str) -> JobSettings:
    """How the jobs of this key are run."""
    settings = config.connect
    open_way = ""
    if settings.worker:
        open_way = worker_target(_with_worker(config)).credentials_refusal
    return JobSettings(
        tenant=settings.tenant or tenant_of(key),
        concurrent_jobs=settings.concurrent_jobs,
        max_waiting=settings.max_waiting,
        job_timeout_s=settings.job_timeout_s,
        credential_fault=lambda given: open_way or credential_fault(given),
    )


async def _tell_start(config: Config, offered: Offered) -> None:
    """The first line, as Auxot's own worker writes it. Raises `ConfigError` when the worker behind
    gRPC has none of the tools that are allowed; one in this process has said so already.
    """
    names: tuple[str, ...] = ()
    try:
        names = await offered.refresh()
    except Unavailable as error:
        logger.warning("%s; it is tried again before each connection", error)
    else:
        if config.connect.worker:
            check_allowed_tools(config, offered.there)
    logger.info(
        "auxot-tools starting version=%s router_url=%s tools=%s",
        version("auxot-tools"),
        shown_address(config.connect.router_url),
        ",".join(names),
    )


async def _until_signal(work: Callable[[anyio.Event], Awaitable[None]], grace_s: float) -> None:
    """Work, and set its event at the first signal; signals are heard until all is cleaned up."""
    stop = anyio.Event()
    failed: list[Exception] = []
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, signals, stop, grace_s)
            try:
                await work(stop)
            except Exception as error:  # raised again, without its group
                failed.append(error)
            tasks.cancel_scope.cancel()
    if stop.is_set():  # all is done: a signal in the interpreter's last moments is no failure
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    if failed:
        raise failed[0]


async def _stop_on_signal(
    signals: AsyncIterator[signal.Signals], stop: anyio.Event, grace_s: float
) -> None:
    first = await anext(signals)
    logger.info("%s: finishing running jobs, at most %g s", first.name, grace_s)
    stop.set()
    second = await anext(signals)
    logger.warning("%s again: exiting at once", second.name)
    os._exit(_SIGNALLED + second)
