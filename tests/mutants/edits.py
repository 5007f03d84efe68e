"""Small edits that mutants are made of: of answers, of their streams, and of what goes upstream.

One job: edits. Each makes something new and leaves what it was given as it was. It must not know
rules or exchanges.
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auxot_tools.types import JSON
from tests.support.mutant_router import BodyEdit, Reply, ReplyEdit

JsonEdit = Callable[[JSON], JSON]


def both(*edits: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """These edits, one after another."""

    def edit(given: Any) -> Any:
        for each in edits:
            given = each(given)
        return given

    return edit


def as_it_is(reply: Reply) -> Reply:
    """No edit, for an answer that is only to be held until it is whole."""
    return reply


# -- whole answers -------------------------------------------------------------------------------


def status(code: int) -> ReplyEdit:
    return lambda reply: replace(reply, status=code)


def header(name: str, value: str | None) -> ReplyEdit:
    """A header of this value, or none of that name."""
    new = {} if value is None else {name: value}

    def edit(reply: Reply) -> Reply:
        old = {key: each for key, each in reply.headers.items() if key != name}
        return replace(reply, headers={**old, **new})

    return edit


def broken_off(reply: Reply) -> Reply:
    return replace(reply, breaks_off=True)


def refused(code: int, kind: str) -> ReplyEdit:
    """An error in place of whatever came; good in all but being there."""

    def edit(reply: Reply) -> Reply:
        request_id = reply.headers["request-id"]
        error = {"type": kind, "message": "This mutant refuses it."}
        body = {"type": "error", "error": error, "request_id": request_id}
        headers = {"request-id": request_id, "content-type": "application/json"}
        return Reply(code, headers, json.dumps(body).encode())

    return edit


def whole_body(body: str, content_type: str = "application/json") -> ReplyEdit:
    """Another body."""
    typed = header("content-type", content_type)
    return lambda reply: replace(typed(reply), body=body.encode())


def in_json(change: JsonEdit) -> ReplyEdit:
    """Changes the JSON object of an answer that is no stream."""

    def edit(reply: Reply) -> Reply:
        return replace(reply, body=json.dumps(change(json.loads(reply.body))).encode())

    return edit


def member(path: str, value: Any) -> JsonEdit:
    """Puts a value at a path such as `error.type` or `content.0.text`."""

    def edit(given: JSON) -> JSON:
        made = copy.deepcopy(given)
        *way, last = path.split(".")
        place: Any = made
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        place[int(last) if last.isdigit() else last] = value
        return made

    return edit


def without(path: str) -> JsonEdit:
    """Takes away what is at a path."""

    def edit(given: JSON) -> JSON:
        made = copy.deepcopy(given)
        *way, last = path.split(".")
        place: Any = made
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        del place[int(last) if last.isdigit() else last]
        return made

    return edit


def content(change: Callable[[list[JSON]], list[JSON]]) -> JsonEdit:
    """Changes the list of blocks of a message."""
    return lambda message: {**message, "content": change(copy.deepcopy(message["content"]))}


# -- streams -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One record of a stream."""

    event: str | None
    data: str

    @property
    def value(self) -> JSON:
        made: JSON = json.loads(self.data)
        return made

    @property
    def type(self) -> str:
        return str(self.value.get("type"))

    @property
    def text(self) -> str:
        line = "" if self.event is None else f"event: {self.event}\n"
        return f"{line}data: {self.data}\n\n"


FramesEdit = Callable[[list[Frame]], list[Frame]]


def frame(value: JSON) -> Frame:
    return Frame(str(value["type"]), json.dumps(value, ensure_ascii=False))


def in_stream(*changes: FramesEdit) -> ReplyEdit:
    """Changes the records of a stream."""

    def edit(reply: Reply) -> Reply:
        frames: list[Frame] = both(*changes)(_frames(reply.body.decode()))
        return replace(reply, body="".join(each.text for each in frames).encode())

    return edit


def _frames(text: str) -> list[Frame]:
    made = []
    for part in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if lines:
            made.append(Frame(lines.get("event"), lines["data"]))
    return made


def place_of(frames: Sequence[Frame], kind: str, number: int = 0) -> int:
    """Where the record of this type with this number stands; -1 is the last one."""
    return [place for place, each in enumerate(frames) if each.type == kind][number]


def put(value: JSON, kind: str, number: int = 0, *, after: bool = False) -> FramesEdit:
    """Puts an event before, or after, one that is there."""
    return put_frame(frame(value), kind, number, after=after)


def put_frame(new: Frame, kind: str, number: int = 0, *, after: bool = False) -> FramesEdit:
    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number) + after
        return [*frames[:place], new, *frames[place:]]

    return edit


def drop(kind: str, number: int = 0) -> FramesEdit:
    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number)
        return [*frames[:place], *frames[place + 1 :]]

    return edit


