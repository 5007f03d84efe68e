"""Live output: whole characters, in order, bounded, and only for calls that run."""

from auxot_tools.loop.calls import CallContext
from auxot_tools.loop.live_output import CUT_TEXT, MAX_LIVE_BYTES, LiveOutput
from auxot_tools.loop.loop import LoopSettings, ToolLoop
from auxot_tools.types import OutputChunk
from tests.support.turns import RUN, Play, done, request, tool_use, turn

OUT = OutputChunk("stdout", b"hello")


def test_an_event_names_call_stream_order_and_text() -> None:
    live = LiveOutput()
    first = live.event_of("mcptoolu_1", OUT)
    second = live.event_of("mcptoolu_1", OutputChunk("stderr", b"oh"))
    assert first is not None
    assert first.data == {
        "type": "auxot.tool_output",
        "tool_use_id": "mcptoolu_1",
        "stream": "stdout",
        "sequence": 0,
        "text": "hello",
    }
    assert second is not None
    assert (second.data["stream"], second.data["sequence"]) == ("stderr", 1)


def test_a_character_that_is_cut_between_two_pieces_arrives_whole() -> None:
    live, data = LiveOutput(), "é€😀".encode()
    events = [live.event_of("c", OutputChunk("stdout", data[i : i + 1])) for i in range(len(data))]
    assert "".join(each.data["text"] for each in events if each) == "é€😀"
    assert [each.data["sequence"] for each in events if each] == [0, 1, 2]


def test_bytes_that_are_no_text_are_told_as_such() -> None:
    told = LiveOutput().event_of("c", OutputChunk("stdout", b"\xff\xfe!"))
    assert told is not None
    assert told.data["text"] == "\ufffd\ufffd!"


def test_after_its_bound_a_call_says_once_that_no_more_comes() -> None:
    live = LiveOutput()
    assert live.event_of("c", OutputChunk("stdout", b"x" * MAX_LIVE_BYTES)) is not None
    cut = live.event_of("c", OUT)
    assert cut is not None
    assert cut.data["text"] == CUT_TEXT
    assert live.event_of("c", OUT) is None
    assert live.event_of("another", OUT) is not None


def loop(*, live_output: bool) -> ToolLoop:
    context = CallContext("msg_1", live_output=live_output)
    made = ToolLoop(request(), [RUN], LoopSettings(), context)
    made.receive_events(turn(tool_use("a", "run", "{}")))
    return made


def test_only_a_client_that_asked_is_told_and_only_of_running_calls() -> None:
    asked = loop(live_output=True)
    told = asked.receive_output("a", OUT)
    assert told is not None
    assert told.data["tool_use_id"] == "mcptoolu_auxot_a"
    assert asked.receive_output("b", OUT) is None
    asked.receive_result(done("a"))
    assert asked.receive_output("a", OUT) is None
    assert loop(live_output=False).receive_output("a", OUT) is None


def test_live_output_changes_nothing_else() -> None:
    play = Play().feed(turn(tool_use("a", "run", "{}")))
    before = list(play.events)
    assert play.loop.receive_output("a", OUT) is None
    assert play.drained.events == before
