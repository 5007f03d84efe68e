"""Scenario files: what is read from them, and every mistake told with its line."""

import json
from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.scripted import (
    Faults,
    HttpFault,
    RequestMatch,
    ResultMatch,
    TextBlock,
    TextMatch,
    Turn,
    load_scenario,
    scenario_schema,
)
from auxot_tools.scripted.scenario_file import FILE_LIMIT_BYTES, MISTAKES_TOLD
from auxot_tools.worker.validation import compile_any_schema

EXAMPLES = Path(__file__).parents[2] / "examples" / "scenarios"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "scenario.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistakes_in(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return [mistake.replace(str(path), "f") for mistake in caught.value.mistakes]


def test_short_and_full_form_say_the_same(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
turns:
  - Hello
  - {thinking: hm, text: Look, tool_use: {name: add, input: {a: 1}}}
  - blocks:
      - {type: thinking, thinking: hm}
      - {type: text, text: Look}
      - {type: tool_use, name: add, input: {a: 1}}
    stop_reason: tool_use
""",
    )
    hello, short, full = load_scenario(path).turns
    assert hello == Turn(blocks=(TextBlock(text="Hello"),))
    assert short == full


def test_conditions_faults_and_timing_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
select: by_round
after_last: repeat
turns:
  - when: {user_text: weather, round: 1}
    expect:
      tool_result: [{id: toolu_1, matches: '4\\d'}, plain]
      tool_offered: add
      body: {max_tokens: 5}
    faults: {http: {status: 529}}
    delta_delay_s: 0.5
""",
    )
    scenario = load_scenario(path)
    assert (scenario.select, scenario.after_last) == ("by_round", "repeat")
    assert scenario.turns == (
        Turn(
            when=RequestMatch(user_text=TextMatch(contains=("weather",)), round=1),
            expect=RequestMatch(
                tool_result=(
                    ResultMatch(id="toolu_1", matches=r"4\d"),
                    ResultMatch(contains=("plain",)),
                ),
                tool_offered=("add",),
                body={"max_tokens": 5},
            ),
            faults=Faults(http=HttpFault(status=529)),
            delta_delay_s=0.5,
        ),
    )


def test_a_json_file_is_read_tabs_escapes_and_all(tmp_path: Path) -> None:
    said = "tab\t, \u00e9, \U0001f600, \\ud83d\\ude00"
    text = json.dumps({"turns": [{"text": said}]}, indent="\t")
    assert load_scenario(written(tmp_path, text)).turns == (Turn(text=said),)


def test_a_part_of_a_scenario_knows_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "turns:\n  - text: a\n  - expect:\n      round: 2\n    text: b\n")
    scenario = load_scenario(path)
    assert scenario.where("turns", 1) == f"{path}:3: turns[1]"
    assert scenario.where("turns", 1, "expect", "round") == f"{path}:4: turns[1].expect.round"
    assert scenario.where() == str(path)


