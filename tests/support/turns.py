"""Upstream turns as event lists, and a loop driven by hand: the language of the loop's tests."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from auxot_tools.loop.actions import (
    CallModel,
    Cancel,
    Emit,
    Failed,
    Finished,
    Need,
    Prepare,
    Record,
    Start,
)
from auxot_tools.loop.calls import CallContext
from auxot_tools.loop.loop import LoopSettings, ToolLoop
from auxot_tools.messages.events import Event, event
from auxot_tools.messages.request import MessagesRequest, parse_request
from auxot_tools.types import JSON, Status, ToolResult, ToolSpec, text_result

RUN = ToolSpec("run", "Runs code.", {"type": "object"})
LOOK = ToolSpec("look", "Looks things up.", {"type": "object"})


def request(**changes: Any) -> MessagesRequest:
    """A small request; `changes` replace its members, `None` removes one."""
    body: JSON = {
        "model": "m",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "hi"}],
    } | changes
    kept = {key: value for key, value in body.items() if value is not None}
    return parse_request(json.dumps(kept).encode())


def text(words: str) -> list[JSON]:
    return [
        {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": words}},
        {"type": "content_block_stop"},
    ]


def tool_use(tool_use_id: str, name: str, *pieces: str) -> list[JSON]:
    block = {"type": "tool_use", "id": tool_use_id, "name": name, "input": {}}
    deltas: list[JSON] = [
        {
            "type": "content_block_delta",
            "delta": {"type": "input_json_delta", "partial_json": piece},
        }
        for piece in pieces
    ]
    start: JSON = {"type": "content_block_start", "content_block": block}
    return [start, *deltas, {"type": "content_block_stop"}]


def turn(*blocks: list[JSON], stop: str | None = None, output_tokens: int = 5) -> list[Event]:
    """The events of one upstream turn; `stop` is `tool_use` when a block is one."""
    calls = any(b[0]["content_block"]["type"] == "tool_use" for b in blocks)
    reason = stop or ("tool_use" if calls else "end_turn")
    message: JSON = {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "upstream-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }
    numbered = [part | {"index": i} for i, block in enumerate(blocks) for part in block]
    ends = {"stop_reason": reason, "stop_sequence": None}
    return [
        event(data)
        for data in (
            {"type": "message_start", "message": message},
            *numbered,
            {"type": "message_delta", "delta": ends, "usage": {"output_tokens": output_tokens}},
            {"type": "message_stop"},
        )
    ]


def done(tool_use_id: str, words: str = "ok") -> ToolResult:
    return text_result(tool_use_id, Status.COMPLETED, words)


class Play:
    """A loop with its actions sorted as they come out."""

    def __init__(
        self,
        asked: MessagesRequest | None = None,
        tools: Sequence[ToolSpec] = (RUN,),
        settings: LoopSettings | None = None,
        **context_more: Any,
    ) -> None:
        context = CallContext("msg_ours", tenant="key", session="s", **context_more)
        self.loop = ToolLoop(asked or request(), tools, settings or LoopSettings(), context)
        self.bodies: list[bytes] = []
        self.started: list[Start] = []
        self.prepared: list[Prepare] = []
        self.cancelled: list[str] = []
        self.records: list[tuple[Event, ...]] = []
        self.events: list[JSON] = []
        self.end: Finished | Failed | None = None
        self.need: Need | None = None
        self._drain()

    def feed(self, events: Iterable[Event]) -> "Play":
        for each in events:
            self.loop.receive_events([each])
            self._drain()
        return self

    def results(self, *results: ToolResult) -> "Play":
        for result in results:
            self.loop.receive_result(result)
            self._drain()
        return self

    def spend_budget(self) -> "Play":
        self.loop.budget_spent()
        self._drain()
        return self

    def _drain(self) -> None:
        while True:
            match self.loop.next_action():
                case CallModel(body):
                    self.bodies.append(body)
                case Emit(emitted):
                    self.events += [each.data for each in emitted]
                case Prepare() as prepare:
                    self.prepared.append(prepare)
                case Start() as start:
                    self.started.append(start)
                case Record(recorded):
                    self.records.append(recorded)
                case Cancel(tool_use_id):
                    self.cancelled.append(tool_use_id)
                case Finished() | Failed() as end:
                    self.end = end
                    return
                case need:
                    self.need = need
                    return

    @property
    def drained(self) -> "Play":
        """After something was told to the loop directly."""
        self._drain()
        return self

    @property
    def message(self) -> JSON:
        assert isinstance(self.end, Finished), self.end
        return self.end.message

    @property
    def sent(self) -> list[JSON]:
        """The bodies sent upstream, parsed."""
        return [json.loads(body) for body in self.bodies]


def kinds(content: Sequence[JSON]) -> list[str]:
    return [block["type"] for block in content]
