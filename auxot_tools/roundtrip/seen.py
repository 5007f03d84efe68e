"""A recording as the rules look at it: messages, streams, calls and what the upstream got.

One job: views. Pure, and patient: what is not there is `None` or empty, never an exception. It must
not know rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from auxot_tools.roundtrip.exchanges import BY_NAME, Ends, Exchange
from auxot_tools.roundtrip.plan import CLIENT_TOOL_NAME
from auxot_tools.roundtrip.recording import Answer, Asked, Exchanged, Facts, Recording
from auxot_tools.roundtrip.stream_checks import is_result, is_shown_call
from auxot_tools.roundtrip.wire import Stream, message_of, parsed, parsed_object, read_stream
from auxot_tools.types import JSON

MOST_RECORDS = 5000  # of a stream: max_tokens is 1024, and no scene says a tenth of it
MOST_BLOCKS = 500  # of a message that are looked at: no scene makes a tenth of it


@dataclass(frozen=True)
class Upstream:
    """One request that the upstream got, and what it said."""

    asked: Asked

    @property
    def body(self) -> JSON:
        return self.asked.body if isinstance(self.asked.body, dict) else {}

    @cached_property
    def messages(self) -> list[JSON]:
        return objects(self.body.get("messages"))

    def results(self) -> list[JSON]:
        """The results in its last message."""
        last = self.messages[-1:]
        return [block for message in last for block in blocks_of(message, "tool_result")]

    def result_of(self, call_id: str) -> JSON | None:
        """The result of a call, in any message."""
        for message in self.messages:
            for block in blocks_of(message, "tool_result"):
                if block.get("tool_use_id") == call_id:
                    return block
        return None

    def said_blocks(self, kind: str) -> list[JSON]:
        """The blocks of one type of the turn that answered it, as the scenario writes them."""
        return [b for b in objects(self.asked.said.get("blocks")) if b.get("type") == kind]

    @property
    def said_text(self) -> str:
        return "".join(str(block.get("text") or "") for block in self.said_blocks("text"))

    @property
    def said_tokens(self) -> int:
        """The output tokens of the turn that answered it."""
        usage = self.asked.said.get("usage")
        count = usage.get("output_tokens") if isinstance(usage, dict) else None
        return count if isinstance(count, int) else 0

    @property
    def said_thinking(self) -> list[tuple[Any, Any]]:
        """Each thinking block's text and signature."""
        return [thinking_in(block) for block in self.said_blocks("thinking")]

    @property
    def said_calls(self) -> list[JSON]:
        return self.said_blocks("tool_use")


