"""More of what an upstream may do over real HTTP, byte by byte: the client's end is well-formed."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auxot_tools.dialects.anthropic.sse import SseDecoder
from auxot_tools.messages.events import Event, event
from tests.support.played_upstream import (
    Place,
    Played,
    check_stream,
    refusal,
    running_place,
    sse,
)
from tests.support.turns import Play, done, text, tool_use, turn

pytestmark = pytest.mark.anyio

IDLE_S = 0.4
BOTH_WAYS = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "blocking"])
THEIRS = {"name": "theirs", "input_schema": {"type": "object"}}
CALL = turn(text("Let me see."), tool_use("toolu_1", "echo", '{"n"', ": 1}"))
WORDS = turn(text("All "), text("done."))
ANSWER = Played(sse(WORDS))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop for the whole file, as its router is; the one that the commands run on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Place, None]:
    async with running_place(tmp_path_factory.mktemp("router"), idle_s=IDLE_S) as started:
        yield started


# -- slow, silent, cut -----------------------------------------------------------------------------


async def test_an_upstream_that_is_slow_with_its_headers_gets_its_client_pings_until_they_come(
    place: Place,
) -> None:
    late = Played(sse(WORDS), headers={"retry-after": "3"}, begins=anyio.Event())
    answered = await place.ask(late, stream=True)
    assert check_stream(answered) == "message_stop"
    assert [data["type"] for data in answered.events[:3]] == ["ping"] * 3
    assert answered.kinds == [each.type for each in WORDS]
    assert "retry-after" not in answered.headers  # they had left


async def test_a_refusal_after_the_first_ping_is_an_error_event(place: Place) -> None:
    refused = refusal(429, "rate_limit_error", "too late")
    late = replace(refused, begins=anyio.Event())
    answered = await place.ask(late, stream=True)
    assert check_stream(answered) == "error"
    assert answered.error == {"type": "rate_limit_error", "message": "too late"}


@BOTH_WAYS
@pytest.mark.parametrize("rounds_before", [0, 1])
async def test_an_upstream_that_falls_silent_in_a_call_is_given_up(
    place: Place, stream: bool, rounds_before: int
) -> None:
    stalled = Played(sse(CALL[:6]), ends="stalls")
    answered = await place.ask(*[Played(sse(CALL))] * rounds_before, stalled, stream=stream)
    assert answered.status == (200 if stream else 502)
    assert answered.error["type"] == "api_error"
    assert f"sent nothing for {IDLE_S} s" in answered.error["message"]
    if stream:
        assert check_stream(answered) == "error"


@BOTH_WAYS
@pytest.mark.parametrize("rounds_before", [0, 1])
async def test_a_stream_cut_behind_any_of_its_events_comes_to_a_well_formed_end(
    place: Place, stream: bool, rounds_before: int
) -> None:
    """Once its stop_reason is known a turn counts as whole."""
    before = [Played(sse(CALL))] * rounds_before
    ends: list[str] = []
    for events in range(len(CALL)):
        cut = Played(sse(CALL[:events]), ends="cut")
        answered = await place.ask(*before, cut, ANSWER, stream=stream)
        if stream:
            ends.append(check_stream(answered))
        else:
            ends.append("message_stop" if answered.status == 200 else "error")
        if ends[-1] == "error":
            assert answered.status == (200 if stream else 502)
            assert answered.error["type"] == "api_error"
            assert len(answered.sent) == 1 + rounds_before
    assert ends == ["error"] * (len(CALL) - 1) + ["message_stop"]


@BOTH_WAYS
async def test_a_stream_cut_in_the_middle_of_an_event_is_no_shorter_stream(
    place: Place, stream: bool
) -> None:
    whole = sse(WORDS)
    for end in range(len(whole) - 160, len(whole) - 1, 16):
        answered = await place.ask(Played(whole[:end], ends="cut"), stream=stream)
        if stream:
            how = check_stream(answered)
        else:
            how = "message_stop" if answered.status == 200 else "error"
        is_known = b'"stop_reason":"end_turn"' in whole[:end] and whole[:end].count(b"\n\n") > 7
        assert how == ("message_stop" if is_known else "error")


# -- turns that are not as they should be ----------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("names", [("echo", "echo"), ("echo", "theirs"), ("theirs", "echo")])
async def test_two_calls_of_one_turn_with_one_id_are_an_error_and_neither_is_run(
    place: Place, stream: bool, names: tuple[str, str]
) -> None:
    """Whosever they are: no answer could be told from the other's."""
    before = place.calls_of("toolu_twin")
    calls = turn(*(tool_use("toolu_twin", name, "{}") for name in names))
    answered = await place.ask(Played(sse(calls)), ANSWER, stream=stream, tools=[THEIRS])
    assert place.calls_of("toolu_twin") == before
    assert answered.status == (200 if stream else 502)
    assert "one id" in answered.error["message"]


