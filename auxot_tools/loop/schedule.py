"""What one upstream turn asks for, and what is to be done when it has ended.

`Turn` gathers a turn; `after_turn` and `after_results` decide the next step from plain facts.
Must not know events, bodies or how calls are run.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from auxot_tools.messages.events import BlockInProgress, Event, FinishedBlock, turn_events
from auxot_tools.types import JSON

# A turn that ended for one of these reasons asks for its calls to be run. `end_turn` is here for
# upstreams that report it although the turn holds calls.
RUNS_CALLS = frozenset({"tool_use", "end_turn"})


@dataclass(slots=True)
class OpenBlock:
    """A block of the turn that has begun.

    `shown_index` is `None` for a call of ours; `clients_before` counts the client's own calls
    before such a one. `shown_id` is the id that the client sees, where it is not the upstream's.
    """

    progress: BlockInProgress
    shown_index: int | None
    clients_before: int = 0
    shown_id: str | None = None


@dataclass(slots=True)
class Turn:
    """One model response."""

    open_blocks: dict[int, OpenBlock] = field(default_factory=dict)
    blocks: list[FinishedBlock] = field(default_factory=list)
    used_names: list[str] = field(default_factory=list)  # of every tool_use, ours and the client's
    call_ids: set[str] = field(default_factory=set)  # of every tool_use that has begun
    our_calls: int = 0  # begun
    client_calls: int = 0  # begun
    opened: JSON = field(default_factory=dict)  # its message, as `message_start` has it
    usage: JSON = field(default_factory=dict)
    end: JSON = field(default_factory=dict)  # the `delta` of its `message_delta`s
    end_extras: JSON = field(default_factory=dict)  # and what stood beside it

    @property
    def stop_reason(self) -> str:
        return str(self.end.get("stop_reason") or "")

    @property
    def output_tokens(self) -> int:
        tokens = self.usage.get("output_tokens")
        return tokens if isinstance(tokens, int) else 0

    def as_events(self) -> tuple[Event, ...]:
        """Events that would make this turn again, its inputs exactly as they were written."""
        return tuple(turn_events(self.opened, self.blocks, self.end, self.usage))


@dataclass(frozen=True, slots=True)
class Standing:
    """The facts a decision needs, taken when a turn or its calls have ended."""

    rounds_done: int
    max_rounds: int
    on_round_limit: Literal["answer", "pause"]
    budget_spent: bool
    asked_for_answer: bool  # the upstream was already asked with `tool_choice: none`
    tokens_left: int
    thinking_budget_tokens: int

    @property
    def may_run(self) -> bool:
        """Whether calls may still be run: neither the time nor the rounds are used up."""
        return not (self.asked_for_answer or self.budget_spent)

    @property
    def must_end(self) -> bool:
        return self.budget_spent or self.rounds_done >= self.max_rounds


class Next(Enum):
    RUN = "run the calls"
    REFUSE = "answer the calls without running them"
    CONTINUE = "ask the model again"
    ASK_FOR_ANSWER = "ask once more, with tool_choice none"
    END = "end with the upstream's own stop_reason"
    END_ANSWERED = "end with end_turn"
    END_TOOL_USE = "end with tool_use: the client has calls to answer"
    END_MAX_TOKENS = "end with max_tokens"
    END_PAUSED = "end with pause_turn"


def after_turn(turn: Turn, standing: Standing) -> Next:
    """What to do now that the turn has ended."""
    if not turn.our_calls:
        return Next.END
    if turn.stop_reason not in RUNS_CALLS:  # refusal, max_tokens, ...: a cut call is never run
        return Next.REFUSE
    return Next.RUN if standing.may_run else Next.REFUSE


def after_results(turn: Turn, standing: Standing) -> Next:
    """What to do now that every call of the turn has its result."""
    if turn.stop_reason not in RUNS_CALLS:
        return Next.END
    if turn.client_calls:
        return Next.END_TOOL_USE
    if standing.asked_for_answer:
        return Next.END_ANSWERED
    if standing.tokens_left <= standing.thinking_budget_tokens:
        return Next.END_MAX_TOKENS
    if not standing.must_end:
        return Next.CONTINUE
    return Next.END_PAUSED if standing.on_round_limit == "pause" else Next.ASK_FOR_ANSWER


def choice_after(choice: JSON, used_names: list[str]) -> JSON:
    """A forced `tool_choice` counts until a turn satisfied it, and is `auto` from then on."""
    kind = choice.get("type")
    satisfied = (kind == "any" and bool(used_names)) or (
        kind == "tool" and choice.get("name") in used_names
    )
    if not satisfied:
        return choice
    kept = {key: value for key, value in choice.items() if key not in ("type", "name")}
    return {"type": "auto"} | kept


# Why the calls of a turn count for nothing, by its stop_reason.
_NOT_ASKED_FOR = {
    "refusal": "the turn ended in a refusal",
    "max_tokens": "the answer was cut off by max_tokens before the turn was complete",
}


def why_not_asked_for(stop_reason: str) -> str:
    """Why the calls of a turn that ended so count for nothing; empty: they are asked for."""
    if stop_reason in RUNS_CALLS:
        return ""
    return _NOT_ASKED_FOR.get(stop_reason, "the turn ended without asking for its tool calls")


def why_not_run(turn: Turn, standing: Standing) -> str:
    """What the model is told about calls that were answered without being run."""
    if not_asked_for := why_not_asked_for(turn.stop_reason):
        return not_asked_for
    if standing.budget_spent:
        return "the time for this request is used up"
    return f"the limit of {standing.max_rounds} rounds of tool calls was reached"


OUT_OF_TIME = "Stopped: the time for this request is used up. Its effects are unknown."
