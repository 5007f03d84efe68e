"""Results that are made without a program: refusals, a worker that stops, faults of our own.

One job: those sentences for the model, and the one log line of a call that has ended. It must not
know how a call is run. No line here holds arguments or output.
"""

import logging
import traceback
import uuid

from auxot_tools.errors import (
    AuxotError,
    DeadlineExceeded,
    EngineUnavailable,
    ImageMissing,
    Unavailable,
)
from auxot_tools.types import Status, ToolCall, ToolResult, text_result

logger = logging.getLogger(__name__)

BUSY = "The worker is busy: every slot is taken and the waiting line is full. Try again later."
BUSY_KEY = (
    "The worker has as many calls of this key as one key may have, running and waiting. Wait for "
    "some of them, then try again."
)
CANCELLED = "Cancelled: the worker is stopping, so this call was given up. Try again."
LOST = (
    "The sandbox was lost while the program ran, and how it ended is not known. What it did up to "
    "then may have taken effect; try again if that is harmless."
)
_NO_SLOT = "No sandbox came free within the time given for this call; nothing was run. Try again."
# What kept the program from being started -> what the model is told.
_NOT_STARTED: dict[type[AuxotError], str] = {
    DeadlineExceeded: _NO_SLOT,
    ImageMissing: (
        "The sandbox image is not on this worker, so nothing was run. The operator has to build it "
        "(`auxot-tools sandbox build`) or name another (`sandbox.image`)."
    ),
    EngineUnavailable: (
        "The sandbox engine of this worker does not answer, so nothing was run. Try again later."
    ),
    Unavailable: "The sandbox is not available now, so nothing was run. Try again later.",
}


def refuse(call: ToolCall, status: Status, text: str) -> ToolResult:
    """A result of words alone."""
    return text_result(call.tool_use_id, status, text)


def not_started(call: ToolCall, error: AuxotError) -> ToolResult:
    """The result of a call whose program could not be started."""
    text = _NOT_STARTED.get(type(error), _NOT_STARTED[Unavailable])
    return refuse(call, Status.UNAVAILABLE, text)


def internal(call: ToolCall, error: Exception) -> ToolResult:
    """Our own fault: the log gets where it happened, the model an id to be found there by.

    The exception's text is not logged: it may quote arguments or output.
    """
    error_id = uuid.uuid4().hex[:12]
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("error %s: %s\n%s", error_id, type(error).__name__, where)
    text = f"The worker made a mistake of its own (error {error_id}); the operator's log has more."
    return refuse(call, Status.INTERNAL, text)


def log_end(call: ToolCall, result: ToolResult) -> None:
    """One line for the operator: whose call, how it ended, where it ran. Nothing of its content."""
    facts = {
        "tool_use_id": call.tool_use_id[:200],
        "tool": call.name[:64],
        "status": str(result.status),
        "box_id": result.box_id,
        "duration_s": round(result.duration_s, 4),
    }
    place = ", container %(box_id).12s" if result.box_id else ""
    text = f"call %(tool_use_id)r of %(tool)r: %(status)s{place}, %(duration_s)s s"
    logger.info(text, facts, extra=facts)