async def test_an_id_used_again_in_the_next_turn_is_another_call(place: Place) -> None:
    calls = Played(sse(turn(tool_use("toolu_again", "echo", "{}"))))
    answered = await place.ask(calls, calls, ANSWER, stream=False)
    content = answered.message["content"]
    shown = [block["id"] for block in content if block["type"] == "mcp_tool_use"]
    assert len(set(shown)) == 2
    assert [b["tool_use_id"] for b in content if b["type"] == "mcp_tool_result"] == shown
    assert place.calls_of("toolu_again") == 2
    assert len({call.idempotency_key for call in place.dispatcher.calls}) == len(
        place.dispatcher.calls
    )


@BOTH_WAYS
@pytest.mark.parametrize("reason", ["compaction", "model_context_window_exceeded", "of tomorrow"])
async def test_an_unknown_stop_reason_passes_and_runs_nothing(
    place: Place, stream: bool, reason: str
) -> None:
    calls = turn(text("Hm."), tool_use(f"toolu_{reason[0]}", "echo", "{}"), stop=reason)
    answered = await place.ask(Played(sse(calls)), stream=stream)
    if stream:
        assert check_stream(answered) == "message_stop"
        assert answered.events[-2]["delta"]["stop_reason"] == reason
    else:
        assert answered.message["stop_reason"] == reason
        assert answered.message["content"][-1]["is_error"] is True
    assert place.calls_of(f"toolu_{reason[0]}") == 0


def with_unknown_kinds(events: Sequence[Event]) -> list[Event]:
    """The turn with an unknown delta and unknown events behind the start of each block."""
    found: list[Event] = []
    for each in events:
        found.append(each)
        if each.type == "content_block_start":
            index = each.data["index"]
            delta = {"type": "hologram_delta", "text": "no text", "partial_json": "no json"}
            found += [
                event({"type": "content_block_delta", "index": index, "delta": delta}),
                event({"type": "content_block_note", "index": index, "note": "of this block"}),
                event({"type": "note_of_tomorrow", "text": "of nothing"}),
            ]
    return found


@BOTH_WAYS
async def test_unknown_events_and_deltas_change_nothing_of_what_is_known(
    place: Place, stream: bool
) -> None:
    odd = [Played(sse(with_unknown_kinds(events))) for events in (CALL, WORDS)]
    answered = await place.ask(*odd, stream=stream)
    assert answered.sent[1]["messages"][1]["content"][0]["text"] == "Let me see."
    assert answered.sent[1]["messages"][1]["content"][1]["input"] == {"n": 1}
    if not stream:
        texts = [block.get("text") for block in answered.message["content"]]
        assert texts == ["Let me see.", None, None, "All ", "done."]
        return
    assert check_stream(answered) == "message_stop"
    assert answered.kinds.count("note_of_tomorrow") == 4


async def test_an_unknown_event_of_a_block_keeps_to_its_block(place: Place) -> None:
    """An index is one of the client's message, whatever else an event says."""
    odd = [Played(sse(with_unknown_kinds(events))) for events in (CALL, WORDS)]
    answered = await place.ask(*odd, stream=True)
    starts = [data for data in answered.events if data["type"] == "content_block_start"]
    texts = {data["index"] for data in starts if data["content_block"]["type"] == "text"}
    notes = [data["index"] for data in answered.events if data["type"] == "content_block_note"]
    assert set(notes) <= texts


@BOTH_WAYS
async def test_a_second_message_start_in_one_answer_is_an_error(place: Place, stream: bool) -> None:
    for second in (1, 3, len(WORDS) - 1):
        twice = [*WORDS[:second], WORDS[0], *WORDS[second:]]
        answered = await place.ask(Played(sse(twice)), stream=stream)
        assert answered.status == (200 if stream else 502)
        assert "second message" in answered.error["message"]
        if stream:
            assert check_stream(answered) == "error"


# -- refusals --------------------------------------------------------------------------------------

TOO_LONG = "prompt is too long: 200001 tokens > 200000 maximum"
REFUSALS = [
    refusal(429, "rate_limit_error", "Slow down.", retry_after="7"),
    refusal(529, "overloaded_error", "Overloaded"),
    refusal(400, "invalid_request_error", TOO_LONG),
    refusal(413, "request_too_large", "Request exceeds the maximum size"),
    refusal(500, "api_error", "Internal server error", x_should_retry="true"),
]


