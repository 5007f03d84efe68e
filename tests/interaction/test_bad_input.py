"""Every bad request gets an Anthropic error body, a request id, and nothing hangs."""

import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.router.keys import WRONG_KEYS_PER_MINUTE
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import KEY, Router, running_router

pytestmark = pytest.mark.anyio

GOOD: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}
HELLO = Scenario(turns=(Turn(blocks=(TextBlock(text="hello"),)),), after_last="repeat")


async def post(
    router: Router, data: bytes | io.BytesIO, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    sent = {"x-api-key": KEY} if headers is None else headers
    async with (
        aiohttp.ClientSession() as session,
        session.post(router.messages_url, data=data, headers=sent) as response,
    ):
        body = json.loads(await response.read())
        return response.status, body, {k.lower(): v for k, v in response.headers.items()}


def told(body: Any) -> tuple[str, str]:
    assert body["type"] == "error"
    assert body["request_id"].startswith("req_")
    return body["error"]["type"], body["error"]["message"]


ABSENT = object()


def body(**changes: Any) -> bytes:
    changed = {key: value for key, value in (GOOD | changes).items() if value is not ABSENT}
    return json.dumps(changed).encode()


BODIES: list[tuple[bytes, str]] = [
    (b"", "The request body is empty; a JSON object is expected."),
    (b'{"model": "m", "max', "The request body is not valid JSON"),
    (b"[1]", "The request body must be a JSON object."),
    (body(messages=[]), "messages: at least one message is required"),
    (body(max_tokens=ABSENT), "max_tokens: Field required"),
    (body(max_tokens=-1), "max_tokens: Input should be greater than"),
    (body(max_tokens=1.5), "max_tokens: Input should be a valid integer"),
    (body(max_tokens="9"), "max_tokens: Input should be a valid integer"),
    (body(stream=1), "stream: Input should be a valid boolean"),
]


@pytest.mark.parametrize(("data", "message"), BODIES)
async def test_a_bad_body_is_a_400_that_names_what_is_wrong(
    tmp_path: Path, data: bytes, message: str
) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, body, headers = await post(router, data)
    assert status == 400
    kind, text = told(body)
    assert kind == "invalid_request_error"
    assert text.startswith(message)
    assert headers["request-id"] == body["request_id"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"authorization": KEY},
        {"authorization": "Basic " + KEY},
        {"authorization": "Bearer wrong"},
        {"x-api-key": "x" * 10_000},
    ],
)
async def test_a_missing_or_wrong_key_is_a_401_that_no_client_repeats(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    model = ScriptedModel(HELLO)
    async with running_router(tmp_path, model, FakeDispatcher()) as router:
        status, body, answered = await post(router, json.dumps(GOOD).encode(), headers)
    assert status == 401
    assert told(body)[0] == "authentication_error"
    assert answered["x-should-retry"] == "false"
    assert model.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": KEY},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x-api-key": "stale", "authorization": f"Bearer {KEY}"},
        {"x-api-key": KEY, "authorization": "Bearer stale"},
    ],
)
async def test_either_header_may_hold_the_key(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, _, _ = await post(router, json.dumps(GOOD).encode(), headers)
    assert status == 200


async def test_wrong_keys_are_limited_before_they_are_hashed(tmp_path: Path) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        for number in range(WRONG_KEYS_PER_MINUTE):
            status, _, _ = await post(router, b"{}", {"x-api-key": f"wrong-{number}"})
            assert status == 401
        status, body, headers = await post(router, b"{}", {"x-api-key": "one more"})
    assert status == 429
    assert told(body)[0] == "rate_limit_error"
    assert 1 <= int(headers["retry-after"]) <= 61


async def test_a_body_of_33_mb_is_a_413(tmp_path: Path) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, body, _ = await post(router, io.BytesIO(b" " * 33_000_000))
    assert status == 413
    assert told(body)[0] == "request_too_large"


async def test_a_body_that_grows_beyond_the_limit_without_saying_so_is_a_413(
    tmp_path: Path,
) -> None:
    async def grow() -> Any:
        for _ in range(64):
            yield b" " * 1024

    limits = RouterLimits(max_body_bytes=10_000)
    async with (
        running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher(), limits=limits) as router,
        aiohttp.ClientSession() as session,
        session.post(router.messages_url, data=grow(), headers={"x-api-key": KEY}) as response,
    ):
        assert response.status == 413


