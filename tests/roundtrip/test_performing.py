"""A run ends, whatever the endpoint does; what cannot be examined is told."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.assembly.serving import serving
from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.judging import judge
from auxot_tools.roundtrip.performing import BODY_BYTES, Run
from auxot_tools.roundtrip.recording import as_json
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.replaying import plan_of, requests_of
from auxot_tools.roundtrip.rules import GROUPS
from auxot_tools.roundtrip.upstream import PlayedUpstream
from auxot_tools.roundtrip.verdicts import Verdict
from tests.support.raw_server import Asked, raw_server, reply, send
from tests.support.roundtrip_run import plan_for_tests

pytestmark = pytest.mark.anyio
KEY = "sk-the-key-of-this-test"
TOO_LONG_S = 30.0
AnswerOf = Callable[[Asked, ByteStream], Awaitable[None]]


async def mistakes_at(url: str, *, ours: bool = False, limit_s: float = 20.0) -> str:
    """What a run says that could not be made."""
    plan = plan_for_tests(has_upstream=ours)
    upstream = PlayedUpstream(plan, Redactor([KEY])) if ours else None
    run = Run(plan, endpoint_of(url, KEY), upstream, limit_s=limit_s, wait_s=0.0)
    with anyio.fail_after(TOO_LONG_S), pytest.raises(ConfigError) as told:
        await run.perform()
    assert KEY not in str(told.value)
    return str(told.value)


async def test_an_endpoint_that_runs_no_tools_is_judged_as_one_that_passes_calls_on() -> None:
    """Such an endpoint is the scripted upstream itself."""
    plan = plan_for_tests()
    upstream = PlayedUpstream(plan, Redactor([KEY]))
    async with serving(upstream) as url:
        recording = await Run(plan, endpoint_of(url, KEY), upstream).perform()
        assert recording.facts.runs_tools is False
        verdicts = {j.rule.id: j.verdict for j in judge(recording).judged}
        assert verdicts["pairing.not-the-clients"] is Verdict.NOT_TESTABLE
        assert verdicts["mixed.paired"] is Verdict.NOT_TESTABLE
        assert verdicts["pairing.client-call-shown"] is Verdict.PASS
        assert verdicts["is-error.client-text"] is Verdict.PASS
        assert verdicts["keep-alive.slow-upstream"] is Verdict.FAIL  # nobody pings for it
        failed = [name for name, verdict in verdicts.items() if verdict is Verdict.FAIL]
        assert {name.partition(".")[0] for name in failed} == {
            *("auth", "shapes", "keep-alive", "errors"),  # it knows no keys, and takes everything
        }
        assert {"sse", "pairing", "parallel"} <= set(GROUPS)

        again = replace(plan_of(recording, "another"), quiet_s=0.5)
        requests = requests_of(recording, "another")
        assert "another" in str(requests["plain"].body)
        assert plan.run_id not in str(requests["plain"].body)
        anew = PlayedUpstream(again, Redactor([KEY]))
    async with serving(anew) as url:
        run = Run(again, endpoint_of(url, KEY), anew, sent_before=requests, runs_tools=False)
        second = await run.perform()
    assert second.exchanges["plain"].sent == requests["plain"]
    assert second.exchanges["client-tool-result"].answer is not None


async def test_an_address_where_nobody_listens_is_told() -> None:
    async with raw_server(reply()) as server:
        url = server.url("")
    assert "nobody listens at this address" in await mistakes_at(url)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (send(b"\x00\xff garbage of no protocol\r\n\r\n"), "does not speak HTTP"),
        (send(b""), "closed"),
        (reply(b"no", "401 Unauthorized"), "refuses the key \\(401\\)"),
        (reply(b"no", "403 Forbidden"), "refuses the key \\(403\\)"),
        (reply(b"<html>", "404 Not Found"), "no Messages endpoint at .*/v1/messages \\(404\\)"),
        (reply(b"<html>", "405 Method Not Allowed"), "no Messages endpoint"),
    ],
)
async def test_what_is_no_messages_endpoint_is_told(answer: AnswerOf, words: str) -> None:
    async with raw_server(answer) as server:
        told = await mistakes_at(server.url(""))
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(told)


async def test_an_endpoint_that_never_answers_is_told_in_time() -> None:
    async def never(_asked: Asked, _stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with raw_server(never) as server:
        assert "no answer within 0.3 s" in await mistakes_at(server.url(""), limit_s=0.3)


async def test_an_endpoint_that_asks_another_upstream_is_told() -> None:
    async with raw_server(reply(b"{}", Content_Type="application/json")) as server:
        told = await mistakes_at(server.url(""), ours=True)
    assert "did not ask the scripted upstream" in told


async def test_a_run_whose_time_is_over_says_what_was_not_tried() -> None:
    """The first request is answered, and no other."""
    count = 0

    async def once(asked: Asked, stream: ByteStream) -> None:
        nonlocal count
        count += 1
        if count > 1:
            await anyio.sleep_forever()
        await reply(b'{"type": "message"}', Content_Type="application/json")(asked, stream)

    async with raw_server(once) as server:
        plan = plan_for_tests(has_upstream=False)
        run = Run(plan, endpoint_of(server.url(""), KEY), limit_s=1.0)
        with anyio.fail_after(TOO_LONG_S):
            recording = await run.perform()
    assert recording.exchanges["plain"].answer is not None
    assert recording.exchanges["bearer"].skipped == "the run's time (--limit-s) was over"
    assert recording.exchanges["max-tokens"].skipped


async def test_an_endpoint_that_floods_is_cut_off_and_its_key_is_not_kept() -> None:
    flood = (KEY.encode() + b" " * 100) * 20_000
    async with raw_server(reply(flood, Content_Type="text/event-stream")) as server:
        plan = plan_for_tests(has_upstream=False)
        with anyio.fail_after(TOO_LONG_S):
            recording = await Run(plan, endpoint_of(server.url(""), KEY)).perform()
    answer = recording.exchanges["plain-stream"].answer
    assert answer is not None
    assert len(answer.body) <= BODY_BYTES
    assert KEY not in str(as_json(recording))
    failed = [j.rule.id for j in judge(recording).judged if j.verdict is Verdict.FAIL]
    assert "auth.key-secret" in failed
    assert "sse.start-first" in failed
