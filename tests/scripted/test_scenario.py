"""Scenarios as data: which request gets which turn, and loading them from a file."""

from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.scripted import (
    Scenario,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
    load_scenario,
)

TURNS = tuple(Turn(blocks=(TextBlock(text=text),)) for text in "abc")


def request(number: int, assistant_messages: int = 0) -> ScriptedRequest:
    messages = [{"role": "user"}, *([{"role": "assistant"}, {"role": "user"}] * assistant_messages)]
    return ScriptedRequest(body={"messages": messages}, number=number)


def test_turns_are_given_in_order_and_then_refused() -> None:
    scenario = Scenario(turns=TURNS)
    assert [scenario(request(number)) for number in range(3)] == list(TURNS)
    with pytest.raises(LookupError, match="has 3 turns; turn 4 was asked for"):
        scenario(request(3))


def test_the_last_turn_can_be_repeated_and_the_turns_started_over() -> None:
    repeating = Scenario(turns=TURNS, after_last="repeat")
    assert [repeating(request(number)) for number in (3, 7)] == [TURNS[2], TURNS[2]]
    over = Scenario(turns=TURNS, after_last="start_over")
    assert [over(request(number)) for number in (3, 7)] == [TURNS[0], TURNS[1]]


def test_by_round_the_history_decides_and_not_how_many_came_before() -> None:
    scenario = Scenario(turns=TURNS, select="by_round")
    assert scenario(request(99, assistant_messages=0)) == TURNS[0]
    assert scenario(request(0, assistant_messages=2)) == TURNS[2]


def test_a_scenario_is_loaded_from_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(
        '{"turns": [{"stop_reason": "tool_use", "delta_delay_s": 0.5, "blocks": ['
        '{"type": "text", "text": "hi"},'
        '{"type": "tool_use", "id": "toolu_1", "name": "t", "raw_input": "{\\"a\\": 1"},'
        '{"type": "raw", "block": {"type": "new_kind", "x": 1}}]}]}'
    )
    (turn,) = load_scenario(path).turns
    assert turn.delta_delay_s == 0.5
    assert turn.blocks[:2] == (
        TextBlock(text="hi"),
        ToolUseBlock(id="toolu_1", name="t", raw_input='{"a": 1'),
    )


def test_a_missing_scenario_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        load_scenario(tmp_path / "none.json")
