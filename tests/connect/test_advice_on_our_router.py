"""Auxot's worker pointed at a router of our own, which has nothing to connect to."""

import logging
from pathlib import Path

import anyio
import pytest

from auxot_tools.connect.advice import advice_on_answer
from auxot_tools.connect.jobs import JobSettings
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.router_worker import RouterTarget, RouterWorker
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario
from tests.support.auxot_router import TOOLS_KEY
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import running_router


@pytest.mark.anyio
async def test_a_router_of_ours_is_told_from_auxots(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    dispatcher = FakeDispatcher()
    model = ScriptedModel(Scenario.model_validate({"turns": ["Hello."]}))
    async with (
        running_router(tmp_path, model, dispatcher) as router,
        anyio.create_task_group() as tasks,
    ):

        async def stop_waiting(_seconds: float) -> None:
            tasks.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()

        target = RouterTarget(router.origin.replace("http", "ws") + "/ws", TOOLS_KEY)
        worker = RouterWorker(
            target, dispatcher, Offered(dispatcher, ()), JobSettings(), sleep=stop_waiting
        )
        await worker.run(anyio.Event(), 0)
    assert "it is no WebSocket (HTTP status 404)" in caplog.text
    assert "is a router of auxot-tools" in caplog.text
    assert "AUXOT_ROUTER_URL" in caplog.text
    assert "It is tried again" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"request-id": ""}, {"request-id": "req_011CSHoEeqs5C35K2UUqR7Fy"}, {"server": "nginx"}],
)
def test_nothing_is_said_of_other_servers(headers: dict[str, str]) -> None:
    assert not advice_on_answer(headers)
