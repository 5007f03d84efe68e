"""Judging looks at a bounded part of an answer, and says of what is beyond that it did not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from auxot_tools.roundtrip.exchanges import BY_NAME
from auxot_tools.roundtrip.judging import judge
from auxot_tools.roundtrip.recording import Answer, Asked, Exchanged, Facts, Piece, Recording, Sent
from auxot_tools.roundtrip.rules import BY_ID
from auxot_tools.roundtrip.seen import MOST_BLOCKS, MOST_RECORDS, Seen
from auxot_tools.roundtrip.stream_checks import shows
from auxot_tools.roundtrip.verdicts import Outcome, Verdict
from auxot_tools.roundtrip.wire import message_of, read_bytes

FACTS = Facts("http://h", "m", "abc", False, False, "echo", 15.0)
ASKED = Asked({}, {}, {"blocks": []}, 0.1)


def exchanged(name: str, body: bytes, asked: Sequence[Asked] | None = None) -> Exchanged:
    request = {"model": "m", "messages": [], "stream": name.endswith("-stream")}
    answer = Answer(200, 0.1, {"content-type": "application/json"}, (Piece(body, 0.2),))
    return Exchanged(name, Sent("POST", "/v1/messages", {}, request), answer, asked=asked)


def outcome(rule: str, *exchanges: Exchanged) -> Outcome:
    recording = Recording(FACTS, {each.name: each for each in exchanges})
    return judge(recording, [BY_ID[rule]]).judged[0].outcome


def message(**members: Any) -> bytes:
    return json.dumps({"type": "message", "content": [], "model": "m"} | members).encode()


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


def test_so_many_blocks_are_looked_at_and_more_are_told() -> None:
    calls = [{"type": "mcp_tool_use", "id": str(n)} for n in range(9000)]
    seen_in = exchanged("plain", message(content=calls))
    assert seen_in.answer is not None
    seen = Seen(BY_NAME["plain"], seen_in, seen_in.answer)
    assert len(seen.content) == len(seen.shown_calls) == MOST_BLOCKS
    assert seen.content is seen.content
    told = outcome("shapes.block-fields", seen_in)
    assert told.notes == (f"plain: 9000 blocks, of which {MOST_BLOCKS} are looked at",)


def test_so_many_records_are_looked_at_and_more_are_told() -> None:
    body = event("message_start", message={}) + event("ping") * MOST_RECORDS
    told = outcome("sse.message-stop", exchanged("plain-stream", body))
    assert told.verdict is Verdict.FAIL
    assert f"among the first {MOST_RECORDS} records" in told.notes[0]


def test_blocks_that_have_one_number_have_each_their_own_deltas() -> None:
    def block(text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return event("content_block_start", index=0, content_block={"type": "text"}) + event(
            "content_block_delta", index=0, delta=delta
        )

    made = message_of(read_bytes(event("message_start", message={}) + block("a") + block("b")))
    assert made is not None
    assert [each["text"] for each in made["content"]] == ["a", "b"]


def test_a_stream_passes_no_rule_whose_subject_it_lacks() -> None:
    start = event("message_start", message={"content": []})
    stream = read_bytes(start)
    assert shows("sse.start-empty", stream)
    for rule in ("sse.delta-fits", "sse.shown-input-whole", "sse.nothing-after-stop"):
        assert not shows(rule, stream)
        told = outcome(rule, exchanged("plain-stream", start))
        assert told.verdict is Verdict.NOT_TESTABLE


def test_a_key_is_taken_only_where_a_message_came() -> None:
    for rule in ("auth.x-api-key", "auth.bearer"):
        name = rule.partition(".")[2]
        assert outcome(rule, exchanged(name, message())).verdict is Verdict.PASS
        assert outcome(rule, exchanged(name, b"{}")).verdict is Verdict.NOT_TESTABLE
        failed = exchanged(name, message())
        assert failed.answer is not None
        failed = replace(failed, answer=replace(failed.answer, status=500))
        assert outcome(rule, failed).verdict is Verdict.NOT_TESTABLE


def test_a_real_models_name_may_be_another_than_was_asked_for() -> None:
    dated = message(model="m-20261124")
    told = outcome("shapes.model", exchanged("plain", dated))
    assert told.verdict is Verdict.NOT_TESTABLE
    assert outcome("shapes.model", exchanged("plain", dated, [ASKED])).verdict is Verdict.FAIL


def test_a_call_may_be_left_where_the_client_is_told_to_go_on() -> None:
    def ended(reason: str) -> Verdict:
        call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
        body = (
            event("message_start", message={"content": []})
            + event("content_block_start", index=0, content_block=call)
            + event("content_block_stop", index=0)
            + event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 1})
            + event("message_stop")
        )
        seen_in = exchanged("round-limit-stream", body, [ASKED])
        return outcome("rounds.no-call-left", seen_in).verdict

    assert ended("pause_turn") is Verdict.NOT_TESTABLE
    assert ended("end_turn") is Verdict.FAIL


def test_rules_that_harmed_nobody_are_gone() -> None:
    assert not {"keep-alive.ping-shape", "pairing.client-input-text"} & set(BY_ID)


def test_limits_that_are_ours_are_told_as_ours() -> None:
    for name in ("slow-tool", "slow-upstream", "headers"):
        rule = BY_ID[f"keep-alive.{name}"]
        assert "--quiet-s" in rule.meaning
        assert "our choice" in rule.source
    assert "25 rounds (our choice)" in BY_ID["rounds.bounded"].meaning
