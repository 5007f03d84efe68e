"""The whole worker against the stand-in of Auxot's router: jobs, refusals, policies, stops."""

import json
import logging
from typing import Any

import anyio
import pytest

from auxot_tools.types import Status, ToolCall
from tests.support.auxot_router import TOOLS_KEY, auxot_router
from tests.support.connected_worker import connected
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec

pytestmark = pytest.mark.anyio


def tools(*names: str) -> FakeDispatcher:
    return FakeDispatcher([echo_tool(name) for name in names])


async def test_a_job_is_run_and_answered_with_all_that_it_named() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        begun = await router.call("echo", {"a": [1, 2.5, 10**30]})
        assert begun.result() == {"a": [1, 2.5, 10**30]}
        (told,) = router.frames_of("tool_result")
        (job,) = begun.jobs
        for name in ("job_id", "parent_job_id", "tool_call_id", "tool_name"):
            assert told[name] == job[name]
        assert told["duration_ms"] >= 0
        assert "error" not in told


async def test_hello_is_what_auxots_worker_says_with_the_tools_in_order() -> None:
    async with auxot_router() as router, connected(router, tools("b", "a")):
        assert router.link.hello == {
            "type": "hello",
            "gpu_key": TOOLS_KEY,
            "worker_type": "tools",
            "capabilities": {"backend": "", "model": "", "ctx_size": 0},
            "tools_capabilities": {"tools": ["a", "b"]},
        }


async def test_the_calls_of_a_turn_run_side_by_side_up_to_the_limit() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate)])
    async with auxot_router() as router, connected(router, dispatcher, concurrent_jobs=3):
        begun = await router.begin(*[("wait", {})] * 5)
        await dispatcher.until(lambda fake: fake.running == 3)
        gate.set()
        await router.over(begun)
        assert dispatcher.most_running == 3
        assert len(begun.results) == 5


async def test_a_job_beyond_the_line_is_answered_at_once() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate)])
    limits: Any = {"concurrent_jobs": 1, "max_waiting": 1}
    async with auxot_router() as router, connected(router, dispatcher, **limits):
        begun = await router.begin(*[("wait", {})] * 3)
        await router.until(lambda: bool(begun.results))
        assert begun.error("call_2").startswith("The worker is busy: 2 jobs run or wait")
        gate.set()
        await router.over(begun)


async def test_a_job_that_gets_no_turn_in_its_time_says_so() -> None:
    release = anyio.Event()
    slow = FakeTool(tool_spec("wait"), hangs=True, clean_up=release.wait)
    limits: Any = {"concurrent_jobs": 1, "job_timeout_s": 0.05}
    async with auxot_router() as router, connected(router, FakeDispatcher([slow]), **limits):
        begun = await router.begin(*[("wait", {})] * 2)
        await router.until(lambda: "call_1" in begun.results)
        assert begun.error("call_1").startswith("The job had no turn within 0.05 s")
        release.set()
        await router.over(begun)
        assert begun.error("call_0") == "The call ran out of time."


async def test_a_job_sent_twice_is_run_once_and_answered_once() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate)])
    async with auxot_router() as router, connected(router, dispatcher):
        begun = await router.begin(("wait", {}), ("wait", {}))
        await router.link.send(**begun.jobs[0])
        gate.set()
        await router.over(begun)
        await router.link.send(**begun.jobs[1])
        await router.call("wait", {})  # the repeat came before it
        assert len(dispatcher.calls) == 3
        assert len(router.frames_of("tool_result")) == 3
        assert router.dropped == []
        assert set(begun.results) == {"call_0", "call_1"}


async def test_a_cancelled_job_is_stopped_and_answered() -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), hangs=True)])
    async with auxot_router() as router, connected(router, dispatcher):
        begun = await router.begin(("wait", {}))
        await dispatcher.until(lambda fake: fake.running == 1)
        await router.link.send(type="cancel", job_id="of nobody")
        await router.link.send(type="cancel", job_id=begun.jobs[0]["job_id"])
        await router.over(begun)
        assert begun.error().startswith("Cancelled: the router gave this job up")
        assert dispatcher.cancelled == [begun.jobs[0]["job_id"]]


