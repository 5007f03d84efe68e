"""What looks like a mistake in a turn: what no model says, unless a scenario means it (`odd`).

One job: to say it in sentences, with the place. Pure. Broken upstreams are what scenarios are for,
so only what is hardly ever meant is told, and `odd: true` in the turn says that it is. It must not
know files.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from auxot_tools.scripted.scenario import Path, Scenario, ToolUseBlock, Turn, shown

# Messages API reference, "Message.stop_reason" and "Tool.name".
STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
)
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MEANT = "; if it is meant, say `odd: true` in this turn"


def oddities(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """The place of each, and what is wrong there."""
    for number, turn in enumerate(scenario.turns):
        if not turn.odd:
            for place, told in _of_turn(turn):
                yield ("turns", number, *place), told + _MEANT


def _of_turn(turn: Turn) -> Iterator[tuple[Path, str]]:
    answers_otherwise = turn.faults.http is not None or turn.faults.unreachable
    is_empty = not turn.blocks and not turn.say_results and "blocks" not in turn.model_fields_set
    if is_empty and not answers_otherwise:
        yield (), "says nothing: it has no `text`, `tool_use` or other block"
    if turn.stop_reason is not None and turn.stop_reason not in STOP_REASONS:
        near = get_close_matches(turn.stop_reason, STOP_REASONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; those: {', '.join(STOP_REASONS)}"
        yield (
            ("stop_reason",),
            f"is `{shown(turn.stop_reason)}`, which Messages does not have{hint}",
        )
    for name, count in (turn.usage or {}).items():
        is_count = isinstance(count, int) and not isinstance(count, bool) and count >= 0
        if name.endswith("_tokens") and not is_count:
            yield ("usage", name), "is no number of tokens; it is a whole number, at least 0"
    yield from _of_calls(turn)


def _of_calls(turn: Turn) -> Iterator[tuple[Path, str]]:
    in_full = "blocks" in turn.model_fields_set
    calls = [(i, block) for i, block in enumerate(turn.blocks) if isinstance(block, ToolUseBlock)]
    for number, (index, call) in enumerate(calls):
        place: Path = ("blocks", index) if in_full else ("tool_use", number)
        if not _TOOL_NAME.fullmatch(call.name):
            what = "is no name of a tool in Messages"
            yield (*place, "name"), f"{what}: 1 to 128 letters, digits, `_` and `-`"
        if {"input", "raw_input"} <= call.model_fields_set:
            yield (*place, "raw_input"), "is beside `input`, which is then not used; keep one"