# what is written -> what is told, `f` being the file
MISTAKES = {
    f"turns: [a]\n? {'k' * 2000}\n: 1": (
        f"f:2: {'k' * 60}… is not a known field; allowed: turns, select, after_last."
    ),
    'turns: [a]\n"k\\e\\n": 1': (
        "f:2: k\ufffd\ufffd is not a known field; allowed: turns, select, after_last."
    ),
    f"turns:\n  - when:\n      user_text: {{matches: {'a?' * 6000}}}": (
        "f:3: turns[0].when.user_text.matches is longer than 10000 characters."
    ),
    "turns: []": "f:1: turns is empty; one turn is the least.",
    "select: in_order": "f:1: turns is missing; it is a list.",
    "turns: [a]\nselect: in_ordr": "f:2: select is `in_ordr`; allowed: in_order, by_round.",
    "turns: [a]\n\nturn: b": (
        "f:3: turn is not a known field; did you mean `turns`? allowed: turns, select, after_last."
    ),
    "turns:\n  - a\n  - 5": "f:3: turns[1] is `5`; allowed: a text or a mapping.",
    "turns:\n  - text: 42": (
        "f:2: turns[0].text is `42`; allowed: a text or null; put it in quotes."
    ),
    "turns:\n  - tool_use:\n      input: {}": (
        "f:2: turns[0].tool_use.name is missing; it is a text."
    ),
    "turns:\n  - tool_use:\n      - {name: a}\n      - {name: a, inputs: {}}": (
        "f:4: turns[0].tool_use[1].inputs is not a known field; did you mean `input`? "
        "allowed: type, id, name, input, raw_input, extra, chunk_chars."
    ),
    "turns:\n  - blocks:\n      - {type: txt}": (
        "f:3: turns[0].blocks[0] has the type `txt`; allowed: raw, text, thinking, tool_use."
    ),
    "turns:\n  - blocks:\n      - {text: a}": (
        "f:3: turns[0].blocks[0] has no `type`; allowed: raw, text, thinking, tool_use."
    ),
    "turns:\n  - blocks:\n      - type: text\n        text: a\n        chunk_chars: 0": (
        "f:5: turns[0].blocks[0].chunk_chars is `0`; allowed: a whole number, at least 1."
    ),
    "turns:\n  - text: a\n    blocks: [{type: text, text: b}]": (
        "f:2: turns[0] has blocks, and text, thinking or tool_use too; write it all in blocks."
    ),
    "turns:\n  - text: a\n    delta_delay_s: -1": (
        "f:3: turns[0].delta_delay_s is `-1`; allowed: a number, at least 0 and at most 3600."
    ),
    "turns:\n  - faults:\n      http: {status: 99}": (
        "f:3: turns[0].faults.http.status is `99`; "
        "allowed: a whole number, at least 200 and at most 599."
    ),
    "turns:\n  - text: a\n    expect: {}": "f:3: turns[0].expect says nothing of the request.",
    "turns:\n  - when:\n      user_text: {matches: '('}": (
        "f:3: turns[0].when.user_text.matches is not a regular expression that RE2 takes."
    ),
    "turns:\n  - when: {tool_result: [a, 4]}": (
        "f:2: turns[0].when.tool_result[1] is `4`; allowed: a text or a mapping."
    ),
    "turns:\n  - when: {stream: maybe}": (
        "f:2: turns[0].when.stream is `maybe`; allowed: true or false or null."
    ),
    "- a": "f:1: a scenario is a mapping that has `turns`.",
    "": "f:1: there is nothing in it.",
    "turns: [a]\nturns: [b]": "f:2: the key `turns` is there already, in line 1.",
    "turns:\n  - text: !!str a": "f:2: !!str: tags are not allowed.",
    "turns:\n  - &one a\n  - *one": "f:2: &one: anchors are not allowed.",
    "turns:\n  - <<: {text: a}": "f:2: <<: merging is not allowed; write it out.",
    "turns:\n  - [a]: b": "f:2: a key must be a text.",
    "turns: [a]\n---\nturns: [b]": "f:2: a second document begins; one is allowed.",
    'turns:\n  - text: "a\n  - b': "f:2: a quote, bracket or brace that begins here is not closed.",
    "turns:\n  - text: a: b": ("f:2: a colon stands where no key can be; put the text in quotes."),
    "turns:\n  - text: a\n   stop_reason: b": (
        "f:3: this is indented otherwise than what it belongs to."
    ),
    "turns:\n\t- a": "f:2: a tab is used to indent; YAML takes only spaces.",
    "turns:\n  - text: @a": "f:2: a text that begins with this character must be in quotes.",
    "turns:\n  - text: a\x01": "f:2: there is a character that YAML does not allow.",
    "turns:\n  - usage: {a: 1e999}": "f:2: 1e999 is larger than any number.",
    f"turns:\n  - usage: {{a: {'9' * 400}}}": "f:2: a number has more than 300 characters.",
    f"turns: {'[' * 80}{']' * 80}": "f:1: the document has more than 64 levels.",
    f"turns: [{'a, ' * 200_000}]": "f:1: the document has more than 200000 values.",
}


@pytest.mark.parametrize(
    ("text", "told"), MISTAKES.items(), ids=[told[:60] for told in MISTAKES.values()]
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, told: str
) -> None:
    assert mistakes_in(written(tmp_path, text))[0] == told


def test_every_mistake_is_told_up_to_a_bound(tmp_path: Path) -> None:
    text = "turns:\n" + "  - {txt: a}\n" * (MISTAKES_TOLD + 5)
    told = mistakes_in(written(tmp_path, text))
    assert [one.partition(" ")[0] for one in told[:-1]] == [f"f:{n + 2}:" for n in range(20)]
    assert told[-1] == "f: 5 more mistakes."


def test_what_is_no_text_or_too_large_or_not_there_is_told(tmp_path: Path) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        latin = end.join((b"turns:", b" - \xff", b""))
        assert mistakes_in(written(tmp_path, latin)) == ["f:2: this is not UTF-8 text."]
    large = written(tmp_path, b"#" * (FILE_LIMIT_BYTES + 1))
    assert mistakes_in(large) == [f"The scenario f is larger than {FILE_LIMIT_BYTES} bytes."]
    missing = tmp_path / "none.yaml"
    assert mistakes_in(missing) == ["The scenario f cannot be read: no such file or directory."]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_have_no_mistakes(path: Path) -> None:
    assert load_scenario(path).turns


def test_the_schema_takes_what_is_read_and_refuses_what_is_not() -> None:
    schema = compile_any_schema(scenario_schema())
    good = {"turns": ["a", {"text": "b", "expect": {"tool_result": "2"}}]}
    assert schema.violations(good) is None
    assert schema.violations({"turns": [{"txt": "b"}]}) is not None
