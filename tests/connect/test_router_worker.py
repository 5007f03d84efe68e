"""The whole worker against the stand-in of Auxot's router: jobs, drops, policies, stops."""

import anyio
import pytest

from auxot_tools.types import Status
from tests.support.auxot_router import TOOLS_KEY, AuxotRouter, Link, auxot_router
from tests.support.connected_worker import connected
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec

pytestmark = pytest.mark.anyio


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
    dispatcher = FakeDispatcher([echo_tool("b"), echo_tool("a")])
    async with auxot_router() as router, connected(router, dispatcher):
        assert router.link.hello == {
            "type": "hello",
            "gpu_key": TOOLS_KEY,
            "worker_type": "tools",
            "capabilities": {"backend": "", "model": "", "ctx_size": 0},
            "tools_capabilities": {"tools": ["a", "b"]},
        }
