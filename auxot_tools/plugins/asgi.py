"""ASGI middleware that gives an app with a Messages endpoint the tool loop.

    app = ToolLoop(app, worker="unix:/run/auxot/worker.sock", key="...", tools=("code_executor",))

A request for a message is taken, our tools are offered beside the client's own, and the app is
called as the model. Calls of our tools run on the worker, the app is called again with the results,
and the client sees one message, streamed as it comes. Everything else passes untouched. One job:
which requests are taken, and what is told of those that cannot be. Must not know how tools are run.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import cast

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from auxot_tools.driver.catalogue import Catalogue, told_missing
from auxot_tools.errors import ConfigError, Overloaded, RequestError, Unavailable
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.request import (
    MessagesRequest,
    ThreadUnsupported,
    parse_count_request,
    parse_request,
)
from auxot_tools.plugins.door import Door
from auxot_tools.plugins.lifespan import live
from auxot_tools.plugins.reading import Reading
from auxot_tools.plugins.scopes import (
    headers_of,
    is_post_to,
    nobody,
    path_of,
    replaying,
    scope_for,
    tenant_by_key,
)
from auxot_tools.plugins.taken import Desk, Service, Taken, Tools, new_request_id
from auxot_tools.ports import ToolDispatcher
from auxot_tools.router.answers import json_response
from auxot_tools.router.bodies import parsed
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.problems import Problem, problem_of
from auxot_tools.router.services import RouterLimits
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget

logger = logging.getLogger(__name__)

COUNT = "/count_tokens"
MAX_PING_INTERVAL_S = 15.0  # what users ask for; proxies cut streams that are silent for 60 s
LOOK_S = 3.0  # that a start waits for the worker's list of tools; the first request waits too
MAX_ROUNDS = 100  # as `router.max_rounds`
_NOT_OPEN = (
    "The tools of this server are not open. They are opened when its lifespan starts: run it with "
    "one, or give ToolLoop a worker"
)

# What we raise of a request before anything was sent.
_OURS = (RequestError, Unavailable)
# A dispatcher is used as it is; a context is entered when the app starts and left when it ends.
Dispatcher = ToolDispatcher | AbstractAsyncContextManager[ToolDispatcher]


class ToolLoop:
    """The middleware. One for each app; it lives in one event loop.

    `worker` is where calls run (`unix:/path`, `host:port`), `key` its key. In place of it
    `dispatcher` is what runs them: a `ToolDispatcher`, which stays the caller's to close, or a
    context that gives one (`assembly.local_executor(config, "plugin")`), entered in the lifespan.
    `tools` are those that every request is offered. `paths` are within the app. `tenant_of` says
    whose a request is: two tenants share nothing. It must go by what the app checks; the default
    goes by all keys and cookies (`scopes.IDENTIFYING`). An empty name is nobody's: such a request
    shares nothing, not even with the next one. When it raises, the request is the app's alone.

    Raises `ConfigError` for what cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        worker: str = "",
        key: str = "",
        dispatcher: Dispatcher | None = None,
        tools: Collection[str] = ("code_executor",),
        paths: Collection[str] = ("/v1/messages",),
        tenant_of: Callable[[Scope], str] = tenant_by_key,
        show_calls: bool = True,
        max_rounds: int = 10,
        limits: RouterLimits | None = None,
    ) -> None:
        limits = limits or RouterLimits()
        _check(worker, dispatcher, tools, limits, max_rounds)
        self._app = app
        self._names = frozenset(tools)
        self._paths = frozenset(path.rstrip("/") for path in paths)
        self._count_paths = frozenset(path + COUNT for path in self._paths)
        settings = LoopSettings(max_rounds=max_rounds, show_calls=show_calls)
        self._desk = Desk(limits, settings, KeptHistory(is_hiding=not show_calls))
        self._tenant_of = tenant_of
        self._has_told_of_tenants = False
        self._reading = Reading()
        self._running = 0
        self._tools: Tools | None = None
        self._to_open: AbstractAsyncContextManager[ToolDispatcher] | None = None
        self._remote: RemoteDispatcher | None = None
        if worker:
            self._remote = RemoteDispatcher(WorkerTarget(worker, key))
            self._tools = self._tools_of(self._remote)
        elif hasattr(dispatcher, "list_tools"):
            self._tools = self._tools_of(cast(ToolDispatcher, dispatcher))
        else:
            self._to_open = cast(AbstractAsyncContextManager[ToolDispatcher], dispatcher)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await live(self._app, self._opened(), scope, receive, send)
        elif is_post_to(scope, self._paths | self._count_paths):
            await self._take(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _tools_of(self, dispatcher: ToolDispatcher) -> Tools:
        return Tools(dispatcher, Catalogue(dispatcher, self._names))

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[None, None]:
        """What is ours to open and to close, for as long as the app lives.

        Raises `ConfigError` when none of the tools is there.
        """
        if self._remote is not None:
            await self._look_for_tools()
            yield  # an app that fails here may be served all the same: the worker stays then
            self._desk.stopping.give_up()
            await self._remote.close()
        elif self._to_open is not None:
            async with self._to_open as dispatcher:
                self._tools = self._tools_of(dispatcher)
                try:
                    await self._look_for_tools()
                    yield
                finally:
                    self._tools = None
                    self._desk.stopping.give_up()
        else:
            await self._look_for_tools()
            yield

    async def _look_for_tools(self) -> None:
        """A worker that is away may come later; one that has none of our tools is a mistake."""
        if self._tools is None:
            return
        with anyio.move_on_after(LOOK_S), suppress(Unavailable):
            if not await self._tools.catalogue.offered():
                there = [spec.name for spec in await self._tools.dispatcher.list_tools()]
                told = told_missing(self._names, there)
                raise ConfigError([f"ToolLoop: `tools` names no tool that the worker has: {told}."])

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of ours. What cannot be read is the app's to refuse, in its own words."""
        request_id = new_request_id()
        tenant = self._tenant(scope)
        if tenant is None:
            await self._app(scope, receive, send)
            return
        try:
            # No place before the body is there: clients without a key could hold them all, idle.
            body = await self._reading.body(receive, self._desk.limits.max_body_bytes)
            with self._place():
                request = await self._read(scope, body)
                if request is not None:
                    taken = Taken(request, body, scope, request_id, tenant)
                    await self._serve(taken, receive, send)
        except _OURS as error:
            await _tell(problem_of(error, request_id), scope, receive, send)
            return
        if request is None:
            await self._app(scope, replaying(body, receive), send)

    def _tenant(self, scope: Scope) -> str | None:
        """Whose a request is; `None` when that cannot be said, which is told in the log once."""
        try:
            return self._tenant_of(scope) or nobody()
        except Exception:
            if not self._has_told_of_tenants:
                text = "`tenant_of` failed: such requests go to the app without tools"
                logger.exception(text)
            self._has_told_of_tenants = True
            return None

    async def _serve(self, taken: Taken, receive: Receive, send: Send) -> None:
        if self._tools is None:
            raise Unavailable(_NOT_OPEN)
        service = Service(self._desk, self._tools, self._app)
        if path_of(taken.scope) in self._paths:
            problem = await service.answer(taken, receive, Door(send))
            if problem is not None:
                await _tell(problem, taken.scope, receive, send)
            return
        asked = await service.body_for_counting(taken)
        await self._app(scope_for(taken.scope, asked), replaying(asked, receive), send)

    async def _read(self, scope: Scope, body: bytes) -> MessagesRequest | None:
        """The request, or `None` for what is none. Raises `ThreadUnsupported`."""
        if headers_of(scope["headers"]).get("content-encoding", "identity") != "identity":
            return None
        parse = parse_request if path_of(scope) in self._paths else parse_count_request
        try:
            return await parsed(body, parse)
        except ThreadUnsupported:  # SDKs send the whole history when they are told
            raise
        except RequestError:
            return None

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= self._desk.limits.max_concurrent_requests:
            raise Overloaded("The server is answering as many messages as it may; try again soon")
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


async def _tell(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    await json_response(problem.body, problem.status, problem.headers)(scope, receive, send)


def _check(
    worker: str,
    dispatcher: Dispatcher | None,
    tools: Collection[str],
    limits: RouterLimits,
    max_rounds: int,
) -> None:
    mistakes = []
    if bool(worker) == (dispatcher is not None):
        mistakes.append("ToolLoop: give it either `worker` or `dispatcher`.")
    if isinstance(tools, str) or not tools:
        mistakes.append("ToolLoop: `tools` is a collection of names, and not empty.")
    if not 0 < limits.ping_interval_s <= MAX_PING_INTERVAL_S:
        most = f"{MAX_PING_INTERVAL_S:g}"
        mistakes.append(f"ToolLoop: `limits.ping_interval_s` is above 0 and at most {most}.")
    if not 1 <= max_rounds <= MAX_ROUNDS:
        mistakes.append(f"ToolLoop: `max_rounds` is 1 to {MAX_ROUNDS}.")
    if mistakes:
        raise ConfigError(mistakes)
