"""The process that runs tools: sandbox, executor, gRPC server.

One job: wiring, from the configuration to a worker that serves.
"""

import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version

import anyio
from anyio import to_thread

from auxot_tools.assembly.engine import sandbox_options
from auxot_tools.assembly.outbound import box_connect
from auxot_tools.assembly.paths import path_text
from auxot_tools.assembly.tools import (
    check_credentials,
    equipment,
    isolation_policy,
    live_registry,
)
from auxot_tools.config import Config, Credentials
from auxot_tools.errors import (
    ConfigError,
    DeadlineExceeded,
    EngineUnavailable,
    ImageMissing,
    Unavailable,
)
from auxot_tools.net.outbound import Outbound, outbound_limits, outbound_rules
from auxot_tools.ports import Approvals, Box, BoxOwner, BoxSpec, Program, SandboxOutcome
from auxot_tools.rpc.condition import follow_problem
from auxot_tools.rpc.lifecycle import run_until_stopped
from auxot_tools.rpc.listeners import ListenerConfig, listener_problems
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.variables import refusal_of
from auxot_tools.types import Deadline
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import IsolationPolicy

logger = logging.getLogger(__name__)

_TRY_RUNTIME_S = 60.0  # for a first box; runtimes with a machine of their own need seconds
_NO_CREDENTIALS = Credentials()


class _WorkerFacts:
    """What the worker says of itself; the counters are the executor's."""

    def __init__(self, worker_id: str, executor: Executor, policy: IsolationPolicy) -> None:
        self.worker_id = worker_id
        self.software_version = version("auxot-tools")
        self.capabilities: Sequence[str] = [f"isolation:{mode}" for mode in policy.offered()]
        self._executor = executor

    @property
    def free_slots(self) -> int:
        return self._executor.free_slots

    @property
    def total_slots(self) -> int:
        return self._executor.total_slots

    @property
    def waiting_calls(self) -> int:
        return self._executor.waiting_calls


@asynccontextmanager
async def local_executor(
    config: Config, worker_id: str, credentials: Credentials = _NO_CREDENTIALS
) -> AsyncGenerator[Executor, None]:
    """Tools run in this process, on the engine; leaving removes every container it made.

    Raises `ConfigError` for settings that cannot be served here.
    """
    slots = config.worker.slots or os.cpu_count() or 1
    registry = await to_thread.run_sync(live_registry, config)
    check_credentials(registry.tools.values(), credentials)
    outbound = Outbound(outbound_rules(config.net), outbound_limits(config.net))
    options = sandbox_options(config, slots)
    connect = box_connect(config.net, outbound)
    async with (
        outbound,
        equipment(config, worker_id, outbound, credentials, registry.tools) as around,
        DockerSandbox(options, worker_id=worker_id, connect=connect) as sandbox,
    ):
        executor = Executor(
            registry,
            sandbox,
            around,
            image=config.sandbox.image,
            slots=slots,
            max_waiting=config.worker.max_waiting,
        )
        await _look_around(config, sandbox, executor.ready_specs())
        sandbox.keep_ready(executor.ready_specs())
        registry.on_change = lambda: sandbox.keep_ready(executor.ready_specs())
        yield executor


async def _look_around(config: Config, sandbox: DockerSandbox, specs: Sequence[BoxSpec]) -> None:
    """Clear away what dead workers left, and say now what every call would say later.

    Raises `ConfigError` for a runtime that cannot be used: that is nothing to wait for.
    """
    try:
        await sandbox.check(config.sandbox.image)
        await sandbox.remove_leftovers()
        if config.sandbox.runtime:
            await _try_runtime(config.sandbox.runtime, sandbox, specs)
    except EngineUnavailable as error:
        logger.warning("%s Calls are refused until it answers.", error)
    except Unavailable as error:
        logger.warning("%s Calls are refused until it is there.", error)


async def _try_runtime(runtime: str, sandbox: DockerSandbox, specs: Sequence[BoxSpec]) -> None:
    """One program in a box of each kind: what the operator chose must not fail at the calls."""
    for spec in specs:
        deadline = Deadline.after(_TRY_RUNTIME_S)
        try:
            box = await sandbox.claim(spec, BoxOwner(), deadline)
        except (EngineUnavailable, ImageMissing):
            raise
        except (Unavailable, DeadlineExceeded) as error:
            text = f"sandbox.runtime is {runtime}, but no sandbox can be made with it: {error}"
            raise ConfigError([text]) from error
        try:
            if not await _runs(box, deadline):
                text = f"sandbox.runtime is {runtime}, but a program does not run properly in it"
                raise ConfigError([text])
        finally:
            await box.release()


async def _runs(box: Box, deadline: Deadline) -> bool:
    """Whether a program comes to its end, and this is seen."""
    async with aclosing(box.run(Program(("true",), b""), deadline)) as events:
        async for event in events:
            if isinstance(event, SandboxOutcome):
                return event.exit_code == 0 and event.stopped is None
    return False


def credential_fault(credentials: Mapping[str, str]) -> str:
    """Why a call cannot bring these credentials, without a value; empty when it can."""
    return refusal_of(credentials.items())


async def run_worker(
    config: Config, on_ready: Callable[[Sequence[str]], None], credentials: Credentials
) -> None:
    """Serve tools over gRPC until a signal; `on_ready` is told the addresses.

    Raises `ConfigError` for addresses, keys and certificates that may not or cannot be used.
    """
    settings = config.worker
    listeners = ListenerConfig(
        listen=settings.listen,
        key=settings.key.get_secret_value(),
        tls_cert=path_text(settings.tls_cert),
        tls_key=path_text(settings.tls_key),
        tls_client_ca=path_text(settings.tls_client_ca),
        allow_plaintext=settings.allow_plaintext,
    )
    problems = listener_problems(listeners)
    if problems:  # told before anything is started: a start clears away what dead workers left
        raise ConfigError(problems)
    worker_id = secrets.token_hex(6)
    async with local_executor(config, worker_id, credentials) as executor:
        facts = _WorkerFacts(worker_id, executor, isolation_policy(config))
        approvals: Approvals = executor.approvals
        server = WorkerServer(
            executor, facts, listeners, approvals=approvals, credential_fault=credential_fault
        )
        async with server, anyio.create_task_group() as tasks:
            tasks.start_soon(follow_problem, server, executor.problem)
            tasks.start_soon(executor.follow_policy)
            await run_until_stopped(
                server,
                on_drain=lambda: executor.drain(settings.grace_s),
                grace_s=settings.grace_s,
                on_ready=lambda: on_ready(server.addresses),
            )
            tasks.cancel_scope.cancel()
