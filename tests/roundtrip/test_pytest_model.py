"""Mistakes in what a test has its model say: told in our words, at the test's own line."""

from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.pytest_model import ScriptedModelServer

Use = Callable[[ScriptedModelServer], None]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (
            lambda model: model.play({"txt": "x"}),
            "turns[0].txt is not a known field; did you mean `text`",
        ),
        (lambda model: model.play("a", {"text": 5}), "turns[1].text is `5`; allowed: a text"),
        (lambda model: model.play({"tool_use": {}}), "turns[0].tool_use[0].name is missing"),
        (lambda model: model.play({"blocks": [{"type": "x"}]}), "turns[0].blocks[0] has the type"),
        (lambda model: model.play("a", select="by"), "select is `by`; allowed: "),
        (lambda model: model.play(), "turns is empty"),
        (lambda model: model.load("none.yaml"), "none.yaml cannot be read: no such file"),
    ],
)
def test_a_mistake_is_a_sentence_at_the_line_of_the_test(
    tmp_path: Path, use: Use, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        use(ScriptedModelServer(tmp_path))
    assert words in str(raised.value)
    assert "pydantic" not in str(raised.value)
    frames = [frame for frame, _ in walk_tb(raised.value.__traceback__)]
    ours = [frame for frame in frames if "/auxot_tools/" in frame.f_code.co_filename]
    assert ours
    assert [
        frame.f_code.co_name for frame in ours if "__tracebackhide__" not in frame.f_locals
    ] == []
