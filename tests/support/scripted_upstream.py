"""A scripted model on a socket, with the official SDK pointed at it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from auxot_tools.assembly.serving import serving
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from auxot_tools.scripted.server import scripted_app

ANSWER = Turn(blocks=(TextBlock(text="done"),))


@dataclass(frozen=True)
class ScriptedUpstream:
    """`url` is what an SDK calls its base URL; `sent` are the requests' bodies."""

    url: str
    model: ScriptedModel

    @property
    def sent(self) -> list[Any]:
        return [json.loads(body) for body in self.model.requests]


@asynccontextmanager
async def scripted_upstream(*turns: Turn) -> AsyncGenerator[ScriptedUpstream, None]:
    """Plays `turns` in order, then fails."""
    model = ScriptedModel(Scenario(turns=turns))
    async with serving(scripted_app(model)) as origin:
        yield ScriptedUpstream(origin, model)


def calls(*uses: ToolUseBlock, stop: str = "tool_use") -> Turn:
    return Turn(blocks=(TextBlock(text="I call."), *uses), stop_reason=stop)


def call(tool_use_id: str, name: str = "echo", **given: Any) -> ToolUseBlock:
    return ToolUseBlock(id=tool_use_id, name=name, input=given)
