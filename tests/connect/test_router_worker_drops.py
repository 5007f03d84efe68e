"""Connections that end: what runs goes on, results arrive once, and nothing is tried in a hurry."""

import logging
from typing import Any

import anyio
import pytest

from auxot_tools.connect.connection import MAX_BAD_FRAMES, RouterRefused, Times
from auxot_tools.connect.jobs import JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_worker import RouterTarget, RouterWorker
from auxot_tools.errors import Unavailable
from auxot_tools.types import JSON
from tests.support.auxot_router import TOOLS_KEY, AuxotRouter, Link, auxot_router
from tests.support.connected_worker import connected
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec

pytestmark = pytest.mark.anyio


def gated(gate: anyio.Event) -> FakeDispatcher:
    return FakeDispatcher([FakeTool(tool_spec("wait"), until=gate), echo_tool()])


async def test_a_call_survives_a_drop_and_its_result_arrives_once() -> None:
    gate = anyio.Event()
    dispatcher = gated(gate)
    async with auxot_router() as router, connected(router, dispatcher):
        begun = await router.begin(("wait", {}))
        await dispatcher.until(lambda fake: fake.running == 1)
        router.link.drop()
        await router.connected(2)
        gate.set()
        await router.over(begun)
        await router.call("echo", {})
        assert len(dispatcher.calls) == 2
        assert len(router.frames_of("tool_result")) == 2
        assert router.dropped == []


async def test_a_result_counted_just_before_the_drop_does_not_end_the_round_early() -> None:
    """Sent again at once it would lower the counter for the call that still runs."""
    gate = anyio.Event()
    dispatcher = gated(gate)

    def cut(link: Link, _frame: JSON) -> None:
        if link is router.links[0]:
            link.drop()  # the result is counted, and its ping is not answered

    async with auxot_router(on_result=cut) as router, connected(router, dispatcher):
        begun = await router.begin(("echo", {}), ("wait", {}))
        await router.connected(2)
        gate.set()
        await router.over(begun)
        assert set(begun.results) == {"call_0", "call_1"}
        await router.until(lambda: bool(router.dropped))
        assert router.dropped[0]["tool_call_id"] == "call_0"


async def test_a_result_that_was_sent_and_never_read_is_sent_again() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        first = router.link
        router.reads = anyio.Event()
        await first.send(type="heartbeat_ack")
        begun = await router.begin(("echo", {}))
        # What the router reads first is after the cut, so the result went nowhere.
        first.drop()
        router.reads.set()
        router.reads = None
        await router.connected(2)
        await router.over(begun)
        assert begun.error() == ""


async def test_a_router_that_lost_everything_and_asks_anew_gets_the_kept_result() -> None:
    dispatcher = FakeDispatcher()
    async with auxot_router() as router, connected(router, dispatcher):
        begun = await router.call("echo", {"a": 1})
        await router.call("echo", {})  # its job was read after the first one's pong
        router.link.drop()
        await router.connected(2)
        again = router.rounds[begun.parent_job_id]
        again.pending, again.is_over, again.results = 1, False, {}
        await router.link.send(**begun.jobs[0])
        await router.over(again)
        assert again.result() == {"a": 1}
        assert len(dispatcher.calls) == 2


async def test_a_router_that_accepts_and_drops_is_not_asked_in_a_hot_loop() -> None:
    async with (
        auxot_router(drop_first=9) as router,
        connected(router, FakeDispatcher()) as running,
    ):
        await router.connected(10)
        assert len(running.waits) == 9
        assert all(1 <= wait <= 60 for wait in running.waits)
        assert max(running.waits[4:]) > 2  # at random up to 32 s and more


async def refusal(router: AuxotRouter, key: str) -> str:
    dispatcher = FakeDispatcher()
    target, offered = RouterTarget(router.url, key), Offered(dispatcher, ())
    worker = RouterWorker(target, dispatcher, offered, JobSettings())
    with anyio.fail_after(5), pytest.raises(RouterRefused) as caught:
        await worker.run(anyio.Event(), 0)
    assert router.refused == 1
    return str(caught.value)


async def test_a_wrong_key_is_final_and_the_advice_shows_nothing_of_it() -> None:
    async with auxot_router() as router:
        said = await refusal(router, "adm_secret-part-of-it")
        assert "authentication failed" in said
        assert "It begins with `adm_`, so it is a GPU worker's key" in said
        assert "setup --new-tools-key" in said
        assert "secret-part" not in said


async def test_a_router_without_tools_workers_is_final_too() -> None:
    async with auxot_router(key_hash="") as router:
        said = await refusal(router, TOOLS_KEY)
        assert "started without AUXOT_TOOLS_KEY_HASH" in said


async def test_a_refusal_that_asks_to_come_again_is_not_final() -> None:
    ack = {"success": False, "error": "authentication failed", "reconnectInSeconds": 90}
    async with auxot_router(ack=ack) as router, connected(router, FakeDispatcher()) as running:
        await router.connected(3)
        assert running.waits[0] == 90


async def test_a_router_that_never_acknowledges_is_left() -> None:
    times = Times(hello_ack_s=0.05)
    async with (
        auxot_router(silent=True) as router,
        connected(router, FakeDispatcher(), times=times),
    ):
        await router.connected(2)
        assert router.frames_of("tool_result") == []


