"""The whole worker against a router, or a model behind it, that sends what nobody should."""

import logging

import anyio
import pytest

from auxot_tools.connect.connection import MAX_SAYINGS
from auxot_tools.connect.frames import ToolJob
from auxot_tools.connect.jobs import MAX_TAKEN_BYTES, Jobs, JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_url import shown_address
from auxot_tools.errors import Unavailable
from auxot_tools.types import ToolSpec
from tests.support.auxot_router import TOOLS_KEY, Round, auxot_router
from tests.support.connected_worker import connected
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, echo_tool, tool_spec

pytestmark = pytest.mark.anyio

ODD = ["1e999", "9" * 5000, "[" * 5000 + "]" * 5000, "NaN"]


async def test_arguments_that_nobody_carries_end_no_round_but_their_own_call() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        for count in range(5):  # more such jobs than bad frames are borne
            parent = f"p{count}"
            begun = router.rounds[parent] = Round(parent, len(ODD))
            for number, arguments in enumerate(ODD):
                begun.jobs.append({"tool_call_id": f"c{number}"})
                await router.link.send_raw(
                    f'{{"type":"tool_job","job_id":"{parent}-{number}","parent_job_id":"{parent}",'
                    f'"tool_name":"echo","tool_call_id":"c{number}","arguments":{arguments}}}'
                )
            await router.over(begun)
            assert "1e999 is outside the range" in begun.error("c0")
            assert all(begun.error(f"c{number}") for number in range(len(ODD)))
        assert len(router.links) == 1


async def test_long_ids_and_names_are_answered() -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        assert (await router.call("echo", {}, tool_call_id="c" * 5000)).error("c" * 5000) == ""
        assert "tool_name is longer than" in (await router.call("e" * 1025, {})).error()
        assert len(router.links) == 1


async def test_a_policy_holds_for_jobs_that_wait_already() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate), echo_tool()])
    async with auxot_router() as router, connected(router, dispatcher, concurrent_jobs=1):
        begun = await router.begin(*[("wait", {})] * 2)
        await dispatcher.until(lambda fake: fake.running == 1)
        await router.link.send(type="reload_policy", policy={"allowed_tools": ["echo"]})
        await router.until(lambda: bool(router.frames_of("policy_reloaded")))
        gate.set()
        await router.over(begun)
        assert begun.error("call_0") == ""
        assert "policy of this worker's key does not allow" in begun.error("call_1")
        assert len(dispatcher.calls) == 1


async def test_a_policy_that_cannot_be_read_allows_nothing_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        await router.link.send(type="reload_policy", policy={"allowed_tools": ["echo", 7]})
        assert "does not allow the tool" in (await router.call("echo", {})).error()
        assert router.frames_of("policy_reloaded")[0]["advertised_tools"] == []
        assert "allows nothing, as allowed_tools must hold strings" in caplog.text


async def test_waiting_jobs_are_bounded_by_bytes_too() -> None:
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate)])
    offered = Offered(dispatcher, ())
    await offered.refresh()
    arguments = b'"' + b"x" * (MAX_TAKEN_BYTES // 4) + b'"'
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(dispatcher, offered, JobSettings(), tasks)
        for number in range(4):
            await jobs.take(ToolJob(f"j{number}", tool_name="wait", arguments=arguments), 1)
        assert jobs.running == 3
        due = jobs.deliveries.next_to_send(1)
        assert due is not None
        assert b"The worker is busy" in due[1]
        gate.set()
        await jobs.until_idle()
        await jobs.take(ToolJob("again", tool_name="wait", arguments=arguments), 1)
        assert jobs.running == 1
        await jobs.until_idle()


async def test_ids_and_names_move_no_cursor_and_end_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    nasty = "x\n\x1b[31m" + "y" * 500
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        begun = await router.call(nasty, {}, job_id="j" + nasty)
        await router.link.send(**begun.jobs[0])
        await router.link.send(type=nasty)
        policy = {"allowed_tools": ["echo", nasty]}
        await router.link.send(type="reload_policy", policy=policy)
        await router.call("echo", {})
    lines = [record.getMessage() for record in caplog.records]
    assert any("was not run" in line for line in lines)
    assert any("came again" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert "y" * 300 not in caplog.text


async def test_a_router_that_talks_without_end_fills_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with auxot_router() as router, connected(router, FakeDispatcher()):
        for _ in range(MAX_SAYINGS + 30):
            await router.link.send(type="error", error=f"no {TOOLS_KEY}")
        await router.call("echo", {})
        router.link.drop()
        await router.connected(2)
    said = [record for record in caplog.records if "the router says" in record.getMessage()]
    assert len(said) == MAX_SAYINGS
    assert "the router said 30 more" in caplog.text
    assert TOOLS_KEY not in caplog.text
    assert "no [the tools key]" in caplog.text


async def test_a_huge_wait_that_a_router_asks_for_is_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ack = {"reconnectInSeconds": 10**400}
    async with auxot_router(ack=ack) as router, connected(router, FakeDispatcher()):
        await router.connected(2)
    assert "a frame in which reconnectinseconds is out of range" in caplog.text


class _Away(FakeDispatcher):
    """Those who run the tools are not there, once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def list_tools(self) -> list[ToolSpec]:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("the tools worker at x does not answer")
        return list(await super().list_tools())


async def test_a_worker_that_is_away_is_not_blamed_on_the_router(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with auxot_router() as router, connected(router, _Away()):
        pass
    assert "there are no tools yet: the tools worker at x does not answer" in caplog.text
    assert "no connection to the router" not in caplog.text


def test_of_an_address_only_the_place_is_shown() -> None:
    assert shown_address("ws://u:pw@h:1/ws?token=secret#x") == "ws://h:1/ws"
    assert shown_address("https://h/other") == "https://h/ws"
    assert shown_address("h:1/ws?token=secret") == "h:1"
