"""Assistant messages to be run, and clients over tools in memory: words of `tests/client`."""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import Any

from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import JSON, ToolSpec
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec

IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


def over(dispatcher: ToolDispatcher) -> AbstractAsyncContextManager[ToolDispatcher]:
    """A dispatcher that a client opens and closes, and that stays as it is."""
    return nullcontext(dispatcher)


def use(tool_use_id: str, name: str = "echo", given: Any = None, **more: Any) -> JSON:
    return {"type": "tool_use", "id": tool_use_id, "name": name, "input": given or {}} | more


def says(text: str) -> JSON:
    return {"type": "text", "text": text}


def message(*content: JSON, stop: str | None = "tool_use") -> JSON:
    """A whole answer of a model, as JSON."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def tool(name: str, **members: Any) -> FakeTool:
    """A scripted tool; `parallel` and `stateful` are its spec's."""
    flags = {key: members.pop(key) for key in ("parallel", "stateful") if key in members}
    spec: ToolSpec = replace(tool_spec(name), **flags)
    return FakeTool(spec, **members)


def tools_of(*tools: FakeTool) -> FakeDispatcher:
    return FakeDispatcher(tools)
