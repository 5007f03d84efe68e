"""The composition root: builds every adapter from a configuration and joins them.

One job: wiring. It is the only module that knows all of `router`, `worker`, `sandbox` and `rpc`,
and it must not hold logic of its own. Used by the command line, and by tests that want the whole.
"""

import gc
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import anyio
from anyio import to_thread

from auxot_tools.config import Config, ProviderSettings, UpstreamSettings
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.driver.upstreams import HttpModelClient, Upstream
from auxot_tools.errors import (
    ConfigError,
    DeadlineExceeded,
    EngineUnavailable,
    ImageMissing,
    Unavailable,
)
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.net.http import HttpClient, HttpTimeouts
from auxot_tools.ports import Box, BoxOwner, BoxSpec, ModelServer, Program, SandboxOutcome
from auxot_tools.router.app import RouterApp
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.serve import Listener, serve
from auxot_tools.router.services import RouterLimits, Services
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.condition import follow_problem
from auxot_tools.rpc.lifecycle import run_until_stopped
from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.image import ImageReport, Progress, build_image
from auxot_tools.sandbox.listing import list_boxes, reap
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.reaper import ListedBox
from auxot_tools.scripted.demo import demo_model
from auxot_tools.share import share_dir
from auxot_tools.types import Deadline
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry

logger = logging.getLogger(__name__)

DEMO_UPSTREAM = "demo"
_PROBES = 4
_TRY_RUNTIME_S = 60.0  # for a first box; runtimes with a machine of their own need seconds


def load_registry(config: Config) -> Registry:
    """The worker's tools, read from its folders. Blocking."""
    folders = config.worker.tools_dirs or (share_dir("tools"),)
    return Registry.load(folders, config.sandbox.limits.ceilings(), _isolation_policy(config))


def _isolation_policy(config: Config) -> IsolationPolicy:
    return IsolationPolicy(config.sandbox.isolation, frozenset(config.sandbox.allowed_isolation))


def build_sandbox_image(config: Config, progress: Progress) -> ImageReport:
    """Make the sandbox image unless it is there. Blocking. Raises what `build_image` raises."""
    return build_image(config.sandbox.base, config.sandbox.engine_url or None, progress)


def listed_boxes(config: Config) -> Sequence[ListedBox]:
    """The containers of all workers on the engine, oldest first. Blocking. Raises `Unavailable`."""
    return list_boxes(config.sandbox.engine_url)


def reap_boxes(config: Config) -> int:
    """Remove what dead workers left; how many containers. Blocking. Raises `Unavailable`."""
    return reap(config.sandbox.engine_url)


# -- the worker ------------------------------------------------------------------------------


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
async def local_executor(config: Config, worker_id: str) -> AsyncGenerator[Executor, None]:
    """Tools run in this process, on the engine; leaving removes every container it made.

    Raises `ConfigError` for settings that this engine cannot serve.
    """
    slots = config.worker.slots or os.cpu_count() or 1
    registry = await to_thread.run_sync(load_registry, config)
    async with DockerSandbox(sandbox_options(config, slots), worker_id=worker_id) as sandbox:
        executor = Executor(
            registry,
            sandbox,
            image=config.sandbox.image,
            slots=slots,
            max_waiting=config.worker.max_waiting,
        )
        await _look_around(config, sandbox, executor.ready_specs())
        sandbox.keep_ready(executor.ready_specs())
        yield executor


def sandbox_options(config: Config, concurrency: int) -> SandboxOptions:
    """The sandbox that the configuration describes, for so many boxes in use at once."""
    settings = config.sandbox
    return SandboxOptions(
        concurrency=concurrency,
        engine_url=settings.engine_url,
        image=settings.image,
        image_base=settings.base,
        runtime=settings.runtime,
        channel=settings.channel,
        ready=settings.ready,
        warm_calls=settings.warm_calls,
        session_idle_s=settings.session_idle_s,
        session_age_s=settings.session_age_s,
        sessions_per_tenant=settings.sessions_per_tenant,
        sessions=settings.sessions,
        call_limit_s=settings.limits.timeout_s,
    )


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


async def run_worker(config: Config, on_ready: Callable[[Sequence[str]], None]) -> None:
    """Serve tools over gRPC until a signal; `on_ready` is told the addresses.

    Raises `ConfigError` for addresses, keys and certificates that may not or cannot be used.
    """
    settings = config.worker
    listeners = ListenerConfig(
        listen=settings.listen,
        key=settings.key.get_secret_value(),
        tls_cert=_text(settings.tls_cert),
        tls_key=_text(settings.tls_key),
        tls_client_ca=_text(settings.tls_client_ca),
        allow_plaintext=settings.allow_plaintext,
    )
    worker_id = secrets.token_hex(6)
    async with local_executor(config, worker_id) as executor:
        facts = _WorkerFacts(worker_id, executor, _isolation_policy(config))
        server = WorkerServer(executor, facts, listeners)
        async with server, anyio.create_task_group() as tasks:
            tasks.start_soon(follow_problem, server, executor.problem)
            await run_until_stopped(
                server,
                on_drain=lambda: executor.drain(settings.grace_s),
                grace_s=settings.grace_s,
                on_ready=lambda: on_ready(server.addresses),
            )
            tasks.cancel_scope.cancel()


