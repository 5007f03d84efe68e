"""The tools API over HTTP: keys and their limits, calls that end early, and every mistake."""

import json
from pathlib import Path

import anyio
import pytest

from auxot_tools.router.services import RouterLimits
from tests.router.test_execute_request import WRONG, body_of
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.tools_api import client_of, tools_api

pytestmark = pytest.mark.anyio

ECHO = {"tool": "echo", "arguments": {"a": 1}}


# -- keys and limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["tools", "execute", "approvals", "approvals/a1"])
@pytest.mark.parametrize("key", ["", "rtr_wrong"])
async def test_nothing_is_told_without_a_valid_key(tmp_path: Path, path: str, key: str) -> None:
    dispatcher = FakeDispatcher()
    method = "GET" if path in ("tools", "approvals") else "POST"
    async with tools_api(tmp_path, dispatcher) as mine, client_of(mine.router, key) as client:
        got = await client.ask(method, path, ECHO if method == "POST" else None)
    assert got.error[:2] == (401, "authentication_error")
    assert dispatcher.calls == []


async def test_requests_of_a_minute_are_counted_with_those_for_messages(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    async with tools_api(tmp_path, dispatcher, key={"requests_per_minute": 2}) as client:
        answers = [await client.execute(ECHO) for _ in range(3)]
    assert [got.status for got in answers] == [200, 200, 429]
    assert answers[2].error[:2] == (429, "rate_limit_error")
    assert int(answers[2].headers["retry-after"]) >= 1
    assert len(dispatcher.calls) == 2


@pytest.mark.parametrize("limit", ["concurrent_requests", "concurrent_calls"])
async def test_more_calls_at_once_than_a_key_may_have_are_refused(
    tmp_path: Path, limit: str
) -> None:
    go = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), until=go)])
    answers = []
    async with tools_api(tmp_path, dispatcher, key={limit: 1}) as client:

        async def first() -> None:
            answers.append(await client.execute(ECHO))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await dispatcher.until(lambda fake: fake.running == 1)
            refused = await client.execute(ECHO)
            go.set()
        again = await client.execute(ECHO)
    assert refused.error[:2] == (429, "rate_limit_error")
    assert [answers[0].status, again.status] == [200, 200]


async def test_a_call_that_outlives_the_routers_limit_is_stopped(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    limits = RouterLimits(call_timeout_s=0.2)
    async with tools_api(tmp_path, dispatcher, limits=limits) as client:
        got = await client.execute(ECHO)
    assert got.error[:2] == (500, "tool_error")
    assert got.body["status"] == "timed_out"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_call(tmp_path: Path, stream: bool) -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    key = {"concurrent_calls": 1}
    async with tools_api(tmp_path, dispatcher, key=key) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.execute, ECHO | {"stream": stream})
            await dispatcher.until(lambda fake: fake.running == 1)
            tasks.cancel_scope.cancel()
        await dispatcher.until(lambda fake: fake.running == 0)
        with anyio.fail_after(5):
            while client.router.app.running:
                await anyio.lowlevel.checkpoint()
    assert len(dispatcher.cancelled) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_router_that_stops_ends_its_calls_with_an_error(
    tmp_path: Path, stream: bool
) -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), hangs=True)])
    answers = []
    async with tools_api(tmp_path, dispatcher) as client:

        async def call() -> None:
            answers.append(await client.execute(ECHO | {"stream": stream}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await dispatcher.until(lambda fake: fake.running == 1)
            client.router.app.give_up()
        later = await client.execute(ECHO)
    (got,) = answers
    told = got.events[-1] if stream else got.body
    words = {"type": "service_unavailable", "message": "The router is stopping."}
    assert (told["type"], told["error"]) == ("error", words)
    assert got.status == (200 if stream else 503)
    assert stream or got.headers["x-should-retry"] == "false"
    assert later.error == (503, "service_unavailable", "The router is stopping.")
    assert len(dispatcher.cancelled) == 1


# -- mistakes --------------------------------------------------------------------------------------


async def test_every_malformed_body_is_a_400_and_none_reaches_a_tool(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([echo_tool("t")])
    async with tools_api(tmp_path, dispatcher, allowed=("t",)) as client:
        for title, (wrong, words) in WRONG.items():
            got = await client.ask("POST", "execute", body_of(wrong))
            assert (title, *got.error[:2]) == (title, 400, "invalid_request_error")
            assert words in got.error[2]
    assert len(WRONG) >= 30
    assert dispatcher.calls == []


async def test_a_body_that_is_too_large_is_a_413(tmp_path: Path) -> None:
    limits = RouterLimits(max_body_bytes=1000)
    async with tools_api(tmp_path, FakeDispatcher(), limits=limits) as client:
        got = await client.execute(ECHO | {"x": "y" * 1000})
    assert got.error[:2] == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "tools", "GET, HEAD"),
        ("DELETE", "list", "GET, HEAD"),
        ("GET", "execute", "POST, HEAD"),
        ("POST", "approvals", "GET, HEAD"),
        ("GET", "approvals/a1", "POST, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(
    tmp_path: Path, method: str, path: str, allow: str
) -> None:
    async with tools_api(tmp_path, FakeDispatcher()) as client:
        got = await client.ask(method, path)
    assert got.error[:2] == (405, "invalid_request_error")
    assert got.headers["allow"] == allow
    assert "POST /api/tools/v1/execute" in got.error[2]


@pytest.mark.parametrize("path", ["", "nothing", "execute/x", "approvals/a/b", "../x", "v1/tools"])
async def test_an_unknown_path_is_told_the_right_ones(tmp_path: Path, path: str) -> None:
    async with tools_api(tmp_path, FakeDispatcher()) as client:
        got = await client.ask("POST", path, ECHO)
    assert got.error[:2] == (404, "not_found_error")
    assert "POST /api/tools/v1/execute" in got.error[2]


async def test_web_pages_that_may_use_the_router_may_use_its_tools(tmp_path: Path) -> None:
    origin = "https://page.example"
    asked = {"origin": origin, "access-control-request-method": "POST"}
    async with tools_api(tmp_path, FakeDispatcher(), cors_origins=(origin,)) as client:
        preflight = await client.ask("OPTIONS", "execute", headers=asked)
        got = await client.execute(ECHO, origin=origin)
        head = await client.ask("HEAD", "tools")
    assert preflight.headers["access-control-allow-origin"] == origin
    assert got.headers["access-control-allow-origin"] == origin
    assert (head.status, head.text) == (200, "")


async def test_the_log_names_key_and_tool_and_no_contents(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="auxot_tools")
    async with tools_api(tmp_path, FakeDispatcher()) as client:
        await client.execute({"tool": "echo", "input": {"a": "contents"}})
        await client.execute({"tool": "forbidden\n", "input": {"a": "contents"}})
    lines = [record.getMessage() for record in caplog.records if "execute" in record.getMessage()]
    assert len(lines) == 2
    assert "key=tester tool=echo: 200" in lines[0]
    assert "key=tester: 403" in lines[1]
    assert "contents" not in json.dumps(lines)
