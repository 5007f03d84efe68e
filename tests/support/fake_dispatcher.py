"""A ``ToolDispatcher`` in memory: tools are scripts, and what happened to each call is noted.

It must not know gRPC, Docker or JSON Schema.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from auxot_tools.types import (
    CallEvent,
    CallHint,
    Deadline,
    OutputChunk,
    Started,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
    text_result,
)

CLEAN_UP_S = 5.0  # bound of a scripted clean-up, so that a test can fail but never hang


def tool_spec(name: str) -> ToolSpec:
    """The declaration of a scripted tool: any object is a valid input."""
    return ToolSpec(name, f"The scripted tool {name}.", {"type": "object"})


def text_of(result: ToolResult) -> str:
    """Every text block of a result, joined."""
    return "".join(block.get("text", "") for block in result.content)


@dataclass(frozen=True)
class FakeTool:
    """One scripted tool.

    Each call yields ``Started`` (unless ``starts`` is false), then ``output``, then waits for
    ``until`` (or for ever when ``hangs``), and ends with a result of ``status`` whose text is
    ``reply(call)`` and whose other members are ``members``. ``error`` is raised instead of anything
    else. ``clean_up`` runs, shielded and bounded, when the call is over, however it ended.
    """

    spec: ToolSpec
    output: tuple[OutputChunk, ...] = ()
    reply: Callable[[ToolCall], str] = lambda call: call.input_json.decode("utf-8", "replace")
    status: Status = Status.COMPLETED
    exit_code: int | None = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    starts: bool = True
    hangs: bool = False
    until: anyio.Event | None = None
    error: BaseException | None = None
    clean_up: Callable[[], Awaitable[None]] | None = None


def echo_tool(name: str = "echo") -> FakeTool:
    """A tool that answers at once with its input."""
    return FakeTool(tool_spec(name))


@dataclass
class FakeDispatcher:
    """Scripted tools by name; ``calls``, ``hints``, ``cancelled`` and ``finished`` are the record.

    A call that outlives its deadline ends as ``TIMED_OUT``; a tool nobody scripted as
    ``UNKNOWN_TOOL``. ``cancelled`` holds the ids of calls that were closed before their result.
    """

    tools: Sequence[FakeTool] = field(default_factory=lambda: (echo_tool(),))
    list_error: BaseException | None = None
    calls: list[ToolCall] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    hints: list[CallHint] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    _changed: anyio.Event = field(default_factory=anyio.Event)

    async def list_tools(self) -> Sequence[ToolSpec]:
        if self.list_error is not None:
            raise self.list_error
        return tuple(sorted((tool.spec for tool in self.tools), key=lambda spec: spec.name))

    async def prepare(self, hint: CallHint) -> bool:
        self.hints.append(hint)
        self.note()
        return True

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        self.calls.append(call)
        self.deadlines.append(deadline)
        tool = next((tool for tool in self.tools if tool.spec.name == call.name), None)
        if tool is None:
            text = f"There is no tool named {call.name}."
            yield text_result(call.tool_use_id, Status.UNKNOWN_TOOL, text)
            return
        if tool.error is not None:
            raise tool.error
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.note()
        record = self.cancelled
        try:
            if tool.starts:
                yield Started(call.tool_use_id, f"box-{call.tool_use_id}", "call")
            for sequence, chunk in enumerate(tool.output):
                yield replace(chunk, sequence=sequence)
            result = await _result(tool, call, deadline)
            record = self.finished
            yield result
        finally:
            if tool.clean_up is not None:
                with anyio.move_on_after(CLEAN_UP_S, shield=True):
                    await tool.clean_up()
            record.append(call.tool_use_id)
            self.running -= 1
            self.note()

    async def until(self, reached: Callable[["FakeDispatcher"], bool], within_s: float = 5) -> None:
        """Wait until ``reached(self)`` holds; raises ``TimeoutError`` after ``within_s``."""
        with anyio.fail_after(within_s):
            while not reached(self):
                await self._changed.wait()

    def note(self) -> None:
        """Have every ``until`` look again."""
        self._changed.set()
        self._changed = anyio.Event()


async def _result(tool: FakeTool, call: ToolCall, deadline: Deadline) -> ToolResult:
    with anyio.move_on_after(deadline.remaining_s()) as scope:
        if tool.hangs:
            await anyio.sleep_forever()
        if tool.until is not None:
            await tool.until.wait()
    if scope.cancelled_caught:
        return text_result(call.tool_use_id, Status.TIMED_OUT, "The call ran out of time.")
    result = text_result(call.tool_use_id, tool.status, tool.reply(call))
    return replace(result, exit_code=tool.exit_code, **tool.members)