def repeat(kind: str, number: int = 0) -> FramesEdit:
    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number)
        return [*frames[:place], frames[place], *frames[place:]]

    return edit


def swap_with_next(kind: str, number: int = 0) -> FramesEdit:
    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number)
        return [*frames[:place], frames[place + 1], frames[place], *frames[place + 2 :]]

    return edit


def change(kind: str, edit_value: JsonEdit, number: int = 0) -> FramesEdit:
    """Changes the JSON of an event."""

    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number)
        return [*frames[:place], frame(edit_value(frames[place].value)), *frames[place + 1 :]]

    return edit


def event_line(name: str | None, kind: str, number: int = 0) -> FramesEdit:
    """Another `event:` line, or none."""

    def edit(frames: list[Frame]) -> list[Frame]:
        place = place_of(frames, kind, number)
        return [*frames[:place], replace(frames[place], event=name), *frames[place + 1 :]]

    return edit


def indexes(new: Callable[[int], int]) -> FramesEdit:
    """Other numbers for blocks."""

    def edit(frames: list[Frame]) -> list[Frame]:
        values = [each.value for each in frames]
        return [frame({**v, "index": new(v["index"])} if "index" in v else v) for v in values]

    return edit


def without_block(index: int) -> FramesEdit:
    """Takes a block away; the later ones move up."""
    moved = indexes(lambda number: number - (number > index))
    return lambda frames: moved([each for each in frames if each.value.get("index") != index])


def swapped_blocks(first: int) -> FramesEdit:
    """Two blocks that stand one after another change places."""

    def edit(frames: list[Frame]) -> list[Frame]:
        places = [
            n for n, each in enumerate(frames) if each.value.get("index") in (first, first + 1)
        ]
        begin, end = places[0], places[-1] + 1
        moved = sorted(frames[begin:end], key=lambda each: -int(each.value["index"]))
        return [*frames[:begin], *indexes(lambda n: 2 * first + 1 - n)(moved), *frames[end:]]

    return edit


def input_text(index: int, new: Callable[[str], str]) -> FramesEdit:
    """Another text for the input of a call, in one delta."""

    def edit(frames: list[Frame]) -> list[Frame]:
        places = [
            place
            for place, each in enumerate(frames)
            if each.type == "content_block_delta" and each.value["index"] == index
        ]
        text = "".join(frames[place].value["delta"]["partial_json"] for place in places)
        delta = {"type": "input_json_delta", "partial_json": new(text)}
        one = frame({"type": "content_block_delta", "index": index, "delta": delta})
        return [*frames[: places[0]], one, *frames[places[-1] + 1 :]]

    return edit


def block_before_end(block: JSON, *deltas: JSON) -> FramesEdit:
    """One more block, behind all others."""

    def edit(frames: list[Frame]) -> list[Frame]:
        index = sum(each.type == "content_block_start" for each in frames)
        new = [
            {"type": "content_block_start", "index": index, "content_block": block},
            *({"type": "content_block_delta", "index": index, "delta": each} for each in deltas),
            {"type": "content_block_stop", "index": index},
        ]
        place = place_of(frames, "message_delta")
        return [*frames[:place], *map(frame, new), *frames[place:]]

    return edit


# -- what goes upstream --------------------------------------------------------------------------


def in_messages(edit_messages: Callable[[list[JSON]], list[JSON]], since: int = 1) -> BodyEdit:
    """Changes the messages of requests from this number on."""

    def edit(body: JSON, number: int) -> JSON:
        if number < since:
            return body
        return {**body, "messages": edit_messages(copy.deepcopy(body["messages"]))}

    return edit


def blocks(role: str, kind: str, edit_block: Callable[[JSON], JSON | None]) -> BodyEdit:
    """Changes each block of a type, in messages of a role; `None` takes it away."""

    def in_message(message: JSON) -> JSON:
        if message["role"] != role or not isinstance(message["content"], list):
            return message
        made = [edit_block(b) if b.get("type") == kind else b for b in message["content"]]
        kept = [each for each in made if each is not None]
        return {**message, "content": kept}

    return in_messages(lambda messages: [in_message(each) for each in messages])


def result(edit_block: Callable[[JSON], JSON | None]) -> BodyEdit:
    """Changes each tool_result."""
    return blocks("user", "tool_result", edit_block)


def last_results(edit_list: Callable[[list[JSON]], list[JSON]]) -> BodyEdit:
    """Changes the list of blocks of the last message, when it holds results."""

    def edit(messages: list[JSON]) -> list[JSON]:
        last = messages[-1]["content"]
        if not isinstance(last, list) or last[0].get("type") != "tool_result":
            return messages
        return [*messages[:-1], {**messages[-1], "content": edit_list(last)}]

    return in_messages(edit)


def text_of_result(text: str) -> Callable[[JSON], JSON]:
    return lambda block: {**block, "content": [{"type": "text", "text": text}]}