@BOTH_WAYS
@pytest.mark.parametrize("rounds_before", [0, 1])
@pytest.mark.parametrize("refused", REFUSALS, ids=[str(each.status) for each in REFUSALS])
async def test_a_refusal_keeps_its_status_and_words_in_every_round(
    place: Place, stream: bool, rounds_before: int, refused: Played
) -> None:
    before = [Played(sse(CALL))] * rounds_before
    answered = await place.ask(*before, refused, stream=stream)
    assert answered.error == json.loads(refused.body)["error"]
    assert len(answered.sent) == 1 + rounds_before
    if stream and rounds_before:
        assert check_stream(answered) == "error"
        return
    assert answered.status == refused.status
    assert {name: answered.headers[name] for name in refused.headers} == refused.headers


# -- an upstream that does not stream --------------------------------------------------------------


def whole(stop_reason: str, *content: Any) -> Played:
    message = WORDS[0].data["message"] | {"content": content, "stop_reason": stop_reason}
    return Played(json.dumps(message).encode(), content_type="application/json")


async def test_a_json_answer_to_a_stream_is_told_in_deltas(place: Place) -> None:
    thinking = {"type": "thinking", "thinking": "Hm, hm.", "signature": "c2ln"}
    said = {"type": "text", "text": "Both of them."}
    ours = {"type": "tool_use", "id": "toolu_json", "name": "echo", "input": {"n": [1, "é"]}}
    theirs = {"type": "tool_use", "id": "toolu_own", "name": "theirs", "input": {"path": "x"}}
    first = whole("tool_use", thinking, said, ours)
    last = whole("tool_use", {"type": "text", "text": "Yours."}, theirs)
    model = place.case(first, last)
    asked: Any = {"model": model, "max_tokens": 100, "tools": [THEIRS]}
    asked["messages"] = [{"role": "user", "content": "hi"}]
    heard: dict[str, str] = {"text": "", "thinking": "", "input_json": ""}
    client = await place.router.client()
    with anyio.fail_after(10):
        async with client.beta.messages.stream(**asked) as stream:
            async for each in stream:
                if each.type in ("text", "thinking"):
                    heard[each.type] += getattr(each, each.type)
                elif each.type == "input_json":
                    heard["input_json"] += each.partial_json
            message = await stream.get_final_message()
    assert heard["text"] == "Both of them.Yours."
    assert heard["thinking"] == "Hm, hm."
    assert json.loads(heard["input_json"]) == {"path": "x"}
    assert message.stop_reason == "tool_use"
    kinds = ["thinking", "text", "mcp_tool_use", "mcp_tool_result", "text", "tool_use"]
    assert [block.type for block in message.content] == kinds
    sent = place.upstream.bodies[model][1]["messages"]
    assert sent[1] == {"role": "assistant", "content": [thinking, said, ours]}


# -- pieces of any size ----------------------------------------------------------------------------

PLAIN = sse(turn(text("Ünö 😀"), tool_use("toolu_1", "run", '{"é": ', "1.10}")))
# The same in other forms: comments, ids, CRLF, two lines of data, no blank, blank lines.
ODD = (
    PLAIN.replace(b"event: content_block_stop\n", b": hi\r\nid: 5\r\nretry: 9\n")
    .replace(
        b'data: {"type":"content_block_delta",', b'data:{"type":"content_block_delta",\ndata: '
    )
    .replace(b"\n\n", b"\r\n\r\n\n")
)
CUTS = st.lists(st.integers(0, len(ODD)), max_size=40)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(at)]


def played(first: Sequence[bytes], second: Sequence[bytes]) -> Play:
    """A conversation of two rounds whose turns come in these pieces."""
    play = Play()
    for number, turn_pieces in enumerate((first, second)):
        decoder = SseDecoder()
        for piece in turn_pieces:
            play.feed(decoder.feed(piece))
        if number == 0:
            play.results(done("toolu_1", "é"))
    return play


@settings(max_examples=150, deadline=None)
@given(CUTS, CUTS, st.booleans())
@example(list(range(len(ODD))), list(range(len(ODD))), True)
@example(list(range(len(ODD))), list(range(len(ODD))), False)
def test_where_a_stream_was_cut_into_pieces_changes_neither_message_nor_bodies(
    first: list[int], second: list[int], is_odd: bool
) -> None:
    wanted = played([PLAIN], [sse(WORDS)])
    got = played(pieces(ODD if is_odd else PLAIN, first), pieces(sse(WORDS), second))
    assert got.message == wanted.message
    assert got.bodies == wanted.bodies
    assert got.events == wanted.events
    assert [start.call for start in got.started] == [start.call for start in wanted.started]