@dataclass(frozen=True)
class Seen:
    """One exchange that was performed and answered."""

    exchange: Exchange
    exchanged: Exchanged
    answer: Answer

    @property
    def name(self) -> str:
        return self.exchange.name

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def is_ok(self) -> bool:
        return self.status == 200

    @property
    def body(self) -> bytes:
        return self.answer.body

    @cached_property
    def json(self) -> Any:
        return parsed(self.body)

    @property
    def request(self) -> JSON:
        sent = self.exchanged.sent
        return sent.body if sent is not None and isinstance(sent.body, dict) else {}

    @property
    def asks_message(self) -> bool:
        sent = self.exchanged.sent
        return sent is not None and sent.method == "POST" and sent.path.endswith("/messages")

    @property
    def asks_stream(self) -> bool:
        return self.asks_message and self.request.get("stream") is True

    @cached_property
    def stream(self) -> Stream | None:
        """The stream, when one was asked for and something came with 200."""
        if not self.asks_stream or not self.is_ok:
            return None
        pieces = ((piece.data, piece.at_s) for piece in self.answer.pieces)
        return read_stream(pieces, MOST_RECORDS)

    @cached_property
    def message(self) -> JSON | None:
        """The message, whole or as the stream makes it."""
        if not self.asks_message or not self.is_ok:
            return None
        return message_of(self.stream) if self.stream else parsed_object(self.body)

    @property
    def is_complete(self) -> bool:
        """Whether a whole message was to come, and no error came instead."""
        if self.exchange.ends not in (Ends.COMPLETE, Ends.OPEN) or not self.is_ok:
            return False
        return not (self.stream and self.stream.of("error"))

    @property
    def has_message(self) -> bool:
        """Whether the answer is a message, and not merely a 200."""
        return self.message is not None and isinstance(self.message.get("content"), list)

    @cached_property
    def content(self) -> list[JSON]:
        """The first `MOST_BLOCKS` blocks."""
        return objects((self.message or {}).get("content"))[:MOST_BLOCKS]

    @property
    def stop_reason(self) -> Any:
        return (self.message or {}).get("stop_reason")

    @cached_property
    def text(self) -> str:
        """All text of the message."""
        return "".join(str(b.get("text") or "") for b in self.content if b.get("type") == "text")

    def blocks(self, kind: str) -> list[JSON]:
        return [block for block in self.content if block.get("type") == kind]

    @cached_property
    def shown_calls(self) -> list[JSON]:
        """Calls that the endpoint ran, or is to run, where it shows them."""
        return [block for block in self.content if is_shown_call(block.get("type"))]

    @cached_property
    def shown_results(self) -> list[JSON]:
        return [block for block in self.content if is_result(block.get("type"))]

    @cached_property
    def client_calls(self) -> list[JSON]:
        return self.blocks("tool_use")

    @property
    def own_calls(self) -> list[JSON]:
        """Calls of the tool that the client declared."""
        return [call for call in self.client_calls if call.get("name") == CLIENT_TOOL_NAME]

    @property
    def error(self) -> JSON | None:
        """The error, be it the body or an event of the stream."""
        found: Any = self.json
        if self.stream is not None:
            errors = self.stream.of("error")
            found = errors[0].value if errors else None
        inner = found.get("error") if isinstance(found, dict) else None
        return inner if isinstance(inner, dict) else None

    @cached_property
    def upstream(self) -> list[Upstream]:
        """What the upstream got for it, in order; empty when the upstream is not ours."""
        return [Upstream(asked) for asked in self.exchanged.asked or ()]


def objects(value: Any) -> list[JSON]:
    """The objects of a list; nothing of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def blocks_of(message: JSON, kind: str) -> list[JSON]:
    """The blocks of one type of a message."""
    return [block for block in objects(message.get("content")) if block.get("type") == kind]


def thinking_in(block: JSON) -> tuple[Any, Any]:
    """The text and the signature of a thinking block."""
    return block.get("thinking"), block.get("signature")


def text_in(value: Any) -> str:
    """The text of a result's content: a text, or blocks."""
    if isinstance(value, str):
        return value
    return "".join(str(block.get("text") or "") for block in objects(value))


@dataclass(frozen=True)
class Everything:
    """A whole recording."""

    recording: Recording

    @property
    def facts(self) -> Facts:
        return self.recording.facts

    @cached_property
    def all(self) -> Mapping[str, Seen]:
        """Every exchange that was answered, in the order of the list."""
        return {
            name: Seen(exchange, exchanged, exchanged.answer)
            for name, exchange in BY_NAME.items()
            if (exchanged := self.recording.exchanges.get(name)) is not None
            and exchanged.answer is not None
        }

    def why_not(self, name: str) -> str:
        """Why there is no answer to an exchange."""
        exchanged = self.recording.exchanges.get(name)
        if exchanged is None:
            return "it was not sent"
        return exchanged.skipped or f"no answer came: {exchanged.failure}"

    def some(self, *names: str) -> Iterator[Seen]:
        """Those of these exchanges that were answered."""
        return (self.all[name] for name in names if name in self.all)

    def messages(self) -> Iterator[Seen]:
        """Answers that were to be whole messages."""
        return (s for s in self.all.values() if s.asks_message and s.is_complete and s.message)

    def streams(self, *, complete: bool = False) -> Iterator[Seen]:
        """Streams; with ``complete`` only those that were to come to their end."""
        found = (seen for seen in self.all.values() if seen.stream is not None)
        return (seen for seen in found if seen.is_complete or not complete)

    def errors(self) -> Iterator[Seen]:
        """Answers with an error status."""
        return (seen for seen in self.all.values() if seen.status >= 400)
