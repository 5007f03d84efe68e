"""Whatever the upstream does over real HTTP, the client gets a well-formed end."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.net.http import HttpTimeouts
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import (
    Faults,
    HttpFault,
    Scenario,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.server import scripted_app
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import KEY, http_model, running_router

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}
TEXT = (TextBlock(text="hello there, this is a longer text"),)
OWN = {"x-other": "1", "user-agent": "claude-cli/2.1.330", "x-stainless-retry-count": "0"}
KEPT_BACK = {"cookie": "c=1", "auxot-events": "x", "x-forwarded-for": "203.0.113.1", "te": "x"}
CALL = Turn(blocks=(ToolUseBlock(id="toolu_1", name="echo"),), stop_reason="tool_use")


def fault(status: int, **more: Any) -> Turn:
    headers = more.pop("headers", {})
    return Turn(faults=Faults(http=HttpFault(status=status, **more)), headers=headers)


async def ask(
    tmp_path: Path,
    *turns: Turn,
    stream: bool = False,
    retries: int = 0,
    timeouts: HttpTimeouts | None = None,
) -> tuple[int, dict[str, str], bytes, ScriptedModel]:
    """One request through the router to a real HTTP upstream that plays `turns`."""
    model = ScriptedModel(Scenario(turns=turns, after_last="repeat"), stall_s=5)
    body = json.dumps(ASKED | {"stream": stream}).encode()
    async with (
        serving(scripted_app(model)) as upstream,
        http_model(upstream, retries=retries, timeouts=timeouts) as client,
        running_router(tmp_path, client, FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
        session.post(router.messages_url, data=body, headers={"x-api-key": KEY}) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, await response.read(), model


def error_of(body: bytes) -> Any:
    return json.loads(body)["error"]


def events_of(body: bytes) -> list[Any]:
    return [json.loads(line[5:]) for line in body.splitlines() if line.startswith(b"data:")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
async def test_a_refusal_keeps_its_status_wording_and_retry_after(
    tmp_path: Path, stream: bool, status: int, kind: str
) -> None:
    refused = fault(
        status, error_type=kind, message="in its own words", headers={"retry-after": "3"}
    )
    got, headers, body, _ = await ask(tmp_path, refused, stream=stream)
    assert got == status
    assert error_of(body) == {"type": kind, "message": "in its own words"}
    assert headers["retry-after"] == "3"
    assert headers["request-id"].startswith("req_")


async def test_an_error_page_becomes_an_error_body(tmp_path: Path) -> None:
    page = fault(502, body="<html>Bad gateway</html>", content_type="text/html")
    status, _, body, _ = await ask(tmp_path, page)
    assert status == 502
    assert error_of(body)["type"] == "api_error"
    assert "<html>" not in body.decode()


async def test_a_refused_operator_key_is_not_told_as_the_clients_fault(tmp_path: Path) -> None:
    status, headers, body, _ = await ask(tmp_path, fault(401, error_type="authentication_error"))
    assert status == 502
    assert "router's own key" in error_of(body)["message"]
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_html_with_status_200_is_an_error(tmp_path: Path, stream: bool) -> None:
    page = fault(200, body="<html>hi</html>", content_type="text/html")
    status, _, body, _ = await ask(tmp_path, page, stream=stream)
    told = events_of(body)[-1]["error"] if stream else error_of(body)
    assert status == (200 if stream else 502)
    assert told["type"] == "api_error"
    assert "text/html" in told["message"]


async def test_an_overloaded_upstream_is_asked_again_before_its_first_byte(tmp_path: Path) -> None:
    busy = fault(529, error_type="overloaded_error")
    status, _, body, model = await ask(tmp_path, busy, Turn(blocks=TEXT), retries=2)
    assert status == 200
    assert json.loads(body)["content"][0]["text"].startswith("hello")
    assert len(model.requests) == 2


async def test_a_refusal_that_asks_for_a_long_wait_is_passed_on_at_once(tmp_path: Path) -> None:
    busy = fault(529, headers={"retry-after": "30"})
    status, headers, _, model = await ask(tmp_path, busy, retries=2)
    assert (status, headers["retry-after"], len(model.requests)) == (529, "30", 1)


async def test_an_upstream_that_is_down_is_a_529_that_says_so(tmp_path: Path) -> None:
    async with (
        http_model("http://127.0.0.1:9") as client,
        running_router(tmp_path, client, FakeDispatcher()) as router,
    ):
        with pytest.raises(anthropic.OverloadedError) as caught:
            await (await router.client()).messages.create(**ASKED)
    assert "the upstream cannot be reached" in str(caught.value)
    assert caught.value.response.headers["retry-after"] == "1"


CUTS = [
    Faults(cut_after_events=4),
    Faults(invalid_json_after_events=3),
    Faults(error_after_events=4),
    Faults(stall_after_events=4),
]


@pytest.mark.parametrize("faults", CUTS)
async def test_a_stream_that_breaks_ends_in_an_error_event(tmp_path: Path, faults: Faults) -> None:
    turn = Turn(blocks=TEXT, faults=faults)
    timeouts = HttpTimeouts(idle_s=0.3)
    status, _, body, _ = await ask(tmp_path, turn, stream=True, timeouts=timeouts)
    assert status == 200
    told = events_of(body)
    assert told[0]["type"] == "message_start"
    assert told[-1]["type"] == "error"
    assert told[-1]["request_id"].startswith("req_")
    assert "message_stop" not in [event["type"] for event in told]


@pytest.mark.parametrize("faults", CUTS)
async def test_a_broken_stream_is_a_clear_error_for_a_blocking_client(
    tmp_path: Path, faults: Faults
) -> None:
    turn = Turn(blocks=TEXT, faults=faults)
    timeouts = HttpTimeouts(idle_s=0.3)
    status, headers, body, _ = await ask(tmp_path, turn, timeouts=timeouts)
    assert status == (529 if faults.error_after_events else 502)
    assert error_of(body)["message"]
    assert "x-should-retry" not in headers


async def test_a_failure_after_tools_ran_may_be_repeated(tmp_path: Path) -> None:
    status, headers, _, _ = await ask(tmp_path, CALL, fault(529, error_type="overloaded_error"))
    assert status == 529
    assert "x-should-retry" not in headers


async def test_a_missing_message_stop_and_a_json_answer_are_understood(tmp_path: Path) -> None:
    for faults in (Faults(omit_message_stop=True), Faults(answer_json_to_stream=True)):
        turn = Turn(blocks=TEXT, faults=faults)
        folder = tmp_path / str(faults.omit_message_stop)
        status, _, body, _ = await ask(folder, turn, stream=True)
        assert status == 200
        assert events_of(body)[-1]["type"] == "message_stop"


async def test_the_clients_headers_and_query_go_up_and_rate_limits_come_back(
    tmp_path: Path,
) -> None:
    limits = {"anthropic-ratelimit-requests-remaining": "7", "server": "x", "request-id": "req_up"}
    model = ScriptedModel(Scenario(turns=(Turn(blocks=TEXT, headers=limits),)))
    sent = {"x-api-key": KEY, "anthropic-beta": "a,b", "anthropic-version": "2026-10-21"}
    async with (
        serving(scripted_app(model)) as upstream,
        http_model(upstream) as client,
        running_router(tmp_path, client, FakeDispatcher()) as router,
        aiohttp.ClientSession(headers=sent | OWN | KEPT_BACK) as session,
        session.post(f"{router.messages_url}?beta=true", data=json.dumps(ASKED)) as response,
    ):
        assert response.headers["anthropic-ratelimit-requests-remaining"] == "7"
        assert response.headers.getall("request-id") != ["req_up"]
        assert len(response.headers.getall("request-id")) == 1
    seen = model.request_headers[0]
    assert seen["anthropic-beta"] == "a,b"
    assert seen["anthropic-version"] == "2026-10-21"
    assert seen["x-api-key"] == "up-key"
    assert {name: seen[name] for name in OWN} == OWN
    assert not seen.keys() & KEPT_BACK.keys()
    assert model.request_queries == ["beta=true"]


async def test_a_header_that_is_sent_twice_goes_up_once_with_both_values(tmp_path: Path) -> None:
    model = ScriptedModel(Scenario(turns=(Turn(blocks=TEXT),)))
    headers = [("x-api-key", KEY), ("anthropic-beta", "a"), ("anthropic-beta", "b,c")]
    async with (
        running_router(tmp_path, model, FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
        session.post(router.messages_url, data=json.dumps(ASKED), headers=headers) as response,
    ):
        assert response.status == 200
    assert model.request_headers[0]["anthropic-beta"] == "a, b,c"
