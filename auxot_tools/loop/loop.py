"""The tool loop: one client request, as many upstream turns as it takes, one message out.

Feed it what happens (`receive_*`), do what `next_action` says. Given the same inputs it produces
the same actions, so a whole conversation is a list literal in a test. It speaks Messages events
only and must not know time, tasks, transports, or how a tool is run.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from auxot_tools.errors import ERROR_TYPE_STATUS, AuxotError, RemoteProtocolError, UpstreamError
from auxot_tools.loop import schedule
from auxot_tools.loop.actions import (
    NEED_EVENT,
    NEED_RESULTS,
    Action,
    CallModel,
    Cancel,
    Emit,
    Failed,
    Finished,
    Prepare,
    Start,
)
from auxot_tools.loop.answer import Answer
from auxot_tools.loop.schedule import Next, OpenBlock, OurCall, Standing, Turn
from auxot_tools.loop.splice import UpstreamBody
from auxot_tools.loop.state import State, Step, after
from auxot_tools.messages import blocks as shown
from auxot_tools.messages import events, exact_json
from auxot_tools.messages.events import BlockInProgress, Event, FinishedBlock, event
from auxot_tools.messages.request import MessagesRequest
from auxot_tools.types import JSON, CallHint, ToolCall, ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a message is made.

    `max_rounds`: rounds of tool calls before the model must answer (or the message pauses).
    `show_calls`: calls that we ran are visible to the client.
    """

    max_rounds: int = 10
    on_round_limit: Literal["answer", "pause"] = "answer"
    show_calls: bool = True
    upstream_model: str = ""  # replaces the client's model upstream; the client sees its own


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose message this is. `message_id` is new for every message (`msg_...`)."""

    message_id: str
    tenant: str = ""
    session: str = ""
    trace_context: Mapping[str, str] = field(default_factory=dict)


class ToolLoop:
    """One message being made. Not reusable."""

    def __init__(
        self,
        request: MessagesRequest,
        tools: Sequence[ToolSpec],
        settings: LoopSettings,
        context: CallContext,
    ) -> None:
        declared = [tool.get("name") for tool in request.tools]
        offered = [tool for tool in tools if tool.name not in declared]
        self._request = request
        self._settings = settings
        self._context = context
        self._our_names = frozenset(tool.name for tool in offered)
        self._body = UpstreamBody(request, offered, settings.upstream_model)
        self._state = State.CALLING
        self._actions: deque[Action] = deque()
        self._turn = Turn()
        self._choice: JSON = request.tool_choice
        self._answer = Answer(context.message_id, request.model, self._emit)
        self._results_shown = 0
        self._used_ids: Counter[str] = Counter()  # upstream ids of our calls in this message
        self._usage: JSON = {}
        self._tokens_left = request.max_tokens
        self._rounds_done = 0
        self._tools_ran = False
        self._budget_spent = False
        self._asked_for_answer = False
        self._call_model()

    # -- out ---------------------------------------------------------------------------------

    def next_action(self) -> Action:
        """The next thing to do. After `Finished` or `Failed` there is nothing more to ask."""
        if self._actions:
            return self._actions.popleft()
        return NEED_RESULTS if self._state is State.RUNNING else NEED_EVENT

    # -- in ----------------------------------------------------------------------------------

    def receive_event(self, received: Event) -> None:
        """Take one event of the upstream's stream."""
        if self._is_over:
            return
        try:
            events.check_shape(received)
            self._take_event(received)
        except RemoteProtocolError as error:
            self.model_failed(error)

    def receive_end(self, error: AuxotError | None = None) -> None:
        """The upstream's stream has ended, or broke off with `error`.

        A turn whose stop_reason is known counts as complete all the same.
        """
        if self._state is State.STREAMING and self._turn.stop_reason:
            self._end_turn()
        else:
            problem = "the upstream's stream ended too early"
            self.model_failed(error or RemoteProtocolError(problem))

    def receive_result(self, result: ToolResult) -> None:
        """Take the result of a started call; one that was already answered is dropped."""
        if self._state is not State.RUNNING:
            return
        for call in self._turn.calls:
            if call.tool_use_id == result.tool_use_id and call.is_running:
                self._give_result(call, result.content, is_error=result.is_error)
        self._show_results()
        if self._turn.is_answered():
            self._end_round()

    def budget_spent(self) -> None:
        """The time for the whole request is used up: stop what runs and come to an end."""
        self._budget_spent = True
        if self._state is not State.RUNNING:
            return
        for call in self._turn.calls:
            if call.is_running:
                self._actions.append(Cancel(call.tool_use_id))
                self._give_result(call, _text(schedule.OUT_OF_TIME), is_error=True)
        self._show_results()
        self._end_round()

    def model_failed(self, error: AuxotError) -> None:
        """The upstream refused, broke off, or was not understood."""
        if self._state not in (State.CALLING, State.STREAMING):
            return  # its turn is already taken in
        self._state = after(self._state, Step.MODEL_FAILED)
        self._actions.append(Failed(error, self._tools_ran))

    def _take_event(self, received: Event) -> None:
        in_message = self._state is State.STREAMING
        handler = self._HANDLERS.get(received.type)
        if handler is None:  # kinds of event that we do not know pass
            if in_message:
                self._emit(received)
            return
        if not in_message and received.type not in _OUTSIDE_OF_A_MESSAGE:
            raise RemoteProtocolError("the upstream sent an event outside of a message")
        handler(self, received)

    # -- the upstream's turn -----------------------------------------------------------------

    def _on_message_start(self, received: Event) -> None:
        if self._state is not State.CALLING:
            raise RemoteProtocolError("the upstream began a second message in one answer")
        self._state = after(self._state, Step.TURN_OPENED)
        message = received.data["message"]
        self._turn.usage = events.as_usage(message.get("usage"))
        self._answer.open(message)

    def _on_block_start(self, received: Event) -> None:
        index, block = received.data["index"], received.data["content_block"]
        if index in self._turn.open_blocks:
            raise RemoteProtocolError("the upstream opened one block twice")
        if block["type"] == "tool_use" and not isinstance(block.get("input"), dict):
            block = block | {"input": {}}
            received = event(received.data | {"content_block": block})
        is_ours = block["type"] == "tool_use" and block["name"] in self._our_names
        shown_index = None if is_ours else self._answer.open_block(received)
        progress = BlockInProgress(dict(block))
        self._turn.open_blocks[index] = OpenBlock(progress, shown_index)
        if is_ours:
            context = self._context
            hint = CallHint(block["name"], context.tenant, context.session)
            self._actions.append(Prepare(hint))

    def _on_block_delta(self, received: Event) -> None:
        block = self._open_block(received)
        block.progress.add(received.data["delta"])
        if block.shown_index is not None:
            self._answer.pass_at(received, block.shown_index)

    def _on_block_stop(self, received: Event) -> None:
        block = self._open_block(received)
        del self._turn.open_blocks[received.data["index"]]
        self._close_block(block)

    def _open_block(self, received: Event) -> OpenBlock:
        block = self._turn.open_blocks.get(received.data["index"])
        if block is None:
            raise RemoteProtocolError("the upstream sent an event of a block that is not open")
        return block

    def _close_block(self, block: OpenBlock) -> None:
        turn = self._turn
        finished = block.progress.finish()
        turn.blocks.append(finished)
        is_call = finished.block["type"] == "tool_use"
        if is_call:
            turn.used_names.append(finished.block["name"])
        if block.shown_index is None:
            self._take_call(finished)
            return
        turn.has_client_calls |= is_call
        self._answer.close_block(block.shown_index, finished.block)

    def _take_call(self, finished: FinishedBlock) -> None:
        tool_use_id = finished.block["id"]
        if any(call.tool_use_id == tool_use_id for call in self._turn.calls):
            raise RemoteProtocolError("the upstream sent two tool_use blocks with one id")
        shown_id = shown.mint_id(tool_use_id, self._used_ids[tool_use_id])
        self._used_ids[tool_use_id] += 1
        call = OurCall(tool_use_id, shown_id, finished.block["name"], finished.input_json())
        self._turn.calls.append(call)
        self._show(shown.shown_use(finished.block, shown_id))

    def _on_message_delta(self, received: Event) -> None:
        data = received.data
        self._turn.end |= data["delta"]
        known = ("type", "delta", "usage")
        self._turn.end_extras |= {key: data[key] for key in data if key not in known}
        self._turn.usage = events.overlay_usage(
            self._turn.usage, events.as_usage(data.get("usage"))
        )

    def _on_message_stop(self, _received: Event) -> None:
        self._end_turn()

    def _on_ping(self, _received: Event) -> None:
        """The router keeps the client's connection alive itself."""

    def _on_error(self, received: Event) -> None:
        kind = received.data["error"].get("type")
        status = ERROR_TYPE_STATUS.get(str(kind), 500)
        body = received.raw or exact_json.encode(received.data)
        self.model_failed(UpstreamError(status, body, "application/json"))

    _HANDLERS: ClassVar[dict[str, Callable[["ToolLoop", Event], None]]] = {
        "message_start": _on_message_start,
        "content_block_start": _on_block_start,
        "content_block_delta": _on_block_delta,
        "content_block_stop": _on_block_stop,
        "message_delta": _on_message_delta,
        "message_stop": _on_message_stop,
        "ping": _on_ping,
        "error": _on_error,
    }

    # -- between turns -----------------------------------------------------------------------

    def _end_turn(self) -> None:
        turn = self._turn
        for index in sorted(turn.open_blocks):
            self._close_block(turn.open_blocks.pop(index))
        self._usage = events.add_usage(self._usage, turn.usage)
        self._tokens_left -= turn.output_tokens
        self._choice = schedule.choice_after(self._choice, turn.used_names)
        next_step = schedule.after_turn(turn, self._standing())
        if next_step is Next.END:
            self._finish(turn.stop_reason or None)
        elif next_step is Next.RUN:
            self._run_calls(turn)
        else:
            self._refuse_calls(turn)

    def _run_calls(self, turn: Turn) -> None:
        self._state = after(self._state, Step.CALLS_STARTED)
        self._tools_ran = True
        context = self._context
        for call in turn.calls:
            call.is_running = True
            tool_call = ToolCall(
                tool_use_id=call.tool_use_id,
                name=call.name,
                input_json=call.input_json,
                # Some upstreams use an id again in a later turn; the shown id is never used again.
                idempotency_key=f"{context.message_id}:{call.shown_id}",
                tenant=context.tenant,
                session=context.session,
                trace_context=context.trace_context,
            )
            self._actions.append(Start(tool_call))

    def _refuse_calls(self, turn: Turn) -> None:
        reason = schedule.why_not_run(turn, self._standing())
        for call in turn.calls:
            self._give_result(call, _text(reason), is_error=True)
        self._show_results()
        self._end_round()

    def _end_round(self) -> None:
        self._rounds_done += 1
        turn = self._turn
        next_step = schedule.after_results(turn, self._standing())
        ends = {
            Next.END: turn.stop_reason or None,
            Next.END_ANSWERED: "end_turn",
            Next.END_TOOL_USE: "tool_use",
            Next.END_MAX_TOKENS: "max_tokens",
            Next.END_PAUSED: "pause_turn",
        }
        if next_step in ends:
            self._finish(ends[next_step])
            return
        self._asked_for_answer = next_step is Next.ASK_FOR_ANSWER
        self._body.add_turn(turn.blocks)
        self._body.add_results(turn.results())
        self._state = after(self._state, Step.MODEL_CALLED)
        self._turn = Turn()
        self._results_shown = 0
        self._call_model()

    def _call_model(self) -> None:
        choice = {"type": "none"} if self._asked_for_answer else self._choice
        self._actions.append(CallModel(self._body.render(self._tokens_left, choice)))

    def _standing(self) -> Standing:
        return Standing(
            rounds_done=self._rounds_done,
            max_rounds=self._settings.max_rounds,
            on_round_limit=self._settings.on_round_limit,
            budget_spent=self._budget_spent,
            asked_for_answer=self._asked_for_answer,
            tokens_left=self._tokens_left,
            thinking_budget_tokens=self._request.thinking_budget_tokens,
        )

    # -- results and the client's message ----------------------------------------------------

    def _give_result(self, call: OurCall, content: Sequence[JSON], *, is_error: bool) -> None:
        call.is_running = False
        call.result = shown.tool_result(call.tool_use_id, content, is_error=is_error)

    def _show_results(self) -> None:
        """Show the results that are next in `tool_use` order and have come in."""
        calls = self._turn.calls
        while self._results_shown < len(calls):
            call = calls[self._results_shown]
            if call.result is None:
                return
            self._results_shown += 1
            self._show(shown.shown_result(call.result, call.shown_id))

    def _show(self, block: JSON) -> None:
        if self._settings.show_calls:
            self._answer.show(block)

    def _finish(self, stop_reason: str | None) -> None:
        turn = self._turn
        end = {"stop_sequence": None} | turn.end | {"stop_reason": stop_reason}
        self._state = after(self._state, Step.MESSAGE_ENDED)
        message = self._answer.close(end, turn.end_extras, self._usage)
        self._actions.append(Finished(message))

    def _emit(self, out: Event) -> None:
        self._actions.append(Emit(out))

    @property
    def _is_over(self) -> bool:
        return self._state in (State.FINISHED, State.FAILED)


_OUTSIDE_OF_A_MESSAGE = frozenset({"message_start", "ping", "error"})


def _text(text: str) -> tuple[JSON, ...]:
    return ({"type": "text", "text": text},)
