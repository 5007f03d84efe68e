"""The calls of ours in one message: started, answered once each, and shown in `tool_use` order.

One job: what becomes of each call. When calls are run, and when the turn is over, the loop decides.
Must not know upstream events or bodies.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from auxot_tools.loop.actions import Action, Cancel, Prepare, Start
from auxot_tools.loop.answer import Answer
from auxot_tools.loop.live_output import LiveOutput
from auxot_tools.messages import blocks as shown
from auxot_tools.messages.events import Event, FinishedBlock
from auxot_tools.messages.ids import Place, mint_id
from auxot_tools.types import JSON, CallHint, OutputChunk, ToolCall, ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose message this is. `message_id` is new for every message (`msg_...`).

    `live_output`: the client asked for the output of running calls as extra events.
    `session_token`: 16 hex digits that stand for `session` in the ids of calls that may leave
    something in it; empty when the client names its session itself. `run_for_client`: tools that
    are run by us although the client declares them.
    """

    message_id: str
    tenant: str = ""
    session: str = ""
    trace_context: Mapping[str, str] = field(default_factory=dict)
    live_output: bool = False
    session_token: str = ""
    run_for_client: frozenset[str] = frozenset()


@dataclass(slots=True)
class OurCall:
    """A `tool_use` of ours in the turn that is there now."""

    tool: ToolSpec
    tool_use_id: str
    shown_id: str
    input_json: bytes
    result: JSON | None = None
    is_started: bool = False

    @property
    def is_running(self) -> bool:
        return self.is_started and self.result is None


class OurCalls:
    """The calls of ours, turn after turn. Actions and shown blocks leave as they come up."""

    def __init__(
        self,
        tools: Sequence[ToolSpec],
        context: CallContext,
        answer: Answer,
        act: Callable[[Action], None],
        *,
        show: bool,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._context = context
        self._answer = answer
        self._act = act
        self._show_calls = show
        self._used_ids: Counter[str] = Counter()  # upstream ids of our calls in this message
        self._live = LiveOutput() if context.live_output else None
        self._calls: list[OurCall] = []
        self._results_shown = 0
        self.any_ran = False

    def are_of(self, name: str) -> bool:
        """Whether a tool of this name is ours."""
        return name in self._tools

    def prepare(self, name: str) -> None:
        """A call has begun to come in."""
        self._act(Prepare(CallHint(name, self._context.tenant, self._context.session)))

    def take(self, finished: FinishedBlock, clients_before: int, *, may_start: bool) -> None:
        """A call is complete, with so many of the client's own before it in its turn.

        It starts now when it may, and running it twice does no harm.
        """
        tool_use_id = finished.block["id"]
        place = Place(len(self._calls), clients_before)
        tool = self._tools[finished.block["name"]]
        session = self._context.session_token if tool.stateful else ""
        shown_id = mint_id(tool_use_id, self._used_ids[tool_use_id], place, session)
        self._used_ids[tool_use_id] += 1
        call = OurCall(tool, tool_use_id, shown_id, finished.input_json())
        self._calls.append(call)
        self._show(shown.shown_use(finished.block, shown_id))
        if may_start and tool.idempotent and finished.input_valid:
            self._start(call)

    def start_all(self) -> None:
        """Start every call that has not been started."""
        for call in self._calls:
            if not call.is_started:
                self._start(call)
        self._show_results()

    def take_result(self, result: ToolResult, *, show: bool) -> None:
        """The result of a started call; one that was already answered is dropped."""
        for call in self._calls:
            if call.tool_use_id == result.tool_use_id and call.is_running:
                self._answer_call(call, result.content, is_error=result.is_error)
        if show:
            self._show_results()

    def give_up_all(self, why: str) -> None:
        """Answer every call of the turn with why it counts for nothing; what runs is stopped."""
        for call in self._calls:
            if call.is_running:
                self._act(Cancel(call.tool_use_id))
            text = f"Not run: {why}."
            if call.is_started:
                text = f"Given up: {why}. It had been started early; its result is dropped."
            self._answer_call(call, _text(text), is_error=True)
        self._show_results()

    def stop_running(self, reason: str) -> None:
        """Stop what runs, and answer it with `reason`; results that came in are kept."""
        for call in self._calls:
            if call.is_running:
                self._act(Cancel(call.tool_use_id))
                self._answer_call(call, _text(reason), is_error=True)
        self._show_results()

    def live_event(self, tool_use_id: str, chunk: OutputChunk) -> Event | None:
        """The event that tells of output of a running call, if the client wants one."""
        if self._live is None:
            return None
        running = (call for call in self._calls if call.is_running)
        call = next((call for call in running if call.tool_use_id == tool_use_id), None)
        return None if call is None else self._live.event_of(call.shown_id, chunk)

    def end_turn(self) -> list[JSON]:
        """The results of the turn, in `tool_use` order; the next turn begins."""
        results = [call.result for call in self._calls if call.result is not None]
        self._calls, self._results_shown = [], 0
        return results

    @property
    def are_answered(self) -> bool:
        return all(call.result is not None for call in self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def _start(self, call: OurCall) -> None:
        call.is_started = self.any_ran = True
        context = self._context
        started = ToolCall(
            tool_use_id=call.tool_use_id,
            name=call.tool.name,
            input_json=call.input_json,
            # Some upstreams use an id again in a later turn; the shown id is never used again.
            idempotency_key=f"{context.message_id}:{call.shown_id}",
            tenant=context.tenant,
            session=context.session,
            trace_context=context.trace_context,
            request_id=context.message_id,
        )
        self._act(Start(started, call.tool.idempotent))

    def _answer_call(self, call: OurCall, content: Sequence[JSON], *, is_error: bool) -> None:
        call.result = shown.tool_result(call.tool_use_id, content, is_error=is_error)

    def _show_results(self) -> None:
        """Show the results that are next in `tool_use` order and have come in."""
        while self._results_shown < len(self._calls):
            call = self._calls[self._results_shown]
            if call.result is None:
                return
            self._results_shown += 1
            whole = shown.whole_result(call.result, call.shown_id)
            self._show(shown.shown_result(call.result, call.shown_id), whole)

    def _show(self, block: JSON, whole: JSON | None = None) -> None:
        if self._show_calls:
            self._answer.show(block, whole)
        else:
            self._answer.hide(block if whole is None else whole)


def _text(text: str) -> tuple[JSON, ...]:
    return ({"type": "text", "text": text},)
