"""The scripted model over HTTP: a real upstream on a socket, for the official SDK too."""

import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anthropic
import anyio
import pytest
import uvicorn
from anyio.abc import ByteStream

from auxot_tools.scripted import (
    Faults,
    HttpFault,
    Scenario,
    ScriptedModel,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
    demo_model,
    scripted_app,
)

pytestmark = pytest.mark.anyio

TURN = Turn(
    blocks=(
        ThinkingBlock(thinking="hm", signature="c2ln"),
        TextBlock(text="Hello there"),
        ToolUseBlock(id="toolu_1", name="t", input={"a": 1}),
    ),
    stop_reason="tool_use",
)


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as ``condition`` holds; fails after 10 s."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.005)


@asynccontextmanager
async def served(model: ScriptedModel) -> AsyncGenerator[int, None]:
    """The port of a uvicorn server that plays ``model``."""
    config = uvicorn.Config(scripted_app(model), log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            await until(lambda: server.started)
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True


def model_of(*turns: Turn) -> ScriptedModel:
    return ScriptedModel(Scenario(turns=turns))


def client_of(port: int) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        base_url=f"http://127.0.0.1:{port}", api_key="k", max_retries=0, timeout=10
    )


async def exchange(port: int, raw: bytes) -> bytes:
    """Send raw bytes and read until the server closes."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(raw)
        return await read_all(stream)


async def read_all(stream: ByteStream) -> bytes:
    data = b""
    with anyio.fail_after(10):
        try:
            while True:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return data


def post(body: bytes, path: str = "/v1/messages") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def test_the_official_sdk_reads_it_blocking_and_streaming() -> None:
    model = model_of(TURN, TURN)
    async with served(model) as port, client_of(port) as client:
        question: anthropic.types.MessageParam = {"role": "user", "content": "hi"}
        whole = await client.messages.create(model="m", max_tokens=9, messages=[question])
        async with client.messages.stream(model="m", max_tokens=9, messages=[question]) as stream:
            streamed = await stream.get_final_message()
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use"]
    assert streamed.to_dict()["content"] == whole.to_dict()["content"]
    assert streamed.stop_reason == whole.stop_reason == "tool_use"
    assert json.loads(model.requests[1])["stream"] is True
    assert model.finished == 2


async def test_error_statuses_reach_the_sdk_with_their_headers() -> None:
    fault = HttpFault(status=529, error_type="overloaded_error", message="busy")
    turn = Turn(headers={"retry-after": "3"}, faults=Faults(http=fault))
    async with served(model_of(turn)) as port, client_of(port) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
            )
    assert caught.value.status_code == 529
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.response.headers["request-id"].startswith("req_")


async def test_a_cut_drops_the_connection_in_the_middle_of_the_body() -> None:
    turn = TURN.model_copy(update={"faults": Faults(cut_after_events=2)})
    async with served(model_of(turn)) as port:
        data = await exchange(port, post(b'{"stream": true}'))
    assert data.startswith(b"HTTP/1.1 200")
    assert data.count(b"event: ") == 2
    assert not data.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_is_noticed() -> None:
    model = model_of(TURN.model_copy(update={"faults": Faults(stall_after_events=2)}))
    async with served(model) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(post(b'{"stream": true}'))
            await stream.receive()
            assert model.cancelled == 0
        await until(lambda: model.cancelled == 1)
    assert model.finished == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (post(b"{}", "/v1/models"), b"404"),
        (b"GET /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
        (post(b"{"), b"400"),
        (post(b"{}", "/api/anthropic/v1/messages"), b"200"),
    ],
)
async def test_only_posts_to_messages_are_answered(raw: bytes, status: bytes) -> None:
    async with served(model_of(TURN)) as port:
        data = await exchange(port, raw)
    assert data.split(b" ")[1] == status


async def test_an_unreachable_upstream_is_a_503_here() -> None:
    async with served(model_of(Turn(faults=Faults(unreachable=True)))) as port:
        assert (await exchange(port, post(b"{}"))).split(b" ")[1] == b"503"


async def test_the_demo_speaks_to_the_official_sdk() -> None:
    async with served(demo_model(delta_delay_s=0)) as port, client_of(port) as client:
        streaming = client.messages.stream(
            model="demo",
            max_tokens=100,
            messages=[{"role": "user", "content": "run this python: print(1)"}],
            tools=[{"name": "code_executor", "input_schema": {"type": "object"}}],
        )
        async with streaming as stream:
            message = await stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert message.content[-1].to_dict()["input"] == {"language": "python", "code": "print(1)"}
