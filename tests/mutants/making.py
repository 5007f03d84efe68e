"""Mutants in one line: how the tables name what is broken, and in which exchange.

One job: from edits to a `Mutant`. It must not know rules.
"""

from collections.abc import Callable

from auxot_tools.types import JSON
from tests.mutants.edits import FramesEdit, JsonEdit, both, in_json, in_stream
from tests.support.mutant_router import BodyEdit, Mutant, ReplyEdit


def answer(exchange: str, *edits: ReplyEdit) -> Mutant:
    """The answer to an exchange, changed."""
    return Mutant(answers={exchange: both(*edits)})


def message(exchange: str, *changes: JsonEdit) -> Mutant:
    """The JSON of an answer, changed."""
    return answer(exchange, in_json(both(*changes)))


def stream(exchange: str, *changes: FramesEdit) -> Mutant:
    """The records of a streamed answer, changed."""
    return answer(exchange, in_stream(*changes))


def upstream(scene: str, edit: BodyEdit) -> Mutant:
    """What goes upstream in a scene, changed."""
    return Mutant(asked={scene: edit})


def members(**new: object) -> Callable[[JSON], JSON]:
    """These members are added, or get these values."""
    return lambda given: {**given, **new}
