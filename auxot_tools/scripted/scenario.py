"""What a scripted model says, as data: scenarios, turns, blocks, timing and faults.

One job: declare and load. A scenario is JSON in a file or these values in a test. It must not know
SSE, HTTP or time. Nothing is checked that a broken upstream could do too: duplicate ids, cut
inputs and unknown blocks are what scenarios are for.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auxot_tools.errors import ConfigError

JSON = dict[str, Any]
FILE_LIMIT_BYTES = 16 * 2**20  # a scenario with an image or two; more is the wrong file
MISTAKES_TOLD = 20  # mistakes told of one scenario file: a wrong file has thousands


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextBlock(_Part):
    """A ``text`` block, streamed in pieces of ``chunk_chars``."""

    type: Literal["text"] = "text"
    text: str
    chunk_chars: int = Field(default=12, ge=1)


class ThinkingBlock(_Part):
    """A ``thinking`` block; the signature comes in one delta before the block's end."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""
    chunk_chars: int = Field(default=12, ge=1)


class ToolUseBlock(_Part):
    """A ``tool_use`` block.

    ``raw_input`` is streamed in place of ``input`` when set, byte for byte: cut JSON, duplicate
    keys, large integers. ``extra`` adds fields to the block (``caller``, …).
    """

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: JSON = Field(default_factory=dict)
    raw_input: str | None = None
    extra: JSON = Field(default_factory=dict)
    chunk_chars: int = Field(default=12, ge=1)


class RawBlock(_Part):
    """Any block, sent whole in ``content_block_start``, without deltas."""

    type: Literal["raw"] = "raw"
    block: JSON


Block = Annotated[TextBlock | ThinkingBlock | ToolUseBlock | RawBlock, Field(discriminator="type")]


class HttpFault(_Part):
    """An answer in place of a turn: an error status, or 200 with something that is no message.

    ``body`` is sent as it is; a Messages error body with ``error_type`` is made when it is empty.
    """

    status: int = Field(ge=200, le=599)
    body: str = ""
    content_type: str = "application/json"
    error_type: str = "api_error"
    message: str = "scripted fault"


class Faults(_Part):
    """What goes wrong in a turn. Counts are of events already sent; ``None``: never.

    In an answer that does not stream the same goes wrong with its one JSON text.
    """

    unreachable: bool = False  # no connection at all
    http: HttpFault | None = None
    cut_after_events: int | None = Field(default=None, ge=0)
    stall_after_events: int | None = Field(default=None, ge=0)
    invalid_json_after_events: int | None = Field(default=None, ge=0)
    error_after_events: int | None = Field(default=None, ge=0)  # an `error` event, then the end
    unknown_event_after_events: int | None = Field(default=None, ge=0)
    error_type: str = "overloaded_error"
    omit_message_stop: bool = False
    omit_message_delta: bool = False
    answer_json_to_stream: bool = False  # a whole JSON message where a stream was asked for


class Turn(_Part):
    """One model response.

    ``usage`` is taken as it is; when ``None``, input is the words of the request and output the
    words of the blocks. ``model`` ``None`` repeats the request's. ``headers`` come with the answer.
    """

    blocks: tuple[Block, ...] = ()
    stop_reason: str | None = "end_turn"
    stop_sequence: str | None = None
    usage: JSON | None = None
    model: str | None = None
    message_id: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    first_event_delay_s: float = Field(default=0.0, ge=0)
    delta_delay_s: float = Field(default=0.0, ge=0)
    ping_after_start: bool = True
    wire_chunk_bytes: int | None = Field(default=None, ge=1)  # cut the stream into such pieces
    faults: Faults = Faults()


class ScriptedRequest(_Part):
    """A request as a script sees it: its body, and how many came before it."""

    body: JSON
    number: int


class Script(Protocol):
    """Decides what is said. Raises ``LookupError`` when it has nothing to say."""

    def __call__(self, request: ScriptedRequest) -> Turn: ...


def _not_empty(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    if not turns:
        raise PydanticCustomError("too_short", "no turns")
    return turns


class Scenario(_Part):
    """Turns, and which request gets which.

    ``in_order``: the first request gets the first turn, and so on: for one conversation.
    ``by_round``: a request gets the turn after as many as it holds assistant messages, so that any
    number of conversations can be played side by side. After the last turn: ``refuse`` or
    ``repeat`` the last, or ``start_over``.
    """

    turns: Annotated[tuple[Turn, ...], AfterValidator(_not_empty)]
    select: Literal["in_order", "by_round"] = "in_order"
    after_last: Literal["refuse", "repeat", "start_over"] = "refuse"

    def __call__(self, request: ScriptedRequest) -> Turn:
        """The turn for this request. Raises ``LookupError`` after the last with ``refuse``."""
        index = request.number if self.select == "in_order" else _rounds(request.body)
        count = len(self.turns)
        if index < count:
            return self.turns[index]
        if self.after_last == "refuse":
            raise LookupError(f"The scenario has {count} turns; turn {index + 1} was asked for.")
        return self.turns[-1] if self.after_last == "repeat" else self.turns[index % count]


def _rounds(body: JSON) -> int:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return 0
    return sum(isinstance(item, dict) and item.get("role") == "assistant" for item in messages)


def load_scenario(path: Path) -> Scenario:
    """The scenario in a JSON file. Raises ``ConfigError`` saying what is wrong, and where."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([f"The scenario {path} cannot be read: {reason}."]) from None
    if len(data) > FILE_LIMIT_BYTES:
        raise ConfigError([f"The scenario {path} is larger than {FILE_LIMIT_BYTES} bytes."])
    try:
        return Scenario.model_validate_json(data)
    except ValidationError as error:
        raise ConfigError(_mistakes(path, error)) from None


# pydantic's kind of error -> what we say of it
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "union_tag_invalid": "has a type that is none of text, thinking, tool_use, raw",
    "union_tag_not_found": "has no type",
    "too_short": "is empty",
    "json_invalid": "is not valid JSON",
}


def _mistakes(path: Path, error: ValidationError) -> list[str]:
    details = error.errors(include_url=False, include_input=False)
    told = []
    for detail in details[:MISTAKES_TOLD]:
        place = ".".join(str(part) for part in detail["loc"]) or "the file"
        told.append(f"{path}: {place} {_WORDS.get(detail['type'], 'has a value it cannot have')}.")
    more = len(details) - len(told)
    return [*told, f"{path}: {more} more mistakes."] if more else told