async def test_heartbeats_are_sent_and_silence_ends_the_connection() -> None:
    async with (
        auxot_router() as router,
        connected(router, FakeDispatcher(), times=Times(heartbeat_s=0.01)),
    ):
        await router.until(lambda: len(router.frames_of("heartbeat")) >= 3)
        assert len(router.links) == 1
    async with (
        auxot_router() as router,
        connected(router, FakeDispatcher(), times=Times(silence_s=0.05)),
    ):
        await router.connected(2)


async def test_tools_that_come_later_are_offered_on_a_new_connection() -> None:
    dispatcher = FakeDispatcher()
    times = Times(heartbeat_s=0.01)
    async with auxot_router() as router, connected(router, dispatcher, times=times):
        dispatcher.tools = [echo_tool("a"), echo_tool("b")]
        again = await router.connected(2)
        assert again.tools == ["a", "b"]


async def test_a_worker_that_is_not_there_yet_is_waited_for() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("the worker cannot be reached"))
    async with auxot_router() as router, anyio.create_task_group() as tasks:
        waits = 0

        async def sleep(_seconds: float) -> None:
            nonlocal waits
            waits += 1
            if waits == 3:
                dispatcher.list_error = None
            await anyio.lowlevel.checkpoint()

        worker = RouterWorker(
            RouterTarget(router.url, TOOLS_KEY),
            dispatcher,
            Offered(dispatcher, ()),
            JobSettings(),
            sleep=sleep,
        )
        tasks.start_soon(worker.run, anyio.Event(), 0.0)
        await router.connected()
        assert waits == 3
        tasks.cancel_scope.cancel()


GARBAGE: list[str | bytes] = [
    "not json", "[1]", '"text"', "{}", b"\xff\xfe", '{"type": 5}', '{"type": "tool_job"}',
    '{"type": "tool_job", "job_id": 7}', '{"type":"tool_job","job_id":"x","tool_name":["a"]}',
    "[" * 5000, "",
]  # fmt: skip


async def test_garbage_is_ignored_told_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        for data in GARBAGE:
            await router.link.send_raw(data)
        assert (await router.call("echo", {"a": 1})).result() == {"a": 1}
        assert len(router.links) == 1
        assert "a frame that is not JSON, which was ignored" in caplog.text
        for _ in range(MAX_BAD_FRAMES):
            await router.link.send_raw("not json")
        await router.connected(2)
        assert f"the router sent {MAX_BAD_FRAMES} frames that cannot be read" in caplog.text
        assert (await router.call("echo", {"a": 2})).result() == {"a": 2}


async def test_frames_are_read_as_go_reads_them() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        link = router.link
        for kind in ("heartbeat_ack", "something_new", "error"):
            await link.send(type=kind, error="just so")
        frame = b'{"TYPE":"tool_job","Job_ID":"j1","parent_job_id":"p","tool_Name":"echo","new":1}'
        await link.send_raw(frame)
        await router.until(lambda: bool(router.dropped))
        (told,) = router.dropped
        assert (told["job_id"], told["tool_name"], told["result"]) == ("j1", "echo", {})


async def test_a_flood_of_jobs_is_bounded_and_every_job_is_answered() -> None:
    gate = anyio.Event()
    dispatcher = gated(gate)
    limits: dict[str, Any] = {"concurrent_jobs": 2, "max_waiting": 8}
    async with auxot_router() as router, connected(router, dispatcher, **limits):
        begun = await router.begin(*[("wait", {})] * 3000)
        await router.until(lambda: len(begun.results) == 2990)
        assert dispatcher.most_running == 2
        gate.set()
        await router.over(begun)
        failed = [one for one in begun.results.values() if "error" in one]
        assert len(failed) == 2990
        assert failed[0]["error"].startswith("The worker is busy")


async def test_a_bare_address_finds_what_works_and_says_which(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with auxot_router() as router:
        async with connected(router, FakeDispatcher(), address=router.address):
            await router.call("echo", {})
        told = f"wss://{router.address}/ws: it does not speak TLS there; trying without TLS"
        assert told in caplog.text
        assert f"using ws://{router.address}/ws: no TLS is spoken there" in caplog.text
        assert f"url=ws://{router.address}/ws" in caplog.text


async def test_what_the_router_has_confirmed_is_not_sent_again_after_a_drop() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        first = await router.call("echo", {})
        await router.call("echo", {})  # read after the ping that followed the first result,
        await router.call("echo", {})  # so its pong came before this job
        router.link.drop()
        await router.connected(2)
        await router.call("echo", {})
        again = [frame["job_id"] for frame in router.dropped]
        assert first.jobs[0]["job_id"] not in again


async def test_a_result_owed_while_the_router_is_away_is_delivered_before_a_stop_ends() -> None:
    gate = anyio.Event()
    dispatcher = gated(gate)
    async with auxot_router() as router, connected(router, dispatcher) as running:
        begun = await router.begin(("wait", {}))
        await dispatcher.until(lambda fake: fake.running == 1)
        running.stop.set()
        router.link.drop()
        gate.set()
        await router.over(begun)
        assert begun.error() == ""
        with anyio.fail_after(5):
            await running.ended.wait()
