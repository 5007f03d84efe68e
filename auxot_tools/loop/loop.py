"""The tool loop: one client request, as many upstream turns as it takes, one message out.

Feed it what happens (`receive_*`), do what `next_action` says. Given the same inputs it produces
the same actions, so a whole conversation is a list literal in a test. It speaks Messages events
only and must not know time, tasks, transports, or how a tool is run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from auxot_tools.errors import ERROR_TYPE_STATUS, AuxotError, RemoteProtocolError, UpstreamError
from auxot_tools.loop import schedule
from auxot_tools.loop.actions import (
    NEED_EVENT,
    NEED_RESULTS,
    Action,
    CallModel,
    Emit,
    Failed,
    Finished,
    Record,
)
from auxot_tools.loop.answer import Answer
from auxot_tools.loop.calls import CallContext, OurCalls
from auxot_tools.loop.schedule import Next, OpenBlock, Standing, Turn
from auxot_tools.loop.splice import UpstreamBody
from auxot_tools.loop.state import State, Step, after
from auxot_tools.messages import events, exact_json
from auxot_tools.messages.events import BlockInProgress, Event, event
from auxot_tools.messages.ids import mark_client_id
from auxot_tools.messages.request import AUTO_MODEL, MessagesRequest
from auxot_tools.types import JSON, OutputChunk, ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a message is made.

    `max_rounds`: rounds of tool calls before the model must answer (or the message pauses).
    `show_calls`: calls that we ran are visible to the client.
    `eager`: a call of an idempotent tool starts while its turn still streams.
    """

    max_rounds: int = 10
    on_round_limit: Literal["answer", "pause"] = "answer"
    show_calls: bool = True
    eager: bool = True


