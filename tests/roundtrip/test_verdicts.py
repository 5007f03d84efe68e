"""What evidence looks like: as JSON has it, short, and in nobody's programming language."""

import re

from auxot_tools.roundtrip.judging import judge
from auxot_tools.roundtrip.recording import Answer, Asked, Exchanged, Facts, Piece, Recording, Sent
from auxot_tools.roundtrip.stream_checks import violations
from auxot_tools.roundtrip.verdicts import kept, quoted

FACTS = Facts("http://h", "m", "abc", True, True, "echo", 15.0)
ODD = b'{"type": "message", "content": {"a": null}, "usage": [true], "stop_reason": {"b": null}}'
OF_PYTHON = re.compile(r"\bNone\b|\bTrue\b|\bFalse\b|[{(]'|\bb'")

BY_STATUS = {
    200: {"plain", "stop-sequence", "max-tokens", "models", "count-tokens", "mixed-stream"},
    400: {"bad-json", "thread", "upstream-refuses", "upstream-limit"},
    401: {"no-key", "wrong-key"},
}


def test_a_value_is_shown_as_json_has_it() -> None:
    assert quoted("a 'b' 世界") == "\"a 'b' 世界\""
    assert quoted({"a": [True, None]}) == '{"a": [true, null]}'
    assert quoted(None) == "missing"
    assert quoted(b"\xff{") == '"\ufffd{"'
    assert quoted("x" * 500, 20) == '"' + "x" * 18 + "…"
    assert quoted("\ud800") == '"\\ud800"'


def test_what_came_is_compared_with_what_was_said() -> None:
    assert kept(["a"], ["a"]) is None
    assert kept("a", None) == '"a" came, missing was said'


def test_no_evidence_is_written_as_a_programming_language_has_it() -> None:
    """Every exchange is answered with what is of the wrong type in every place."""
    exchanges = {}
    for status, names in BY_STATUS.items():
        for name in names:
            sent = Sent("POST", "/v1/messages", {}, {"model": "x", "messages": []})
            answer = Answer(status, 0.1, {"content-type": "text/plain"}, (Piece(ODD, 0.2),))
            asked = (Asked({}, {}, {"blocks": [{"type": "text", "text": "t"}]}, 0.1),)
            exchanges[name] = Exchanged(name, sent, answer, asked=asked)
    score = judge(Recording(FACTS, exchanges))
    notes = [note for each in score.judged for note in each.outcome.notes]
    assert not [note for note in notes if OF_PYTHON.search(note)]
    broken = violations(
        b'event: message_start\ndata: {"type": "message_start"}\n\ndata: [null]\n\n'
    )
    assert broken
    assert not [one.text for one in broken if OF_PYTHON.search(one.text)]
