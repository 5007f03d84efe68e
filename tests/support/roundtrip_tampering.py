"""Changes a recording as a router with one fault would have made it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from auxot_tools.roundtrip.recording import Answer, Asked, Exchanged, Piece, Recording
from auxot_tools.roundtrip.wire import read_stream

JSON = dict[str, Any]
Events = list[JSON]


@dataclass
class Tampering:
    """A recording being changed."""

    recording: Recording
    exchanges: dict[str, Exchanged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exchanges = dict(self.recording.exchanges)

    @property
    def done(self) -> Recording:
        return replace(self.recording, exchanges=self.exchanges)

    def answer(self, name: str, **changes: Any) -> None:
        """Change members of an answer."""
        self._put(name, answer=replace(self._answer(name), **changes))

    def status(self, name: str, status: int) -> None:
        self.answer(name, status=status)

    def header(self, name: str, header: str, value: str | None) -> None:
        headers = dict(self._answer(name).headers)
        headers.pop(header, None)
        if value is not None:
            headers[header] = value
        self.answer(name, headers=headers)

    def raw(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a body as bytes; its pieces become one."""
        answer = self._answer(name)
        self.answer(name, pieces=(Piece(change(answer.body), answer.ended_at_s),))

    def body(self, name: str, change: Callable[[JSON], Any]) -> None:
        """Change a JSON body in place, or by what ``change`` returns."""

        def changed(data: bytes) -> bytes:
            value = json.loads(data)
            result = change(value)
            return json.dumps(value if result is None else result).encode()

        self.raw(name, changed)

    def events(self, name: str, change: Callable[[Events], Events | None]) -> None:
        """Change the events of a stream; times are kept by place."""
        answer = self._answer(name)
        records = read_stream([(piece.data, piece.at_s) for piece in answer.pieces]).records
        values = [record.value or {} for record in records]
        changed = change(values)
        values = values if changed is None else changed
        times = [record.at_s for record in records] + [answer.ended_at_s] * len(values)
        pieces = [Piece(_frame(value), at_s) for value, at_s in zip(values, times, strict=False)]
        self.answer(name, pieces=tuple(pieces))

    def asked(self, name: str, number: int, change: Callable[[JSON], None]) -> None:
        """Change the body of a request that the upstream got."""
        asked = list(self.exchanges[name].asked or ())
        body = json.loads(json.dumps(asked[number].body))
        change(body)
        asked[number] = replace(asked[number], body=body)
        self._put(name, asked=tuple(asked))

    def asks(self, name: str, change: Callable[[list[Asked]], list[Asked]]) -> None:
        """Change which requests the upstream got."""
        self._put(name, asked=tuple(change(list(self.exchanges[name].asked or ()))))

    def copy(self, name: str, to: str) -> None:
        """Another exchange's answer comes in place of its own."""
        self._put(to, answer=self._answer(name))

    def drop(self, name: str, failure: str) -> None:
        """No answer came."""
        self._put(name, answer=None, failure=failure)

    def _put(self, name: str, **changes: Any) -> None:
        self.exchanges[name] = replace(self.exchanges[name], **changes)

    def _answer(self, name: str) -> Answer:
        answer = self.exchanges[name].answer
        assert answer is not None, name
        return answer


def _frame(value: JSON) -> bytes:
    name = value.get("::event", value.get("type"))
    shown = {key: each for key, each in value.items() if not key.startswith("::")}
    line = "" if name is None else f"event: {name}\n"
    return f"{line}data: {json.dumps(shown)}\n\n".encode()
