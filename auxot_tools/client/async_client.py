"""``AsyncClient``: tools for a program that owns its conversation with a model.

One job: which tools there are, and the results of calls, as values and as a Messages message. It
must not know how a worker is reached nor any SDK. For asyncio, by way of anyio.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import anyio

from auxot_tools.client.answers import ToolResultMessage
from auxot_tools.client.lanes import lanes_of
from auxot_tools.client.options import (
    CallOptions,
    CallSettings,
    address_or_key,
    file_path,
    seconds,
    settings_of,
    tool_name,
    tool_names,
)
from auxot_tools.client.places import local_dispatcher, worker_dispatcher
from auxot_tools.client.turn import AssistantTurn, TurnCall, call_of, turn_of
from auxot_tools.config import Config
from auxot_tools.driver.calls import CallRunner
from auxot_tools.errors import NotFound, RequestError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import OutputChunk, Status, ToolCall, ToolResult, ToolSpec
from auxot_tools.types import text_result as result_in_words

TIMEOUT_S = 150.0  # of a call, its waiting included; what the router grants one by default
_NOT_OPEN = "this client is not open: use it as `async with ... as client:`, or `with` for Client"
_OPENED_BEFORE = "this client was opened before, and a client is opened once: make another one"


class AsyncClient:
    """The tools of one worker. Use it as ``async with``, once, in one event loop, from many tasks.

    A tool's failure, a worker that is away or busy included, is never an exception: it is a result
    with ``is_error`` and a status. Exceptions are for the caller: ``ConfigError`` (a wrong address,
    key or file), ``RequestError`` (what was given cannot be used), ``Unavailable`` (which tools
    there are could not be learnt, and was never known).
    """

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
        """The worker at ``unix:/path`` or ``host:port``, and its ``key``. Nothing is sent yet.

        ``tls_ca`` is the file (PEM) of the authority that signed the worker's certificate;
        ``tls_cert`` and ``tls_key`` are our own, for workers that ask. ``tools`` are the only ones
        that are offered and run (``None``: all). Raises ``ConfigError``, and ``RequestError`` for
        ``tools`` and ``timeout_s``.
        """
        target = WorkerTarget(
            worker=address_or_key("worker", worker),
            key=address_or_key("key", key),
            tls_ca=file_path("tls_ca", tls_ca),
            tls_cert=file_path("tls_cert", tls_cert),
            tls_key=file_path("tls_key", tls_key),
        )
        self._set_up(worker_dispatcher(target), tools, timeout_s)

    @classmethod
    def local(
        cls,
        config: Config | Path | None = None,
        *,
        tools: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Tools in this process, on the Docker engine, which must have the sandbox image.

        Settings are those of ``config``: a file ``auxot.toml``, or ``None`` for what the commands
        use. It raises ``ConfigError``, most of it when it is opened.
        """
        given = config if isinstance(config, Config | None) else Path(file_path("config", config))
        return cls.over(local_dispatcher(given), tools=tools, timeout_s=timeout_s)

    @classmethod
    def over(
        cls,
        dispatcher: AbstractAsyncContextManager[ToolDispatcher],
        *,
        tools: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Any other dispatcher, which is opened and closed with the client."""
        made = cls.__new__(cls)
        made._set_up(dispatcher, tools, timeout_s)
        return made

    def _set_up(
        self,
        dispatcher: AbstractAsyncContextManager[ToolDispatcher],
        tools: Collection[str] | None,
        timeout_s: float,
    ) -> None:
        self._opening = dispatcher
        self._allowed = tool_names(tools)
        self._timeout_s = seconds(timeout_s)
        self._stack = AsyncExitStack()
        self._was_opened = False
        self._dispatcher: ToolDispatcher | None = None
        self._known: dict[str, ToolSpec] | None = None

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise RequestError(_OPENED_BEFORE)
        self._was_opened = True
        self._dispatcher = await self._stack.enter_async_context(self._opening)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dispatcher = None
        await self._stack.__aexit__(exc_type, exc, traceback)

    async def specs(self, tools: Collection[str] | None = None) -> list[Any]:
        """The ``tools`` of a Messages request: dicts of name, description and input_schema.

        All there are, or ``tools`` in their order. The worker is asked each time. Raises
        ``Unavailable``, and ``NotFound`` for a name that it does not have.
        """
        names = tool_names(tools)
        known = await self._listed()
        chosen = known.values() if names is None else [_found(known, name) for name in names]
        return [
            {"name": one.name, "description": one.description, "input_schema": one.input_schema}
            for one in chosen
        ]

    async def run(
        self,
        message: Any,
        *,
        tools: Collection[str] | None = None,
        **options: Unpack[CallOptions],
    ) -> ToolResultMessage | None:
        """Run the calls of an assistant's message; the user message that answers all of them.

        ``message`` is a `Message` or `BetaMessage` of the SDK, or a dict. ``None``: it calls no
        tool. The results come in the order of the calls, which run side by side unless their tool
        forbids it. ``tools`` are those that were offered, when these are not all of the client's.
        Calls of any other tool are listed in ``others`` and hold an error until you ``answer``
        them. Nothing is run when the turn ended in a refusal, was cut by ``max_tokens`` or is not
        complete: every call is answered with why, and ``goes_on`` is false.

        Raises ``RequestError`` for what is no such message and for options that cannot be, and
        ``Unavailable`` when the worker is away and its tools were never known; later on its being
        away is in the results.
        """
        turn = turn_of(message)
        results = await self.run_turn(turn, tools=tools, **options)
        return ToolResultMessage(turn, results) if turn.calls else None

    async def run_turn(
        self,
        turn: AssistantTurn,
        *,
        tools: Collection[str] | None = None,
        **options: Unpack[CallOptions],
    ) -> tuple[ToolResult | None, ...]:
        """The results of a turn's calls, one for each in order; ``None`` for those not ours."""
        self._opened()
        names, settings = tool_names(tools), settings_of(options)
        if turn.why_not:
            text = f"Not run: {turn.why_not}."
            return tuple(result_in_words(one.id, Status.CANCELLED, text) for one in turn.calls)
        if not turn.calls:
            return ()
        known = await self._listed() if self._known is None else self._known
        allowed = known.keys() if names is None else known.keys() & set(names)
        ours = {
            index: known[call.name]
            for index, call in enumerate(turn.calls)
            if call.name in allowed and not call.kind
        }
        results: list[ToolResult | None] = [None] * len(turn.calls)
        runner = self._runner(settings)

        async def run_lane(lane: Sequence[int]) -> None:
            for index in lane:
                called = _tool_call(turn.calls[index], turn.message_id, index, settings)
                results[index] = await self._result(runner, turn.calls[index], called)

        async with anyio.create_task_group() as tasks:
            for lane in lanes_of(ours):
                tasks.start_soon(run_lane, lane)
        return tuple(results)

    async def call(
        self,
        name: str,
        input: Any = None,  # noqa: A002 - the wire's own word
        **options: Unpack[CallOptions],
    ) -> ToolResult:
        """Run one call. ``input`` is an object (a dict), or its JSON text.

        What goes wrong is in the result's ``status`` and ``content``; an unknown tool too. Raises
        ``RequestError`` for a name that no tool can have, and for options that cannot be.
        """
        settings = settings_of(options)
        tool_use_id = f"toolu_{secrets.token_hex(12)}"
        call = call_of(tool_use_id, tool_name(name), {} if input is None else input)
        if self._allowed is not None and name not in self._allowed:
            text = f'The tool "{name}" is not among the tools of this client. Nothing was run.'
            return result_in_words(tool_use_id, Status.UNKNOWN_TOOL, text)
        called = _tool_call(call, "", 0, settings)
        return await self._result(self._runner(settings), call, called)

    def _opened(self) -> ToolDispatcher:
        if self._dispatcher is None:
            raise RequestError(_NOT_OPEN)
        return self._dispatcher

    async def _listed(self) -> dict[str, ToolSpec]:
        listed = {spec.name: spec for spec in await self._opened().list_tools()}
        if self._allowed is not None:
            listed = {name: _found(listed, name) for name in self._allowed}
        self._known = listed
        return listed

    def _runner(self, settings: CallSettings) -> CallRunner:
        timeout_s = self._timeout_s if settings.timeout_s is None else settings.timeout_s
        return CallRunner(self._opened(), timeout_s)

    async def _result(self, runner: CallRunner, call: TurnCall, called: ToolCall) -> ToolResult:
        if call.input_flaw:
            return result_in_words(call.id, Status.INVALID_ARGUMENTS, call.input_flaw)
        return await runner.run(called, _tell_nobody)


async def _tell_nobody(_tool_use_id: str, _chunk: OutputChunk) -> None:
    """Output is in the result."""


def _tool_call(call: TurnCall, message_id: str, index: int, settings: CallSettings) -> ToolCall:
    return ToolCall(
        tool_use_id=call.id,
        name=call.name,
        input_json=call.input_json,
        idempotency_key=f"{message_id}:{index}:{call.id}" if message_id else "",
        tenant=settings.tenant,
        session=settings.session,
        files=settings.files,
        request_id=message_id,
    )


def _found(known: Mapping[str, ToolSpec], name: str) -> ToolSpec:
    if name not in known:
        there = ", ".join(known) or "none"
        raise NotFound(f"the worker has no tool named {name!r}; there are: {there}")
    return known[name]