SHOWN = {"type": "mcp_tool_use", "id": "mcptoolu_auxot_a", "name": "echo", "server_name": "auxot"}
WRONG_RESULT = {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_auxot_a", "content": 5}


def nested(depth: int) -> bytes:
    return b'{"metadata":' + b"[" * depth + b"]" * depth + b"," + body()[1:]


@pytest.mark.parametrize(
    "data",
    [
        body(messages=[{"role": "assistant", "content": [SHOWN, WRONG_RESULT]}]),
        nested(940),
        nested(960),
        nested(980),
        nested(20_000),
        nested(975)[:-1] + b',"padding":"' + b"x" * 300_000 + b'"}',
    ],
)
async def test_what_cannot_be_carried_is_a_400_and_never_a_500(tmp_path: Path, data: bytes) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, answered, _ = await post(router, data)
    if status != 200:  # what can be carried after all is served
        assert (status, told(answered)[0]) == (400, "invalid_request_error")


async def test_odd_tools_pass_for_the_upstream_to_judge(tmp_path: Path) -> None:
    data = body(tools=[{"name": []}, {"type": "odd"}])
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, _, _ = await post(router, data)
    assert status == 200


async def test_a_forged_forwarded_for_header_does_not_lift_the_limit_on_wrong_keys(
    tmp_path: Path,
) -> None:
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        for number in range(WRONG_KEYS_PER_MINUTE + 1):
            forged = {"x-api-key": f"wrong-{number}", "x-forwarded-for": f"203.0.113.{number}"}
            status, _, _ = await post(router, b"{}", forged)
    assert status == 429


async def test_every_answer_has_one_request_id(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(router.messages_url, data=body()) as response,
    ):
        assert len(response.headers.getall("request-id")) == 1


async def test_max_tokens_zero_is_served(tmp_path: Path) -> None:
    model = ScriptedModel(Scenario(turns=(Turn(),)))
    async with running_router(tmp_path, model, FakeDispatcher()) as router:
        status, body, _ = await post(router, json.dumps(GOOD | {"max_tokens": 0}).encode())
    assert status == 200
    assert json.loads(model.requests[0])["max_tokens"] == 0
    assert body["content"] == []


async def test_threads_get_the_code_on_which_the_sdks_fall_back(tmp_path: Path) -> None:
    data = json.dumps(GOOD | {"thread": {"type": "create"}}).encode()
    async with running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router:
        status, body, _ = await post(router, data)
    assert status == 400
    assert body["error"]["details"] == {"error_code": "thread_unsupported_request"}


@pytest.mark.parametrize("path", ["/", "/v1/messages", "/api/anthropic/v1/message"])
async def test_an_unknown_path_is_a_404_that_names_the_right_one(tmp_path: Path, path: str) -> None:
    async with (
        running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
        session.post(router.origin + path) as response,
    ):
        body = await response.json()
    assert response.status == 404
    kind, text = told(body)
    assert kind == "not_found_error"
    assert "/api/anthropic/v1/messages" in text
    assert response.headers["request-id"] == body["request_id"]


async def test_a_wrong_method_is_a_405_with_an_error_body(tmp_path: Path) -> None:
    async with (
        running_router(tmp_path, ScriptedModel(HELLO), FakeDispatcher()) as router,
        aiohttp.ClientSession() as session,
        session.get(router.messages_url) as response,
    ):
        assert response.status == 405
        assert response.headers["allow"] == "POST, HEAD"
        assert told(await response.json())


async def test_a_worker_that_was_never_there_is_a_503_that_says_so(tmp_path: Path) -> None:
    text = "the tools worker at 127.0.0.1:9 does not answer"
    dispatcher = FakeDispatcher(list_error=Unavailable(text))
    async with running_router(tmp_path, ScriptedModel(HELLO), dispatcher) as router:
        status, body, headers = await post(router, json.dumps(GOOD).encode())
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{router.origin}/health") as health,
        ):
            assert (await health.json())["worker"] == "unreachable"
    assert status == 503
    assert text[1:] in told(body)[1]
    assert headers["retry-after"] == "1"


async def test_a_fault_of_ours_is_a_500_without_its_inner_words(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher(list_error=ZeroDivisionError("secret inner words"))
    async with running_router(tmp_path, ScriptedModel(HELLO), dispatcher) as router:
        status, body, _ = await post(router, json.dumps(GOOD).encode())
    assert status == 500
    assert told(body) == ("api_error", "Internal error in the router.")


async def test_more_requests_than_allowed_are_turned_away(tmp_path: Path) -> None:
    limits = RouterLimits(max_concurrent_requests=0)
    async with running_router(
        tmp_path, ScriptedModel(HELLO), FakeDispatcher(), limits=limits
    ) as router:
        status, body, headers = await post(router, json.dumps(GOOD).encode())
    assert status == 529
    assert told(body)[0] == "overloaded_error"
    assert headers["retry-after"] == "1"