async def test_whose_call_it_is_comes_from_the_key_the_thread_and_the_request() -> None:
    dispatcher = FakeDispatcher()
    async with auxot_router() as router, connected(router, dispatcher, tenant="auxot-1"):
        first = await router.call("echo", {})
        await router.call("echo", {}, thread_id="thread-9")
        alone, threaded = dispatcher.calls
        parent = first.parent_job_id
        assert (alone.tenant, alone.session, alone.request_id) == ("auxot-1", parent, parent)
        assert (threaded.tenant, threaded.session) == ("auxot-1", "thread-9")
        assert alone.tool_use_id == first.jobs[0]["job_id"]


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"mcp_package": "@x/y"}, "MCP servers are not supported by this worker yet"),
        ({"MCP_URL": "https://x.example"}, "MCP servers are not supported by this worker yet"),
        ({"tool_name": "nothing"}, 'unknown tool: "nothing". Tools here: echo.'),
        ({"credentials": {"PATH": "/x"}}, "The variable PATH is not for a tool to set"),
        ({"credentials": {"A": 1}}, "The job cannot be read: credentials must hold strings."),
        ({"credentials": ["a"]}, "The job cannot be read: credentials must be an object."),
    ],
)
async def test_a_job_that_cannot_be_run_is_answered_with_the_reason(
    job: dict[str, object], said: str
) -> None:
    def fault(credentials: object) -> str:
        is_path = "PATH" in str(credentials)
        return "The variable PATH is not for a tool to set: x." if is_path else ""

    dispatcher = FakeDispatcher()
    async with auxot_router() as router, connected(router, dispatcher, credential_fault=fault):
        begun = await router.call("echo", {}, **job)
        assert said in begun.error()
        assert dispatcher.calls == []


async def test_credentials_of_a_job_reach_its_call_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    dispatcher = FakeDispatcher()
    async with auxot_router() as router, connected(router, dispatcher):
        await router.call("echo", {}, credentials={"KEY": "s3cret-of-the-job"})
        (call,) = dispatcher.calls
        assert call.credentials == {"KEY": "s3cret-of-the-job"}
        assert "s3cret" not in repr(call)
        assert "s3cret" not in caplog.text
        assert TOOLS_KEY not in caplog.text


async def test_a_fault_of_ours_is_an_answer_too() -> None:
    broken = FakeTool(tool_spec("broken"), error=RuntimeError("secret detail"))
    async with auxot_router() as router, connected(router, FakeDispatcher([broken])):
        begun = await router.call("broken", {})
        assert begun.error().startswith("The worker made a mistake of its own")
        assert "secret" not in begun.error()


async def test_images_go_as_image_parts_and_errors_as_errors() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = ({"type": "text", "text": "drawn"}, {"type": "image", "source": source})
    drawing = FakeTool(tool_spec("draw"), members={"content": content})
    failing = FakeTool(tool_spec("fail"), status=Status.TIMED_OUT, reply=lambda _call: "Too slow.")
    async with auxot_router() as router, connected(router, FakeDispatcher([drawing, failing])):
        begun = await router.call("draw", {})
        assert begun.result() == "drawn"
        parts = begun.results["call_0"]["image_parts"]
        assert parts == [{"mime_type": "image/png", "data": "aGk="}]
        failed = await router.call("fail", {})
        assert failed.error() == "Too slow."
        assert "result" not in failed.results["call_0"]


async def test_a_text_that_is_json_is_told_as_json_and_other_text_as_it_is() -> None:
    def reply(call: ToolCall) -> str:
        return str(json.loads(call.input_json)["say"])

    said = FakeTool(tool_spec("say"), reply=reply)
    async with auxot_router() as router, connected(router, FakeDispatcher([said])):
        for text, told in (('{"a": 1}', {"a": 1}), ("12", 12), ("NaN", "NaN"), ("{", "{")):
            assert (await router.call("say", {"say": text})).result() == told


async def test_only_what_the_operator_allows_is_offered_and_run() -> None:
    async with (
        auxot_router() as router,
        connected(router, tools("a", "b", "c"), allowed=["a", "c", "x"]),
    ):
        assert router.link.tools == ["a", "c"]
        begun = await router.call("b", {})
        assert begun.error() == 'The operator of this worker does not allow the tool "b".'


