"""Our tools for the tool runner of the `anthropic` SDK, which then owns the loop.

One job: the SDK's own kind of tool object for each of ours. The runner runs the calls of a turn one
after another, in order; ``client.run`` in a loop of your own runs them side by side.
"""

from collections.abc import Awaitable, Collection
from typing import Any, Unpack, overload

try:
    from anthropic.lib.tools import (
        BetaAsyncBuiltinFunctionTool,
        BetaBuiltinFunctionTool,
        ToolError,
    )
except ImportError as error:
    raise ImportError(
        "auxot_tools.client.anthropic needs the anthropic SDK: pip install 'anthropic>=2.12'"
    ) from error

from auxot_tools.client.async_client import AsyncClient
from auxot_tools.client.blocking import Client
from auxot_tools.client.options import CallOptions, settings_of
from auxot_tools.types import ToolResult


class RunnerTool(BetaBuiltinFunctionTool):
    """One of our tools for the runner of `Anthropic`."""

    def __init__(self, client: Client, spec: Any, options: CallOptions) -> None:
        self._client = client
        self._spec = spec
        self._options = options

    def to_dict(self) -> Any:
        """What the model is told of it."""
        return self._spec

    def call(self, input: object) -> Any:  # noqa: A002 - the SDK's name
        """The content of the result. Raises the SDK's ``ToolError`` for one that is an error."""
        return _content(self._client.call(self.name, input, **self._options))


class AsyncRunnerTool(BetaAsyncBuiltinFunctionTool):
    """One of our tools for the runner of `AsyncAnthropic`."""

    def __init__(self, client: AsyncClient, spec: Any, options: CallOptions) -> None:
        self._client = client
        self._spec = spec
        self._options = options

    def to_dict(self) -> Any:
        """What the model is told of it."""
        return self._spec

    async def call(self, input: object) -> Any:  # noqa: A002 - the SDK's name
        """The content of the result. Raises the SDK's ``ToolError`` for one that is an error."""
        return _content(await self._client.call(self.name, input, **self._options))


@overload
def runner_tools(
    client: Client, tools: Collection[str] | None = None, **options: Unpack[CallOptions]
) -> list[RunnerTool]: ...


@overload
def runner_tools(
    client: AsyncClient, tools: Collection[str] | None = None, **options: Unpack[CallOptions]
) -> Awaitable[list[AsyncRunnerTool]]: ...


def runner_tools(
    client: Client | AsyncClient,
    tools: Collection[str] | None = None,
    **options: Unpack[CallOptions],
) -> list[RunnerTool] | Awaitable[list[AsyncRunnerTool]]:
    """``tools=`` of `client.beta.messages.tool_runner`: await it for an ``AsyncClient``.

    The client must stay open while the runner runs. ``tools`` and ``options`` are as for ``specs``
    and ``run``, which also say what is raised.
    """
    settings_of(
        options
    )  # a wrong one is told here: the runner takes what a call raises as a result
    if isinstance(client, AsyncClient):
        return _async_tools(client, tools, options)
    return [RunnerTool(client, spec, options) for spec in client.specs(tools)]


async def _async_tools(
    client: AsyncClient, tools: Collection[str] | None, options: CallOptions
) -> list[AsyncRunnerTool]:
    return [AsyncRunnerTool(client, spec, options) for spec in await client.specs(tools)]


def _content(result: ToolResult) -> Any:
    content: Any = list(result.content)
    if result.is_error:
        raise ToolError(content)
    return content
