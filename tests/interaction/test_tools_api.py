"""The tools API over HTTP: what is offered, and one call with its whole answer."""

import base64
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.router.services import RouterLimits
from auxot_tools.types import Artifact, CallLimits, InputFile, Status, ToolSpec
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec
from tests.support.running import CHEAP
from tests.support.tools_api import ToolsClient, client_of, tools_api

pytestmark = pytest.mark.anyio

ECHO = {"tool": "echo", "arguments": {"a": 1}}
OTHER_KEY = "rtr_the-key-of-bob"
NOT_OFFERED = 'the tool "{}" is not offered to this key; GET tools lists those that are.'


def scripted(status: Status, text: str = "no", **more: Any) -> FakeDispatcher:
    tool = FakeTool(tool_spec("echo"), status=status, reply=lambda _: text, **more)
    return FakeDispatcher([tool])


def add_key(client: ToolsClient, name: str = "bob", **limits: Any) -> None:
    entry = KeyEntry(name=name, hash=CHEAP.hash(OTHER_KEY), **limits)
    append_key(client.router.keys_file, entry)


# -- what is offered -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["tools", "list", "tools/", "tools?x=1"])
async def test_tools_are_listed_with_their_schemas_under_both_names(
    tmp_path: Path, path: str
) -> None:
    schema = {"type": "object", "properties": {"n": {"const": 12345678901234567890123}}}
    spec = ToolSpec("echo", "Says it again.", schema, title="Echo")
    dispatcher = FakeDispatcher([FakeTool(spec), echo_tool("plain"), echo_tool("hidden")])
    async with tools_api(tmp_path, dispatcher, allowed=("echo", "plain", "ghost")) as client:
        got = await client.get(path)
    assert got.status == 200
    first, second = got.body["tools"]
    assert first == {
        "name": "echo",
        "title": "Echo",
        "description": "Says it again.",
        "parameters": schema,
        "input_schema": schema,
        "available": True,
    }
    assert (second["name"], "title" in second) == ("plain", False)
    assert got.body["workers"] == 1


