"""What `auxot-tools sandbox check` prints."""

from auxot_tools.cli.sandbox_check import lines
from auxot_tools.sandbox.posture import Finding

HELD = Finding("call", "no mounts", held=True)
OPEN = Finding("warm", "no devices", held=False, detail="node (1, 3): done")


def test_a_box_that_holds_is_told_in_one_line_for_each_mode() -> None:
    assert lines("form", [HELD], verbose=False) == ["form", "PASS     call: 1 of 1 held"]


def test_what_is_exposed_is_told_with_what_got_through() -> None:
    assert lines("form", [HELD, OPEN], verbose=False) == [
        "form",
        "EXPOSED  warm: no devices: node (1, 3): done",
        "PASS     call: 1 of 1 held",
        "FAIL     warm: 0 of 1 held",
    ]


def test_what_held_is_listed_when_it_is_asked_for() -> None:
    assert "held     call: no mounts" in lines("form", [HELD, OPEN], verbose=True)
