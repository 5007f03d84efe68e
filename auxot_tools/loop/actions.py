"""What a tool loop asks its driver to do. Frozen values, nothing else."""

from dataclasses import dataclass
from enum import Enum

from auxot_tools.errors import AuxotError
from auxot_tools.messages.events import Event
from auxot_tools.types import JSON, CallHint, ToolCall


@dataclass(frozen=True, slots=True)
class CallModel:
    """Send `body` upstream; feed its events to `receive_events`, its end to `receive_end`."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Prepare:
    """A call of ours has begun to come in; its input is not complete."""

    hint: CallHint


@dataclass(frozen=True, slots=True)
class Start:
    """Run this call; give its one result to `receive_result`.

    `idempotent`: running it twice has the effect of running it once.
    """

    call: ToolCall
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this call; the loop has already answered it, and its result is dropped."""

    tool_use_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """A turn has ended and its calls are run: whoever takes over goes on from here.

    `events` fed to another loop for the same request give the same turn.
    """

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Emit:
    """Send these events to the client now; all of them are known at once."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole message, equal to what the emitted events add up to. The last action.

    `whole_content` is its content with what the client does not see (hidden calls, images in
    results), in the form of shown blocks; `None` when the client sees everything.
    """

    message: JSON
    whole_content: tuple[JSON, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The message cannot be completed; the last action. `tools_ran`: a repeat runs tools again."""

    error: AuxotError
    tools_ran: bool


class Need(Enum):
    """There is nothing to do until something is received."""

    EVENT = "event"
    RESULTS = "results"


NEED_EVENT = Need.EVENT
NEED_RESULTS = Need.RESULTS

Action = CallModel | Prepare | Start | Cancel | Record | Emit | Finished | Failed | Need
