"""What a scripted model says, as data: scenarios, turns, blocks, timing, faults, conditions.

One job: declare. A scenario is a YAML or JSON file (`scenario_file` reads it) or these values in a
test; the JSON Schema of the format is made from these models. It must not know SSE, HTTP or time.
Nothing is checked that a broken upstream could do too: duplicate ids, cut inputs and unknown blocks
are what scenarios are for.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from auxot_tools.scripted.conditions import TOLD, Part, RequestMatch, one_or_more, rounds, unmet

JSON = dict[str, Any]
MAX_DELAY_S = 3600.0  # of one pause: whoever waits longer has given up
MAX_TURNS = 10_000  # of one scenario; a recorded conversation has hundreds
_SHOWN_CHARS = 60  # of a key or a wrong value
Path = tuple[str | int, ...]


class TextBlock(Part):
    """A ``text`` block, streamed in pieces of ``chunk_chars``."""

    type: Literal["text"] = "text"
    text: str
    chunk_chars: int = Field(default=12, ge=1)


class ThinkingBlock(Part):
    """A ``thinking`` block; the signature comes in one delta before the block's end."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""
    chunk_chars: int = Field(default=12, ge=1)


class ToolUseBlock(Part):
    """A ``tool_use`` block.

    Without an ``id`` it gets one when it is played, which no other has. ``raw_input`` is streamed
    in place of ``input`` when set, byte for byte: cut JSON, duplicate keys, large integers.
    ``extra`` adds fields to the block (``caller``, …).
    """

    type: Literal["tool_use"] = "tool_use"
    id: str = ""
    name: str
    input: JSON = Field(default_factory=dict)
    raw_input: str | None = None
    extra: JSON = Field(default_factory=dict)
    chunk_chars: int = Field(default=12, ge=1)


class RawBlock(Part):
    """Any block, sent whole in ``content_block_start``, without deltas."""

    type: Literal["raw"] = "raw"
    block: JSON


Block = Annotated[TextBlock | ThinkingBlock | ToolUseBlock | RawBlock, Field(discriminator="type")]


class HttpFault(Part):
    """An answer in place of a turn: an error status, or 200 with something that is no message.

    ``body`` is sent as it is; a Messages error body with ``error_type`` is made when it is empty.
    """

    status: int = Field(ge=200, le=599)
    body: str = ""
    content_type: str = "application/json"
    error_type: str = "api_error"
    message: str = "scripted fault"


class Faults(Part):
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


class Turn(Part):
    """One model response.

    ``blocks`` says what it holds, or in short ``thinking``, ``text`` and ``tool_use``, in this
    order; a turn in short with a ``tool_use`` stops with ``tool_use`` unless it says otherwise.
    With ``say_results`` a text at its end repeats the texts of the tool results that came.

    ``when``: only a request like this gets the turn, as often as one comes. ``expect``: whoever
    gets the turn must have asked like this; when not, the answer is a 400 that says what is
    missing. ``optional``: it may stay unplayed. ``odd``: what looks like a mistake in it is meant
    (see `oddities`).

    ``usage`` is taken as it is; when ``None``, input is the words of the request and output the
    words of the blocks. ``model`` ``None`` repeats the request's. ``headers`` come with the answer.
    """

    when: RequestMatch | None = None
    expect: RequestMatch | None = None
    optional: bool = False
    odd: bool = False
    thinking: str | None = None
    text: str | None = None
    tool_use: Annotated[
        tuple[ToolUseBlock, ...],
        BeforeValidator(one_or_more, json_schema_input_type=ToolUseBlock | list[ToolUseBlock]),
    ] = ()
    blocks: tuple[Block, ...] = ()
    say_results: bool = False
    stop_reason: str | None = "end_turn"
    stop_sequence: str | None = None
    usage: JSON | None = None
    model: str | None = None
    message_id: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    first_event_delay_s: float = Field(default=0.0, ge=0, le=MAX_DELAY_S)
    delta_delay_s: float = Field(default=0.0, ge=0, le=MAX_DELAY_S)
    ping_after_start: bool = True
    wire_chunk_bytes: int | None = Field(default=None, ge=1)  # cut the stream into such pieces
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _spelled_out(self) -> Self:
        """The short forms become blocks, so that nobody else needs to know them."""
        short: list[Block] = []
        if self.thinking is not None:
            short.append(ThinkingBlock(thinking=self.thinking))
        if self.text is not None:
            short.append(TextBlock(text=self.text))
        short.extend(self.tool_use)
        if not short:
            return self
        if self.blocks:
            raise PydanticCustomError(
                TOLD, "has blocks, and text, thinking or tool_use too; write it all in blocks"
            )
        spelled: JSON = {"blocks": tuple(short), "thinking": None, "text": None, "tool_use": ()}
        if self.tool_use and "stop_reason" not in self.model_fields_set:
            spelled["stop_reason"] = "tool_use"
        self.__dict__.update(spelled)
        return self