async def test_without_a_worker_the_list_is_empty_and_says_so(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    async with tools_api(tmp_path, dispatcher) as client:
        assert (await client.get("tools")).body["workers"] == 1
        dispatcher.list_error = Unavailable("gone")
        got = await client.get("tools")
    assert (got.status, got.body) == (200, {"tools": [], "workers": 0})


async def test_two_keys_see_and_may_call_only_their_own_tools(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([echo_tool(name) for name in ("a", "b", "c")])
    key = {"allowed_tools": ("a", "c")}
    async with tools_api(tmp_path, dispatcher, allowed=("a", "b"), key=key) as client:
        add_key(client, allowed_tools=("b",))
        async with client_of(client.router, OTHER_KEY) as other:
            lists = [(await one.get("tools")).body["tools"] for one in (client, other)]
            answers = [
                (await one.execute({"tool": name})).status
                for one in (client, other)
                for name in ("a", "b", "c")
            ]
    assert [[tool["name"] for tool in tools] for tools in lists] == [["a"], ["b"]]
    assert answers == [200, 403, 403, 403, 200, 403]
    assert [(call.name, call.tenant) for call in dispatcher.calls] == [
        ("a", "tester"),
        ("b", "bob"),
    ]


@pytest.mark.parametrize("name", ["secret", "ghost", "no_such", "ä\ud800\x1b", "x" * 5000, "../a"])
async def test_a_tool_that_is_not_offered_is_refused_alike_whether_it_exists_or_not(
    tmp_path: Path, name: str
) -> None:
    dispatcher = FakeDispatcher([echo_tool(), echo_tool("secret")])
    async with tools_api(tmp_path, dispatcher, allowed=("echo", "ghost")) as client:
        got = await client.execute({"tool": name})
    shown = name if len(name) <= 64 else f"{name[:64]}…"
    assert got.error == (403, "permission_error", NOT_OFFERED.format(shown))
    assert dispatcher.calls == []


async def test_an_empty_allow_list_offers_nothing(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    async with tools_api(tmp_path, dispatcher, allowed=()) as client:
        listed, got = await client.get("tools"), await client.execute(ECHO)
    assert listed.body == {"tools": [], "workers": 1}
    assert got.error[:2] == (403, "permission_error")


# -- one call --------------------------------------------------------------------------------------


async def test_a_call_is_answered_with_its_whole_result(tmp_path: Path) -> None:
    artifact = Artifact("plot.png", "image/png", b"\x89PNG" * 200_000)
    members = {"artifacts": (artifact,), "duration_s": 0.25, "output_handle": "h", "signal": 9}
    tool = FakeTool(tool_spec("echo"), exit_code=None, members=members)
    dispatcher = FakeDispatcher([tool])
    async with tools_api(tmp_path, dispatcher) as client:
        got = await client.execute(ECHO)
    (call,) = dispatcher.calls
    assert got.status == 200
    assert got.body == {
        "tool": "echo",
        "result": {"a": 1},
        "content": [{"type": "text", "text": '{"a":1}'}],
        "is_error": False,
        "status": "completed",
        "signal": 9,
        "output_handle": "h",
        "artifacts": [
            {
                "name": "plot.png",
                "media_type": "image/png",
                "data": base64.b64encode(artifact.data).decode(),
            }
        ],
        "tool_use_id": call.tool_use_id,
        "duration_ms": 250,
    }
    assert call.tool_use_id.startswith("toolu_")


async def test_a_call_carries_what_its_request_says(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    body = ECHO | {
        "session": "s1",
        "timeout_seconds": 2,
        "idempotency_key": "once",
        "files": [{"name": "in.txt", "data": "aGk="}],
    }
    async with tools_api(tmp_path, dispatcher, limits=RouterLimits(call_timeout_s=7.0)) as client:
        got = await client.execute(body, traceparent="00-1-2-3")
    ((call,), (deadline,)) = dispatcher.calls, dispatcher.deadlines
    assert (call.tenant, call.session, call.name) == ("tester", "container:s1", "echo")
    assert (call.input_json, call.idempotency_key) == (b'{"a":1}', "once")
    assert call.limits == CallLimits(timeout_s=2.0)
    assert call.files == (InputFile("in.txt", b"hi"),)
    assert call.trace_context == {"traceparent": "00-1-2-3"}
    assert call.request_id == got.headers["request-id"]
    assert deadline.remaining_s() < 7.0


async def test_a_session_is_the_bodys_or_the_headers_or_this_requests_own(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher()
    async with tools_api(tmp_path, dispatcher) as client:
        await client.execute(ECHO | {"session": "a"}, auxot_session="b")
        await client.execute(ECHO, auxot_session="b")
        await client.execute(ECHO)
        await client.execute(ECHO | {"session": ""})
        await client.execute(ECHO | {"session": "x" * 100_000})
    named = [call.session for call in dispatcher.calls]
    assert named[:2] == ["container:a", "b"]
    assert len(set(named)) == 5
    assert all(0 < len(name) <= 200 for name in named)


FAILURES = {
    Status.INVALID_ARGUMENTS: (400, "invalid_request_error", "no."),
    Status.DENIED: (403, "permission_error", "no."),
    Status.UNKNOWN_TOOL: (404, "not_found_error", "supports"),
    Status.TIMED_OUT: (500, "tool_error", "tool execution error: no."),
    Status.INTERNAL: (500, "tool_error", "tool execution error: no."),
}


@pytest.mark.parametrize("status", FAILURES)
async def test_a_failed_call_is_an_error_answer_that_keeps_the_result(
    tmp_path: Path, status: Status
) -> None:
    async with tools_api(tmp_path, scripted(status, "no.")) as client:
        got = await client.execute(ECHO)
    code, kind, words = FAILURES[status]
    assert got.error[:2] == (code, kind)
    assert words in got.error[2]
    assert (got.body["status"], got.body["is_error"]) == (str(status), True)
    assert got.body["content"] == [{"type": "text", "text": "no."}]
    assert got.headers["x-should-retry"] == "false"


async def test_a_call_that_could_not_begin_may_be_sent_again(tmp_path: Path) -> None:
    async with tools_api(tmp_path, scripted(Status.UNAVAILABLE, starts=False)) as client:
        got = await client.execute(ECHO)
    assert got.error == (503, "service_unavailable", "no")
    assert got.headers["retry-after"] == "1"
    assert "x-should-retry" not in got.headers


async def test_without_a_worker_a_call_is_a_503(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("the tools worker does not answer"))
    async with tools_api(tmp_path, dispatcher) as client:
        got = await client.execute(ECHO)
    assert got.error == (503, "service_unavailable", "The tools worker does not answer.")
    assert got.headers["retry-after"] == "1"


async def test_a_dispatcher_that_raises_is_a_failure_without_its_words(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), error=RuntimeError("a secret"))])
    async with tools_api(tmp_path, dispatcher) as client:
        got = await client.execute(ECHO)
    assert got.error[:2] == (500, "tool_error")
    assert "secret" not in got.text


async def test_a_result_that_cannot_be_written_is_a_fault_of_ours(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    members = {"content": ({"type": "text", "text": "x", "deep": deep},)}
    dispatcher = FakeDispatcher([FakeTool(tool_spec("echo"), members=members)])
    async with tools_api(tmp_path, dispatcher) as client:
        got = await client.execute(ECHO)
        streamed = await client.execute(ECHO | {"stream": True})
    assert got.error == (500, "api_error", "Internal error in the router.")
    assert got.headers["x-should-retry"] == "false"
    assert streamed.events[-1]["error"]["message"] == "Internal error in the router."
