"""What looks like a mistake in a scenario, and is one unless the turn says that it is meant."""

from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.scripted import load_scenario, scenario_of

ODD = (
    ("{text: a, stop_reason: tool-use}", "stop_reason", "did you mean tool_use?"),
    ("{text: a, stop_reason: qqq}", "stop_reason", "those: end_turn, max_tokens"),
    ("{tool_use: {name: 'a b'}}", "tool_use.name", "no name of a tool in Messages"),
    ("{blocks: [{type: tool_use, name: ü}]}", "blocks[0].name", "no name of a tool"),
    ("{text: a, usage: {input_tokens: x}}", "usage.input_tokens", "no number of tokens"),
    ("{text: a, usage: {output_tokens: -1}}", "usage.output_tokens", "no number of tokens"),
    ("{tool_use: {name: a, input: {}, raw_input: ''}}", "tool_use.raw_input", "beside `input`"),
    ("{optional: true}", "", "says nothing"),
)
GOOD = (
    "{blocks: []}",
    "{say_results: true}",
    "{faults: {http: {status: 529}}}",
    "{faults: {unreachable: true}}",
    "{text: a, stop_reason: null}",
    "{text: a, usage: {input_tokens: 1, server_tool_use: {web_search_requests: 1}}}",
    "{tool_use: {name: mcp__a-B_1, raw_input: '{'}}",
)


def mistakes_in(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return [mistake.replace(str(path), "f") for mistake in caught.value.mistakes]


@pytest.mark.parametrize(("turn", "place", "told"), ODD)
def test_what_looks_like_a_mistake_is_one_unless_it_is_meant(
    turn: str, place: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    (mistake,) = mistakes_in(path, f"turns:\n  - hello\n  - {turn}\n")
    named = f"turns[1].{place}".removesuffix(".")
    assert mistake.startswith(f"f:3: {named} ")
    assert told in mistake
    assert mistake.endswith("if it is meant, say `odd: true` in this turn.")
    path.write_text(f"turns:\n  - hello\n  - {turn[:-1]}, odd: true}}\n")
    assert len(load_scenario(path).turns) == 2


@pytest.mark.parametrize("turn", GOOD)
def test_what_a_model_or_a_fault_may_say_is_none(turn: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"turns: [{turn}]\n")
    assert load_scenario(tmp_path / "s.yaml").turns


def test_a_program_is_told_the_same() -> None:
    with pytest.raises(ConfigError, match=r"turns\[0\]\.stop_reason is `tool-use`"):
        scenario_of({"turns": [{"text": "a", "stop_reason": "tool-use"}]})


def test_a_misspelled_field_is_told_once(tmp_path: Path) -> None:
    (mistake,) = mistakes_in(tmp_path / "s.yaml", "turns:\n  - tool_use: {nme: x}\n")
    assert "nme is not a known field; did you mean `name`?" in mistake


def test_an_anchor_hides_no_other_mistake(tmp_path: Path) -> None:
    text = "turns:\n  - &a\n    text: hi\n  - *a\n  - {txt: a}\n  - {text: a, stop_reason: b}\n"
    told = mistakes_in(tmp_path / "s.yaml", text)
    places = [mistake.split(" ")[0] for mistake in told]
    assert places == ["f:2:", "f:4:", "f:5:"]
    assert "turns[2].txt" in told[2]