class ScriptedRequest(Part):
    """A request as a script sees it: its body, and how many came before it."""

    body: JSON
    number: int


class Script(Protocol):
    """Decides what is said. Raises ``LookupError`` when it has nothing to say."""

    def __call__(self, request: ScriptedRequest) -> Turn: ...


def _turns(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    if not turns:
        raise PydanticCustomError(TOLD, "is empty; one turn is the least")
    if len(turns) > MAX_TURNS:
        raise PydanticCustomError(TOLD, f"has more than {MAX_TURNS} turns")
    return turns


def _short_turn(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


def dotted(path: Path) -> str:
    """A place in a scenario, such as ``turns[0].expect``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def shown(text: str) -> str:
    """A key or value of a scenario as it is shown in a sentence: cut, and on one line."""
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return "".join(char if char.isprintable() else "\ufffd" for char in cut)


class Scenario(Part):
    """Turns, and which request gets which.

    ``in_order``: the first request gets the first turn, and so on: for one conversation.
    ``by_round``: a request gets the turn after as many as it holds assistant messages, so that any
    number of conversations can be played side by side. After the last turn: ``refuse`` or
    ``repeat`` the last, or ``start_over``. A turn with ``when`` stands outside of this: the first
    in the file whose ``when`` holds answers, and only other requests count.
    """

    turns: Annotated[
        tuple[
            Annotated[Turn, BeforeValidator(_short_turn, json_schema_input_type=str | Turn)], ...
        ],
        AfterValidator(_turns),
    ]
    select: Literal["in_order", "by_round"] = "in_order"
    after_last: Literal["refuse", "repeat", "start_over"] = "refuse"

    # Where a part of it stands, as `file:line: place`; a scenario made in a test has no lines.
    _where: Callable[[Path], str] | None = PrivateAttr(default=None)

    def __call__(self, request: ScriptedRequest) -> Turn:
        """See `chosen`."""
        return self.turns[self.chosen(request)]

    def chosen(self, request: ScriptedRequest) -> int:
        """Which turn a request gets; its ``number`` counts those that no ``when`` claimed.

        Raises ``LookupError`` when none is left.
        """
        claimed = self.claimed(request.body)
        if claimed is not None:
            return claimed
        ordered = [index for index, turn in enumerate(self.turns) if turn.when is None]
        count = len(ordered)
        if not count:
            raise LookupError("No turn of the scenario is for a request like this.")
        index = request.number if self.select == "in_order" else rounds(request.body)
        if index < count:
            return ordered[index]
        if self.after_last == "refuse":
            turns = f"{count} turn{'s' if count > 1 else ''}"
            raise LookupError(f"The scenario has {turns}; turn {index + 1} was asked for.")
        return ordered[-1] if self.after_last == "repeat" else ordered[index % count]

    def claimed(self, body: JSON) -> int | None:
        """The first turn whose ``when`` holds for this request."""
        for index, turn in enumerate(self.turns):
            if turn.when is not None and not unmet(turn.when, body):
                return index
        return None

    def where(self, *path: str | int) -> str:
        """Where a part of the scenario stands, for people."""
        return self._where(path) if self._where else dotted(path) or "the scenario"

    def located(self, where: Callable[[Path], str]) -> Self:
        """The same scenario, whose parts stand where ``where`` says."""
        self._where = where
        return self
