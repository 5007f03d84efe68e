"""The process that answers Messages requests: providers, worker, keys, the app.

One job: wiring, from the configuration to a router that serves.
"""

import gc
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from auxot_tools.assembly.paths import path_text
from auxot_tools.config import Config, ProviderSettings, UpstreamSettings
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.driver.upstreams import HttpModelClient, Upstream
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.net.http import HttpClient, HttpTimeouts
from auxot_tools.ports import ModelServer
from auxot_tools.router.app import RouterApp
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.serve import Listener, serve
from auxot_tools.router.services import RouterLimits, Services
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.scripted.demo import demo_model

logger = logging.getLogger(__name__)

DEMO_UPSTREAM = "demo"
_PROBES = 4


def remote_dispatcher(config: Config) -> RemoteDispatcher:
    """The worker that `router.worker` names. Raises `ConfigError`."""
    return RemoteDispatcher(worker_target(config))


def worker_target(config: Config) -> WorkerTarget:
    """Where the worker is that `router.worker` names, and what it is shown."""
    settings = config.router
    return WorkerTarget(
        worker=settings.worker,
        key=settings.worker_key.get_secret_value(),
        tls_ca=path_text(settings.worker_tls_ca),
        tls_cert=path_text(settings.worker_tls_cert),
        tls_key=path_text(settings.worker_tls_key),
    )


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
        name, models, model_map = settings.name, settings.models, settings.model_map
    else:
        name, models = "upstream", ("*",)
        model_map = {"*": settings.model} if settings.model else {}
    return Provider(name, server, models, model_map, settings.probe_interval_s, settings.url)


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
        approvals=dispatcher,
        worker_serves=dispatcher.is_serving,
        kept_history=KeptHistory(
            is_hiding=is_hiding,
            max_bytes=settings.kept_history_bytes,
            kept_s=settings.kept_history_s,
        ),
    )