class ToolLoop:
    """One message being made. Not reusable. Raises `RequestError` for what cannot be sent on."""

    def __init__(
        self,
        request: MessagesRequest,
        tools: Sequence[ToolSpec],
        settings: LoopSettings,
        context: CallContext,
    ) -> None:
        names = (tool.get("name") for tool in request.tools)
        declared = {name for name in names if isinstance(name, str)}
        offered = [tool for tool in tools if tool.name not in declared]
        # The client's own declaration of a tool that we run for it stays as it wrote it.
        clients = declared - context.run_for_client
        ours = [tool for tool in tools if tool.name not in clients]
        self._request = request
        self._settings = settings
        self._body = UpstreamBody(request, offered)
        self._state = State.CALLING
        self._actions: deque[Action] = deque()
        self._emitted: list[Event] = []  # after all actions; together they are one
        self._turn_is_open = False  # the upstream has been asked, and its turn has not ended
        self._turn = Turn()
        self._choice: JSON = request.tool_choice
        shown_model = "" if request.model == AUTO_MODEL else request.model
        self._answer = Answer(context.message_id, shown_model, self._emit)
        self._calls = OurCalls(ours, context, self._answer, self._act, show=settings.show_calls)
        self._usage: JSON = {}
        self._tokens_left = request.max_tokens
        self._rounds_done = 0
        self._budget_spent = False
        self._asked_for_answer = False
        self._call_model()

    # -- out ---------------------------------------------------------------------------------

    def next_action(self) -> Action:
        """The next thing to do. After `Finished` or `Failed` there is nothing more to ask."""
        if self._actions:
            return self._actions.popleft()
        if self._emitted:
            return Emit(self._take_emitted())
        return NEED_RESULTS if self._state is State.RUNNING else NEED_EVENT

    def body_for_counting(self) -> bytes:
        """The body of a request that counts the tokens of the first turn's request."""
        return self._body.render_for_counting(self._choice)

    # -- in ----------------------------------------------------------------------------------

    def receive_events(self, received: Iterable[Event]) -> None:
        """Take events of the upstream's stream; those after the end of its turn are dropped."""
        try:
            for each in received:
                if not self._turn_is_open:
                    return
                self._take_event(each)
        except RemoteProtocolError as error:
            self.model_failed(error)
        except exact_json.InvalidJSON as error:
            self.model_failed(RemoteProtocolError(f"the upstream sent a block {error}"))

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
        """Take the result of a started call; one that was already answered is dropped.

        A call that was started early may be done before its turn is: its result is shown later.
        """
        if self._state not in (State.STREAMING, State.RUNNING):
            return
        self._calls.take_result(result, show=self._state is State.RUNNING)
        if self._state is State.RUNNING and self._calls.are_answered:
            self._end_round()

    def receive_output(self, tool_use_id: str, chunk: OutputChunk) -> Event | None:
        """Take output of a running call; the event to send at once, if the client asked for one.

        It changes nothing else: such an event may stand between any two others.
        """
        return self._calls.live_event(tool_use_id, chunk)

    def budget_spent(self) -> None:
        """The time for the whole request is used up: stop what runs and come to an end."""
        self._budget_spent = True
        if self._state is State.RUNNING:
            self._calls.stop_running(schedule.OUT_OF_TIME)
            self._end_round()

    def model_failed(self, error: AuxotError) -> None:
        """The upstream refused, broke off, or was not understood."""
        if self._state not in (State.CALLING, State.STREAMING):
            return  # its turn is already taken in
        self._turn_is_open = False
        self._state = after(self._state, Step.MODEL_FAILED)
        self._act(Failed(error, self._calls.any_ran))

    def _take_event(self, received: Event) -> None:
        events.check_shape(received)
        in_message = self._state is State.STREAMING
        handler = self._HANDLERS.get(received.type)
        if handler is None:  # kinds of event that we do not know pass
            if in_message:
                self._pass_on(received)
            return
        if not in_message and received.type not in _OUTSIDE_OF_A_MESSAGE:
            raise RemoteProtocolError("the upstream sent an event outside of a message")
        handler(self, received)

    def _pass_on(self, unknown: Event) -> None:
        """An event of a kind that we do not know; one of a block only if the client has that."""
        index = unknown.data.get("index")
        if not isinstance(index, int):
            self._emit(unknown)
            return
        block = self._turn.open_blocks.get(index)
        if block is not None and block.shown_index is not None:
            self._answer.pass_at(unknown, block.shown_index)

    # -- the upstream's turn -----------------------------------------------------------------

    def _on_message_start(self, received: Event) -> None:
        if self._state is not State.CALLING:
            raise RemoteProtocolError("the upstream began a second message in one answer")
        self._state = after(self._state, Step.TURN_OPENED)
        message = received.data["message"]
        self._turn.opened = message
        self._turn.usage = events.as_usage(message.get("usage"))
        self._answer.open(message, self._request.model)

    def _on_block_start(self, received: Event) -> None:
        index, block = received.data["index"], received.data["content_block"]
        if index in self._turn.open_blocks:
            raise RemoteProtocolError("the upstream opened one block twice")
        if block["type"] == "tool_use":
            self._turn.open_blocks[index] = self._open_call(received)
            return
        shown_index = self._answer.open_block(received)
        self._turn.open_blocks[index] = OpenBlock(BlockInProgress(dict(block)), shown_index)

    def _open_call(self, received: Event) -> OpenBlock:
        """A call has begun: ours, which is shown when it is complete, or the client's own."""
        turn, block = self._turn, received.data["content_block"]
        if block["id"] in turn.call_ids:  # nobody could tell their results apart
            raise RemoteProtocolError("the upstream sent two tool_use blocks with one id")
        turn.call_ids.add(block["id"])
        if not isinstance(block.get("input"), dict):
            block = block | {"input": {}}
            received = event(received.data | {"content_block": block})
        progress = BlockInProgress(dict(block))
        if self._calls.are_of(block["name"]):
            turn.our_calls += 1
            self._calls.prepare(block["name"])
            return OpenBlock(progress, None, turn.client_calls)
        turn.client_calls += 1
        ours_before = turn.our_calls if self._settings.show_calls else 0
        shown_id = mark_client_id(block["id"], ours_before)
        if shown_id == block["id"]:
            return OpenBlock(progress, self._answer.open_block(received))
        marked = event(received.data | {"content_block": block | {"id": shown_id}})
        return OpenBlock(progress, self._answer.open_block(marked), shown_id=shown_id)

    def _on_block_delta(self, received: Event) -> None:
        block = self._open_block(received)
        block.progress.add(received.data["delta"])
        if block.shown_index is not None:
            self._answer.pass_at(received, block.shown_index)

    def _on_block_stop(self, received: Event) -> None:
        block = self._open_block(received)
        del self._turn.open_blocks[received.data["index"]]
        may_start = self._settings.eager and self._standing().may_run
        self._close_block(block, may_start=may_start)

    def _open_block(self, received: Event) -> OpenBlock:
        block = self._turn.open_blocks.get(received.data["index"])
        if block is None:
            raise RemoteProtocolError("the upstream sent an event of a block that is not open")
        return block

    def _close_block(self, block: OpenBlock, *, may_start: bool) -> None:
        turn = self._turn
        finished = block.progress.finish()
        turn.blocks.append(finished)
        if finished.block["type"] == "tool_use":
            turn.used_names.append(finished.block["name"])
        if block.shown_index is None:
            self._calls.take(finished, block.clients_before, may_start=may_start)
            return
        as_seen = (
            finished.block if block.shown_id is None else finished.block | {"id": block.shown_id}
        )
        self._answer.close_block(block.shown_index, as_seen)

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
        self._turn_is_open = False
        for index in sorted(turn.open_blocks):
            self._close_block(turn.open_blocks.pop(index), may_start=False)
        self._usage = events.add_usage(self._usage, turn.usage)
        self._tokens_left -= turn.output_tokens
        self._choice = schedule.choice_after(self._choice, turn.used_names)
        next_step = schedule.after_turn(turn, self._standing())
        if next_step is Next.END:
            self._finish(turn.stop_reason or None)
        elif next_step is Next.RUN:
            self._run_calls(turn)
        else:
            self._calls.give_up_all(schedule.why_not_run(turn, self._standing()))
            self._end_round()

    def _run_calls(self, turn: Turn) -> None:
        self._state = after(self._state, Step.CALLS_STARTED)
        self._act(Record(turn.as_events()))
        self._calls.start_all()
        if self._calls.are_answered:  # all were started early, and are done
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
        self._body.add_results(self._calls.end_turn())
        self._state = after(self._state, Step.MODEL_CALLED)
        self._turn = Turn()
        self._call_model()

    def _call_model(self) -> None:
        choice = {"type": "none"} if self._asked_for_answer else self._choice
        self._turn_is_open = True
        self._act(CallModel(self._body.render(self._tokens_left, choice)))

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

    # -- the client's message ----------------------------------------------------------------

    def _finish(self, stop_reason: str | None) -> None:
        turn = self._turn
        end = {"stop_sequence": None} | turn.end | {"stop_reason": stop_reason}
        self._state = after(self._state, Step.MESSAGE_ENDED)
        message = self._answer.close(end, turn.end_extras, self._usage)
        self._act(Finished(message, self._answer.whole_content))

    def _emit(self, out: Event) -> None:
        self._emitted.append(out)

    def _take_emitted(self) -> tuple[Event, ...]:
        emitted, self._emitted = tuple(self._emitted), []
        return emitted

    def _act(self, action: Action) -> None:
        """What is to be done after what was emitted so far."""
        if self._emitted:
            self._actions.append(Emit(self._take_emitted()))
        self._actions.append(action)


_OUTSIDE_OF_A_MESSAGE = frozenset({"message_start", "ping", "error"})