# -- the router ------------------------------------------------------------------------------


def remote_dispatcher(config: Config) -> RemoteDispatcher:
    """The worker that `router.worker` names. Raises `ConfigError`."""
    settings = config.router
    target = WorkerTarget(
        worker=settings.worker,
        key=settings.worker_key.get_secret_value(),
        tls_ca=_text(settings.worker_tls_ca),
        tls_cert=_text(settings.worker_tls_cert),
        tls_key=_text(settings.worker_tls_key),
    )
    return RemoteDispatcher(target)


@asynccontextmanager
async def model_providers(config: Config) -> AsyncGenerator[Providers, None]:
    """The providers that the configuration names: `[[providers]]`, or `[upstream]` alone."""
    async with AsyncExitStack() as stack:
        # A request has one connection at a time; a few more for probes.
        places = config.router.max_concurrent_requests + _PROBES
        servers = _servers(config)
        yield Providers([await _provider(stack, settings, places) for settings in servers])


def _servers(config: Config) -> Sequence[UpstreamSettings | ProviderSettings]:
    return config.providers or (config.upstream,)


async def _provider(
    stack: AsyncExitStack, settings: UpstreamSettings | ProviderSettings, places: int
) -> Provider:
    server = await _model_server(stack, settings, places)
    if isinstance(settings, ProviderSettings):
        return Provider(
            settings.name, server, settings.models, settings.model_map, settings.probe_interval_s
        )
    model_map = {"*": settings.model} if settings.model else {}
    return Provider("upstream", server, ("*",), model_map, settings.probe_interval_s)


async def _model_server(
    stack: AsyncExitStack, settings: UpstreamSettings | ProviderSettings, places: int
) -> ModelServer:
    if settings.url == DEMO_UPSTREAM:
        return demo_model()
    timeouts = HttpTimeouts(
        settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s
    )
    upstream = Upstream(settings.url, _auth_headers(settings), settings.retries)
    http = await stack.enter_async_context(HttpClient(timeouts, max_connections=places))
    return HttpModelClient(http, upstream)


def _auth_headers(settings: UpstreamSettings | ProviderSettings) -> dict[str, str]:
    key = settings.api_key.get_secret_value()
    forms = {"x-api-key": {"x-api-key": key}, "bearer": {"authorization": f"Bearer {key}"}}
    return forms.get(settings.auth, {}) if key else {}


async def run_router(config: Config, on_ready: Callable[[str], None]) -> None:
    """Serve the Messages endpoint until a signal; `on_ready` is told the origin.

    Raises `ConfigError` for a key file, address, certificate or worker that cannot be used.
    """
    settings = config.router
    host, _, port = settings.listen.rpartition(":")
    listener = Listener(host.strip("[]"), int(port), settings.tls_cert, settings.tls_key)
    keys = KeyStore(settings.keys_file)
    if not listener.is_private:
        logger.warning(
            "router.listen %s is off loopback and router.tls_cert is not set: keys and messages "
            "can be read on the way, unless a proxy with TLS stands before it",
            settings.listen,
        )
    async with remote_dispatcher(config) as dispatcher, model_providers(config) as providers:
        await providers.probe()
        app = RouterApp(_services(config, dispatcher, providers, keys))
        # What is loaded by now stays: going through it again and again would hold requests up.
        gc.freeze()
        await serve(app, listener, on_ready, beside=providers.watch)


def _services(
    config: Config, dispatcher: RemoteDispatcher, providers: Providers, keys: KeyStore
) -> Services:
    settings = config.router
    is_hiding = settings.show_tool_calls == "hidden"
    return Services(
        keys=keys,
        providers=providers,
        dispatcher=dispatcher,
        catalogue=Catalogue(dispatcher, settings.allowed_tools),
        loop_settings=LoopSettings(
            max_rounds=settings.max_rounds,
            on_round_limit=settings.on_round_limit,
            show_calls=not is_hiding,
            eager=settings.eager_calls,
        ),
        limits=RouterLimits(
            max_body_bytes=settings.max_body_bytes,
            max_concurrent_requests=settings.max_concurrent_requests,
            ping_interval_s=settings.ping_interval_s,
            blocking_budget_s=settings.blocking_budget_s,
            call_timeout_s=settings.call_timeout_s,
        ),
        cors_origins=settings.cors_origins,
        kept_history=KeptHistory(
            is_hiding=is_hiding,
            max_bytes=settings.kept_history_bytes,
            kept_s=settings.kept_history_s,
        ),
    )


def _text(path: Path | None) -> str:
    return "" if path is None else str(path)
