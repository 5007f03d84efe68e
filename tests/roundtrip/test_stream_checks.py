"""Everything that is wrong with a stream is told, by rule, for whoever wants a list of it."""

from auxot_tools.roundtrip.stream_checks import violations
from auxot_tools.roundtrip.wire import read_bytes
from auxot_tools.scripted.scenario import Faults, TextBlock, ThinkingBlock, ToolUseBlock, Turn
from auxot_tools.scripted.sse import Answer, Frame, stream

ANSWER = Answer("msg_1", "m", {"input_tokens": 1, "output_tokens": 2})
TURN = Turn(
    blocks=(
        ThinkingBlock(thinking="Hm.", signature="c2ln"),
        TextBlock(text="Hello."),
        ToolUseBlock(id="toolu_1", name="t", input={"a": 1}),
    ),
    stop_reason="tool_use",
)


def sent(turn: Turn = TURN) -> bytes:
    return b"".join(p.data for p in stream(turn, ANSWER) if isinstance(p, Frame))


def rules(data: bytes, *, complete: bool = True) -> list[str]:
    return [violation.rule for violation in violations(data, complete=complete)]


def test_a_good_stream_breaks_no_rule() -> None:
    assert violations(sent()) == []
    assert violations(read_bytes(sent())) == []


def test_a_stream_without_its_end_lacks_what_only_a_whole_one_has() -> None:
    cut = sent(TURN.model_copy(update={"faults": Faults(cut_after_events=7)}))
    assert rules(cut) == ["sse.block-stopped", "sse.stop-reason", "sse.message-stop"]
    assert rules(cut, complete=False) == []


def test_each_breach_is_told_with_what_was_seen() -> None:
    found = violations(sent().replace(b'"index":2', b'"index":5'))
    assert [(v.rule, v.text) for v in found] == [
        ("sse.index-contiguous", "the blocks are numbered [0, 1, 5]")
    ]


def test_a_stream_that_is_something_else_is_told_so() -> None:
    assert rules(b"<html></html>") == ["sse.start-first"]


def test_an_error_in_place_of_a_message_is_no_missing_start() -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'
    assert rules(error, complete=False) == []