async def test_deny_by_default_offers_nothing_until_tools_are_named() -> None:
    async with auxot_router() as router, connected(router, tools("a"), deny_by_default=True):
        assert router.link.tools == []
        assert (await router.call("a", {})).error() != ""
    async with (
        auxot_router() as router,
        connected(router, tools("a", "b"), allowed=["a"], deny_by_default=True),
    ):
        assert router.link.tools == ["a"]


async def test_the_policy_of_a_connector_key_is_exactly_what_is_offered_and_run() -> None:
    policy = {"allowed_tools": ["b", "not here"], "mcp_servers": [{"package": "x"}]}
    async with (
        auxot_router(ack={"tools_policy": policy}) as router,
        connected(router, tools("a", "b")),
    ):
        await router.until(lambda: bool(router.frames_of("policy_reloaded")))
        assert router.frames_of("policy_reloaded")[0]["advertised_tools"] == ["b"]
        refused = await router.call("a", {})
        assert refused.error() == 'The policy of this worker\'s key does not allow the tool "a".'
        assert (await router.call("b", {})).error() == ""


@pytest.mark.parametrize("allowed", [[], None])
async def test_a_policy_without_tools_allows_none(allowed: object) -> None:
    ack = {"tools_policy": {"allowed_tools": allowed}}
    async with auxot_router(ack=ack) as router, connected(router, tools("a")):
        assert (await router.call("a", {})).error() != ""


async def test_reloads_are_applied_one_after_another_and_each_is_answered() -> None:
    async with auxot_router() as router, connected(router, tools("a", "b")):
        assert (await router.call("a", {})).error() == ""
        for names in (["a"], [], ["a", "b"], ["b"]):
            await router.link.send(type="reload_policy", policy={"allowed_tools": names})
        await router.until(lambda: len(router.frames_of("policy_reloaded")) == 4)
        told = [frame["advertised_tools"] for frame in router.frames_of("policy_reloaded")]
        assert told == [["a"], [], ["a", "b"], ["b"]]
        assert (await router.call("a", {})).error() != ""
        assert (await router.call("b", {})).error() == ""


async def test_a_policy_holds_over_a_reconnect() -> None:
    async with auxot_router() as router, connected(router, tools("a", "b")):
        await router.link.send(type="reload_policy", policy={"allowed_tools": ["b"]})
        await router.until(lambda: bool(router.frames_of("policy_reloaded")))
        router.link.drop()
        again = await router.connected(2)
        assert again.tools == ["b"]


async def test_an_mcp_configuration_is_answered_with_the_reason() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        await router.link.send(type="validate_configuration", request_id="r1", package="x")
        await router.until(lambda: bool(router.frames_of("validate_configuration_result")))
        (told,) = router.frames_of("validate_configuration_result")
        assert told["request_id"] == "r1"
        assert "MCP servers are not supported by this worker yet" in told["error"]


async def test_a_stop_finishes_what_runs_refuses_what_comes_and_ends() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate), echo_tool()])
    async with auxot_router() as router, connected(router, dispatcher) as running:
        begun = await router.begin(("wait", {}))
        await dispatcher.until(lambda fake: fake.running == 1)
        running.stop.set()
        refused = await router.call("echo", {})
        assert refused.error().startswith("The worker is stopping")
        gate.set()
        await router.over(begun)
        assert begun.error() == ""
        with anyio.fail_after(5):
            await running.ended.wait()


async def test_a_stop_gives_up_what_does_not_end_and_says_so() -> None:
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), hangs=True)])
    async with auxot_router() as router, connected(router, dispatcher, grace_s=0) as running:
        begun = await router.begin(("wait", {}))
        await dispatcher.until(lambda fake: fake.running == 1)
        running.stop.set()
        await router.over(begun)
        assert begun.error().startswith("Cancelled: the worker is stopping")
        with anyio.fail_after(5):
            await running.ended.wait()


async def test_tools_of_clients_that_would_be_run_here_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with auxot_router() as router, connected(router, tools("bash", "echo")):
        await router.call("echo", {})
    assert "bash: tools of these names that API callers declare as their own" in caplog.text
    assert f"connected to router id={router.link.worker_id}" in caplog.text
    caplog.clear()
    async with auxot_router() as router, connected(router, tools("bash"), allowed=["bash"]):
        await router.call("bash", {})
    assert "API callers" not in caplog.text
