"""Our real router on a loopback port of its own, and clients of real upstreams."""

import socket
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
from argon2 import PasswordHasher

from auxot_tools.assembly.serving import serving
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.driver.upstreams import HttpModelClient, Upstream
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.net.http import HttpClient, HttpTimeouts
from auxot_tools.ports import ModelServer, ToolDispatcher
from auxot_tools.router.app import RouterApp
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.services import RouterLimits, Services

KEY = "rtr_the-key-of-the-tests"
# The cheapest hash there is: a test needs the check, not its cost.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@dataclass(frozen=True)
class Router:
    """A router that serves."""

    app: RouterApp
    origin: str
    keys_file: Path
    clients: AsyncExitStack

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/anthropic"

    @property
    def messages_url(self) -> str:
        return f"{self.base_url}/v1/messages"

    async def client(self, *, strict: bool = False, **options: Any) -> anthropic.AsyncAnthropic:
        """The official SDK, pointed at this router; closed with it."""
        chosen: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": 20} | options
        made = anthropic.AsyncAnthropic(
            base_url=self.base_url, _strict_response_validation=strict, **chosen
        )
        return await self.clients.enter_async_context(made)


@asynccontextmanager
async def running_router(
    tmp_path: Path,
    model: ModelServer,
    dispatcher: ToolDispatcher,
    *,
    allowed: Collection[str] = ("echo",),
    settings: LoopSettings | None = None,
    limits: RouterLimits | None = None,
    key: dict[str, Any] | None = None,
    **services_more: Any,
) -> AsyncGenerator[Router, None]:
    """The real router over `model` and `dispatcher`.

    `key` holds limits of the one key, `services_more` members of `Services`.
    """
    keys_file = tmp_path / "keys.toml"
    append_key(keys_file, KeyEntry(name="tester", hash=CHEAP.hash(KEY), **(key or {})))
    settings = settings or LoopSettings()
    chosen: dict[str, Any] = {
        "providers": Providers([Provider("upstream", model)]),
        "kept_history": KeptHistory(is_hiding=not settings.show_calls),
    }
    services = Services(
        keys=KeyStore(keys_file),
        dispatcher=dispatcher,
        catalogue=Catalogue(dispatcher, allowed),
        loop_settings=settings,
        limits=limits or RouterLimits(),
        **(chosen | services_more),
    )
    app = RouterApp(services)
    async with serving(app) as origin, AsyncExitStack() as clients:
        yield Router(app, origin, keys_file, clients)


@asynccontextmanager
async def http_model(
    url: str, *, retries: int = 0, timeouts: HttpTimeouts | None = None
) -> AsyncGenerator[HttpModelClient, None]:
    """A client of a real upstream."""
    async with HttpClient(timeouts or HttpTimeouts()) as http:
        yield HttpModelClient(http, Upstream(url, {"x-api-key": "up-key"}, retries))
