"""``Client``: the same as ``AsyncClient``, for programs without an event loop.

One job: each method waits for its twin. It may be used from many threads at once. All blocking
clients of a process share one event loop in a thread of its own, which ends with the last of them.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from concurrent.futures import wait
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import anyio
from anyio.from_thread import BlockingPortal, BlockingPortalProvider

from auxot_tools.client.answers import ToolResultMessage
from auxot_tools.client.async_client import TIMEOUT_S, AsyncClient
from auxot_tools.client.options import CallOptions
from auxot_tools.client.turn import AssistantTurn
from auxot_tools.config import Config
from auxot_tools.errors import RequestError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import ToolResult

_T = TypeVar("_T")

# One event loop for all: gRPC's own loop support does not work well with several in one process.
_PORTALS = BlockingPortalProvider("asyncio")
_NOT_OPEN = "this client is not open: use it as `with Client(...) as client:`"
_CLOSED = "this client was closed while it waited"
# Python sees a Ctrl-C that comes just before a wait only when the wait is over.
_LOOK_UP_S = 0.5
_CLEAN_UP_S = 10.0  # for calls that are stopped at the end; a worker's own clean-up takes less


class Client:
    """The tools of one worker, blocking. Use it as ``with``, once; else as ``AsyncClient``."""

    def __init__(
        self,
        worker: str,
        *,
        key: str = "",
        tls_ca: str = "",
        tls_cert: str = "",
        tls_key: str = "",
        tools: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """See ``AsyncClient``. Raises ``ConfigError``."""
        self._set_up(
            AsyncClient(
                worker,
                key=key,
                tls_ca=tls_ca,
                tls_cert=tls_cert,
                tls_key=tls_key,
                tools=tools,
                timeout_s=timeout_s,
            )
        )

    @classmethod
    def local(
        cls,
        config: Config | Path | None = None,
        *,
        tools: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """See ``AsyncClient.local``."""
        made = cls.__new__(cls)
        made._set_up(AsyncClient.local(config, tools=tools, timeout_s=timeout_s))
        return made

    @classmethod
    def over(
        cls,
        dispatcher: AbstractAsyncContextManager[ToolDispatcher],
        *,
        tools: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """See ``AsyncClient.over``."""
        made = cls.__new__(cls)
        made._set_up(AsyncClient.over(dispatcher, tools=tools, timeout_s=timeout_s))
        return made

    def _set_up(self, client: AsyncClient) -> None:
        self._client = client
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._running: set[anyio.CancelScope] = set()  # of the event loop alone
        self._is_closed = False
        self._changed = anyio.Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(_PORTALS)
            stack.enter_context(portal.wrap_async_context_manager(self._open()))
            self._stack = stack.pop_all()
        self._portal = portal
        return self

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None, None]:
        """The client, open; at the end what still runs is stopped, and given time to clean up."""
        async with self._client:
            try:
                yield
            finally:
                self._is_closed = True
                for scope in self._running:
                    scope.cancel()
                with anyio.move_on_after(_CLEAN_UP_S, shield=True):
                    while self._running:
                        await self._changed.wait()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal = None
        self._stack.__exit__(exc_type, exc, traceback)

    def specs(self, tools: Collection[str] | None = None) -> list[Any]:
        """See ``AsyncClient.specs``."""
        return self._wait(partial(self._client.specs, tools))

    def run(
        self,
        message: Any,
        *,
        tools: Collection[str] | None = None,
        **options: Unpack[CallOptions],
    ) -> ToolResultMessage | None:
        """See ``AsyncClient.run``."""
        return self._wait(partial(self._client.run, message, tools=tools, **options))

    def run_turn(
        self,
        turn: AssistantTurn,
        *,
        tools: Collection[str] | None = None,
        **options: Unpack[CallOptions],
    ) -> tuple[ToolResult | None, ...]:
        """See ``AsyncClient.run_turn``."""
        return self._wait(partial(self._client.run_turn, turn, tools=tools, **options))

    def call(
        self,
        name: str,
        input: Any = None,  # noqa: A002 - the wire's own word
        **options: Unpack[CallOptions],
    ) -> ToolResult:
        """See ``AsyncClient.call``."""
        return self._wait(partial(self._client.call, name, input, **options))

    def _wait(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What ``work`` gives. When the waiting is interrupted (Ctrl-C) the work is cancelled."""
        if self._portal is None:
            raise RequestError(_NOT_OPEN)
        future = self._portal.start_task_soon(self._run_stoppable, work)
        try:
            while not wait((future,), _LOOK_UP_S).done:
                continue
            result: _T = future.result()
        except BaseException:
            future.cancel()
            raise
        return result

    async def _run_stoppable(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What ``work`` gives, unless the client is closed before it is done."""
        if not self._is_closed:
            with anyio.CancelScope() as scope:
                self._running.add(scope)
                try:
                    return await work()
                finally:
                    self._running.discard(scope)
                    self._changed.set()
                    self._changed = anyio.Event()
        raise RequestError(_CLOSED)
