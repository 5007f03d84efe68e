"""What one upstream turn asks for, and what is to be done when it has ended.

`Turn` gathers a turn; `after_turn` and `after_results` decide the next step from plain facts.
Must not know events, bodies or how calls are run.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from auxot_tools.messages.events import BlockInProgress, FinishedBlock
from auxot_tools.types import JSON

# A turn that ended for one of these reasons asks for its calls to be run. `end_turn` is here for
# upstreams that report it although the turn holds calls.
RUNS_CALLS = frozenset({"tool_use", "end_turn"})


@dataclass(slots=True)
class OpenBlock:
    """A block of the turn that has begun. `shown_index` is `None` for a call of ours."""

    progress: BlockInProgress
    shown_index: int | None


@dataclass(slots=True)
class OurCall:
    """A `tool_use` of ours in this turn."""

    tool_use_id: str
    shown_id: str
    name: str
    input_json: bytes
    result: JSON | None = None
    is_running: bool = False


@dataclass(slots=True)
class Turn:
    """One model response."""

    open_blocks: dict[int, OpenBlock] = field(default_factory=dict)
    blocks: list[FinishedBlock] = field(default_factory=list)
    calls: list[OurCall] = field(default_factory=list)
    used_names: list[str] = field(default_factory=list)  # of every tool_use, ours and the client's
    has_client_calls: bool = False
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

    def results(self) -> list[JSON]:
        return [call.result for call in self.calls if call.result is not None]

    def is_answered(self) -> bool:
        return all(call.result is not None for call in self.calls)


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
    if not turn.calls:
        return Next.END
    if turn.stop_reason not in RUNS_CALLS:  # refusal, max_tokens, ...: a cut call is never run
        return Next.REFUSE
    if standing.asked_for_answer or standing.budget_spent:
        return Next.REFUSE
    return Next.RUN


def after_results(turn: Turn, standing: Standing) -> Next:
    """What to do now that every call of the turn has its result."""
    if turn.stop_reason not in RUNS_CALLS:
        return Next.END
    if turn.has_client_calls:
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


def why_not_run(turn: Turn, standing: Standing) -> str:
    """What the model is told about a call that was answered without being run."""
    reasons = {
        "refusal": "the turn ended in a refusal",
        "max_tokens": "the answer was cut off by max_tokens before the turn was complete",
    }
    if turn.stop_reason not in RUNS_CALLS:
        reason = reasons.get(turn.stop_reason)
        return f"Not run: {reason or 'the turn ended without asking for its tool calls'}."
    if standing.budget_spent:
        return "Not run: the time for this request is used up."
    return f"Not run: the limit of {standing.max_rounds} rounds of tool calls was reached."


OUT_OF_TIME = "Stopped: the time for this request is used up. Its effects are unknown."
