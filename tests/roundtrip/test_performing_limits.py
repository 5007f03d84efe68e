"""What a run makes of endpoints that hang, fail where tools run, or never send a stream."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.judging import Score, judge
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.verdicts import Verdict
from tests.support.raw_server import Asked, raw_server, reply
from tests.support.roundtrip_run import plan_for_tests

pytestmark = pytest.mark.anyio
TOO_LONG_S = 30.0
MESSAGE = b'{"type": "message", "content": [{"type": "text", "text": "hi"}]}'
JSON = {"Content_Type": "application/json"}
AnswerOf = Callable[[Asked, ByteStream], Awaitable[None]]


async def scored(answer: AnswerOf, limit_s: float = TOO_LONG_S) -> tuple[Score, Run]:
    async with raw_server(answer) as server:
        endpoint = endpoint_of(server.url(""), "sk-the-key")
        run = Run(plan_for_tests(has_upstream=False), endpoint, limit_s=limit_s)
        with anyio.fail_after(TOO_LONG_S):
            return judge(await run.perform()), run


def verdicts(score: Score) -> dict[str, Verdict]:
    return {judged.rule.id: judged.verdict for judged in score.judged}


def hanging_at(word: bytes) -> AnswerOf:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        if word in asked.body:
            await anyio.sleep_forever()
        await reply(MESSAGE, **JSON)(asked, stream)

    return answer


@pytest.mark.parametrize("word", [b"echo", b"bearer"])
async def test_a_request_that_is_never_answered_fails_when_the_time_is_over(word: bytes) -> None:
    score, _run = await scored(hanging_at(word), limit_s=1.5)
    assert score.facts.is_cut_short
    assert verdicts(score)["shapes.answered"] is Verdict.FAIL
    assert not score.is_good
    assert "cut short" in score.summary


async def test_a_run_that_is_cut_short_is_no_success_though_nothing_failed() -> None:
    """An answer that has begun is no failure yet, and shows nothing."""

    async def trickling(asked: Asked, stream: ByteStream) -> None:
        if b"echo" not in asked.body:
            await reply(MESSAGE, **JSON)(asked, stream)
            return
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n ")
        await anyio.sleep_forever()

    score, _run = await scored(trickling, limit_s=1.0)
    assert verdicts(score)["shapes.answered"] is Verdict.PASS
    assert not score.is_conclusive


async def test_an_endpoint_whose_tools_fail_is_not_taken_for_one_without_tools() -> None:
    async def answer(asked: Asked, stream: ByteStream) -> None:
        fails = b"Call the tool echo" in asked.body
        status = "500 Internal Server Error" if fails else "200 OK"
        await reply(MESSAGE, status, **JSON)(asked, stream)

    score, run = await scored(answer)
    assert run.runs_tools is True
    assert verdicts(score)["shapes.status"] is Verdict.FAIL
    notes = next(j.outcome.notes for j in score.judged if j.rule.id == "shapes.status")
    assert any(note.startswith("tool: status 500") for note in notes)


async def test_a_whole_message_without_a_call_says_that_no_tools_are_run() -> None:
    _score, run = await scored(reply(MESSAGE, **JSON))
    assert run.runs_tools is False


async def test_a_web_page_in_place_of_everything_passes_nothing_about_messages() -> None:
    score, _run = await scored(reply(b"<html>hi</html>", Content_Type="text/html"))
    passed = {rule for rule, verdict in verdicts(score).items() if verdict is Verdict.PASS}
    assert passed == {"auth.key-secret", "shapes.answered", "shapes.whole"}
    assert verdicts(score)["shapes.status"] is Verdict.FAIL
    assert verdicts(score)["sse.start-first"] is Verdict.FAIL
    assert verdicts(score)["shapes.extras"] is Verdict.NOT_TESTABLE
