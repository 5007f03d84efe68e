"""The picture of the states is the table of the states."""

from pathlib import Path

from auxot_tools.loop import state


def test_the_rendered_table_is_up_to_date() -> None:
    rendered = Path(state.__file__).with_suffix(".md").read_text()
    assert rendered.endswith(state.as_markdown())
