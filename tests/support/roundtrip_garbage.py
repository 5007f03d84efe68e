"""A recording of an endpoint that sends garbage: every value may be another."""

import json
import random
from dataclasses import replace
from typing import Any

from auxot_tools.roundtrip.recording import Answer, Asked, Exchanged, Piece, Recording

_JUNK: list[Any] = [None, True, -1, 1.5, "", "x", [], {}, [1], {"a": 1}, [None], "\ud800", 10**30]
_STATUSES = (0, 200, 200, 200, 204, 301, 400, 401, 500, 529)


def garbled(recording: Recording, dice: random.Random) -> Recording:
    """The same run, with garbage everywhere."""
    changed = {name: _exchanged(each, dice) for name, each in recording.exchanges.items()}
    return replace(recording, exchanges=changed)


def _value(value: Any, dice: random.Random) -> Any:
    if dice.random() < 0.1:
        return dice.choice(_JUNK)
    if isinstance(value, dict):
        return {k: _value(each, dice) for k, each in value.items() if dice.random() > 0.03}
    if isinstance(value, list):
        return [_value(each, dice) for each in value if dice.random() > 0.05]
    return value


def _text(text: str, dice: random.Random) -> str:
    try:
        return json.dumps(_value(json.loads(text), dice))
    except ValueError:
        return text[: dice.randrange(len(text) + 1)]


def _body(data: bytes, dice: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    changed = [
        f"data: {_text(line[6:], dice)}" if line.startswith("data: ") else line
        for line in lines
        if dice.random() > 0.02
    ]
    if len(lines) == 1:
        changed = [_text(lines[0], dice)]
    return "\n".join(changed).encode("utf-8", "replace")


def _exchanged(each: Exchanged, dice: random.Random) -> Exchanged:
    asked = each.asked
    if asked is not None:
        asked = tuple(_asked(one, dice) for one in asked if dice.random() > 0.1)
    answer = None if each.answer is None else _answer(each.answer, dice)
    return replace(each, answer=answer, asked=asked)


def _answer(answer: Answer, dice: random.Random) -> Answer:
    body = _body(answer.body, dice)
    half = len(body) // 2
    pieces = (Piece(body[:half], 0.1), Piece(body[half:], 0.2))
    return replace(answer, pieces=pieces, status=dice.choice(_STATUSES))


def _asked(asked: Asked, dice: random.Random) -> Asked:
    said = _value(asked.said, dice)
    kept = said if isinstance(said, dict) else asked.said
    return replace(asked, body=_value(asked.body, dice), said=kept)
