"""Calls of our tools in one session of one tenant, in real boxes, and the words that come back."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, InputFile, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.engine import docker_sandbox

LIMIT_S = 60.0  # of one call: it fails, it never hangs


@dataclass(frozen=True)
class Conversation:
    """One session of one tenant."""

    executor: Executor
    tenant: str = "tenant"
    session: str = "one"

    async def call(
        self, tool: str, files: tuple[InputFile, ...] = (), within_s: float = LIMIT_S, **given: Any
    ) -> ToolResult:
        """The result of one call; a shorter ``within_s`` stops it sooner."""
        text = json.dumps(given).encode()
        call = ToolCall(
            "toolu_1", tool, text, tenant=self.tenant, session=self.session, files=files
        )
        async with aclosing(self.executor.execute(call, Deadline.after(within_s))) as events:
            result = [event async for event in events][-1]
        assert isinstance(result, ToolResult)
        return result

    async def say(self, tool: str, **given: Any) -> str:
        """The text of a call's result."""
        return said(await self.call(tool, **given))


def said(result: ToolResult) -> str:
    """All text of a result."""
    return "".join(block["text"] for block in result.content if block["type"] == "text")


@asynccontextmanager
async def our_tools() -> AsyncGenerator[Executor, None]:
    """An executor of the tools that we ship, in boxes that are gone afterwards."""
    async with docker_sandbox() as sandbox:
        yield Executor(Registry.load([share_dir("tools")]), sandbox, slots=2)
