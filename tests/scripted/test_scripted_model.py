"""The scripted model in process: it is a ModelClient, with faults and a memory."""

import json
from typing import Any

import anyio
import pytest

from auxot_tools.errors import RemoteProtocolError, Unavailable, UpstreamError
from auxot_tools.ports import ModelClient
from auxot_tools.scripted import Faults, HttpFault, Scenario, ScriptedModel, TextBlock, Turn

pytestmark = pytest.mark.anyio

HELLO = Turn(blocks=(TextBlock(text="Hello there"),))


def body(**fields: Any) -> bytes:
    messages = [{"role": "user", "content": "two words"}]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": messages, **fields}).encode()


def model_of(*turns: Turn, stall_s: float = 5) -> ScriptedModel:
    return ScriptedModel(Scenario(turns=turns), stall_s=stall_s)


async def read(model: ModelClient, request: bytes) -> bytes:
    async with model.send(request, {}) as response:
        return b"".join([chunk async for chunk in response.chunks()])


async def test_a_request_for_a_stream_gets_one_and_any_other_a_message() -> None:
    model = model_of(HELLO, HELLO)
    async with model.send(body(stream=True), {}) as response:
        assert response.content_type == "text/event-stream; charset=utf-8"
        data = b"".join([chunk async for chunk in response.chunks()])
    assert data.startswith(b"event: message_start\n")
    assert data.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    message = json.loads(await read(model, body()))
    assert message["content"] == [{"type": "text", "text": "Hello there"}]
    assert message["model"] == "m"
    assert message["usage"]["input_tokens"] == 3
    assert message["usage"]["output_tokens"] == 2
    assert model.finished == 2
    assert model.cancelled == 0


async def test_requests_are_remembered_byte_for_byte_up_to_a_bound() -> None:
    model = ScriptedModel(Scenario(turns=(HELLO,), after_last="repeat"))
    requests = [b' {"n":%d , "big": 123456789012345678901}' % number for number in range(1001)]
    for request in requests:
        async with model.send(request, {"anthropic-beta": "x"}) as response:
            assert "request-id" not in response.headers  # the port: only what a client may see
    assert model.requests == requests[1:]
    assert model.received == 1001
    assert model.request_headers[-1] == {"anthropic-beta": "x"}


async def test_an_error_status_keeps_status_wording_and_headers() -> None:
    fault = HttpFault(status=429, error_type="rate_limit_error", message="slow down")
    turn = Turn(headers={"retry-after": "7"}, faults=Faults(http=fault))
    with pytest.raises(UpstreamError) as caught:
        await read(model_of(turn), body())
    error = caught.value
    assert error.status == 429
    assert error.headers["retry-after"] == "7"
    assert json.loads(error.body)["error"] == {"type": "rate_limit_error", "message": "slow down"}


async def test_html_with_status_200_comes_as_it_is() -> None:
    fault = HttpFault(status=200, body="<html>proxy</html>", content_type="text/html")
    async with model_of(Turn(faults=Faults(http=fault))).send(body(stream=True), {}) as response:
        assert response.content_type == "text/html"
        assert [chunk async for chunk in response.chunks()] == [b"<html>proxy</html>"]


async def test_json_can_be_the_answer_where_a_stream_was_asked_for() -> None:
    model = model_of(HELLO.model_copy(update={"faults": Faults(answer_json_to_stream=True)}))
    assert json.loads(await read(model, body(stream=True)))["type"] == "message"


async def test_an_upstream_can_be_unreachable() -> None:
    with pytest.raises(Unavailable):
        await read(model_of(Turn(faults=Faults(unreachable=True))), body())


@pytest.mark.parametrize("fault", ["cut_after_events", "stall_after_events"])
async def test_a_stream_that_breaks_off_or_stalls_raises_after_what_came(fault: str) -> None:
    faults = Faults.model_validate({fault: 3})
    model = model_of(HELLO.model_copy(update={"faults": faults}), stall_s=0.01)
    async with model.send(body(stream=True), {}) as response:
        chunks = response.chunks()
        came = [await anext(chunks) for _ in range(3)]
        with pytest.raises(RemoteProtocolError):
            await anext(chunks)
    assert b"".join(came).count(b"event: ") == 3
    assert model.cancelled == 0


async def test_leaving_before_the_end_is_counted() -> None:
    model = model_of(HELLO, HELLO.model_copy(update={"faults": Faults(stall_after_events=1)}))
    async with model.send(body(stream=True), {}) as response:
        chunks = response.chunks()
        await anext(chunks)
        await chunks.aclose()
    assert model.cancelled == 1
    with anyio.move_on_after(0.05):
        await read(model, body(stream=True))
    assert model.cancelled == 2
    assert model.finished == 0


@pytest.mark.parametrize("request_body", [b"{", b"[1]", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_a_400(request_body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        await read(model_of(HELLO), request_body)
    assert caught.value.status == 400


async def test_a_scenario_at_its_end_is_a_500_that_says_so() -> None:
    model = model_of(HELLO)
    await read(model, body())
    with pytest.raises(UpstreamError) as caught:
        await read(model, body())
    assert caught.value.status == 500
    assert b"The scenario has 1 turn; turn 2 was asked for." in caught.value.body


async def test_the_same_request_at_the_same_place_gets_the_same_bytes() -> None:
    first = await read(model_of(HELLO), body(stream=True))
    assert first == await read(model_of(HELLO), body(stream=True))
