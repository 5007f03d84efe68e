"""The states of a tool loop and the transitions between them, as data.

One job: say what may follow what. `state.md` beside this file is rendered from `TRANSITIONS`, and a
test fails when they differ. Must not know blocks, bodies or tools.
"""

from enum import StrEnum

from auxot_tools.errors import LocalProtocolError


class State(StrEnum):
    CALLING = "calling"  # a request went upstream; its answer has not begun
    STREAMING = "streaming"  # the upstream's turn is coming in
    RUNNING = "running"  # the turn has ended; calls of ours are being run
    FINISHED = "finished"  # the client has its whole message
    FAILED = "failed"  # the upstream failed and the message cannot be completed


class Step(StrEnum):
    TURN_OPENED = "turn opened"  # `message_start`
    CALLS_STARTED = "calls started"  # the turn ended and calls of ours run
    MODEL_CALLED = "model called"  # all results are in (or given by us) and go back upstream
    MESSAGE_ENDED = "message ended"  # nothing is left to do
    MODEL_FAILED = "model failed"  # refused, cut off, or not understood


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.CALLING, Step.TURN_OPENED): State.STREAMING,
    (State.CALLING, Step.MODEL_FAILED): State.FAILED,
    (State.STREAMING, Step.CALLS_STARTED): State.RUNNING,
    (State.STREAMING, Step.MODEL_CALLED): State.CALLING,
    (State.STREAMING, Step.MESSAGE_ENDED): State.FINISHED,
    (State.STREAMING, Step.MODEL_FAILED): State.FAILED,
    (State.RUNNING, Step.MODEL_CALLED): State.CALLING,
    (State.RUNNING, Step.MESSAGE_ENDED): State.FINISHED,
}


def after(state: State, step: Step) -> State:
    """The state that `step` leads to. Raises `LocalProtocolError` when it may not come now."""
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise LocalProtocolError(f"'{step}' cannot come while {state}") from None


def as_markdown() -> str:
    """The table as people read it."""
    rows = [f"| {state} | {step} | {then} |" for (state, step), then in TRANSITIONS.items()]
    return "\n".join(["| in state | when | goes to |", "| --- | --- | --- |", *rows, ""])
