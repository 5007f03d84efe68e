"""A scripted model as an ASGI app, with the tool loop around it and tools in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Block, Scenario, TextBlock, ToolUseBlock, Turn
from auxot_tools.scripted.server import scripted_app
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "hi"}],
}
STREAMED = ASKED | {"stream": True}
KEYED = {"x-api-key": "the-key"}


def call(tool_use_id: str, name: str = "echo", **given: Any) -> ToolUseBlock:
    """A `tool_use` of the model."""
    return ToolUseBlock(id=tool_use_id, name=name, input=given)


def said(*blocks: Block | str, **more: Any) -> Turn:
    """A turn of the model; its stop reason follows from its blocks."""
    made = tuple(TextBlock(text=one) if isinstance(one, str) else one for one in blocks)
    calls = any(isinstance(one, ToolUseBlock) for one in made)
    return Turn(blocks=made, stop_reason="tool_use" if calls else "end_turn", **more)


@dataclass(frozen=True)
class Looped:
    """The middleware, the model behind it, and what ran its tools."""

    app: ToolLoop
    model: ScriptedModel
    model_app: Any  # the app that is wrapped
    dispatcher: FakeDispatcher


def looped(
    *turns: Turn, tools: Sequence[FakeTool] = (echo_tool(),), wrap: Any = None, **options: Any
) -> Looped:
    """A model that says these turns in order; ``wrap`` makes another app of the model's."""
    model = ScriptedModel(Scenario(turns=turns))
    inner = scripted_app(model)
    dispatcher = FakeDispatcher(tools)
    names = [tool.spec.name for tool in tools]
    app = ToolLoop(
        wrap(inner) if wrap else inner, dispatcher=dispatcher, **({"tools": names} | options)
    )
    return Looped(app, model, inner, dispatcher)
