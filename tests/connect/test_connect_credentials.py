"""A job's credentials on their way through gRPC: from router to program, and nowhere else."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from auxot_tools.assembly.connect import job_settings
from auxot_tools.assembly.worker import credential_fault
from auxot_tools.config import load_config
from auxot_tools.ports import BoxSpec, KeptOutput, Program, SandboxOutcome, ToolDispatcher
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.share import share_dir
from auxot_tools.worker.executor import Equipment, Executor
from auxot_tools.worker.registry import Registry
from tests.support.auxot_router import TOOLS_KEY, AuxotRouter, auxot_router
from tests.support.connected_worker import connected
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.fake_sandbox import FakeSandbox, Script
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-job"
OWN = "s3cret-of-the-worker"
CODE = {"code": "print(1)", "language": "python"}


def _tells_all(_spec: BoxSpec, program: Program) -> Script:
    """A program that prints its environment, in three pieces."""
    told = "".join(f"{name}={value};" for name, value in program.env).encode()
    pieces = tuple(("stdout", told[at : at + 7]) for at in range(0, len(told), 7))
    return Script(pieces, SandboxOutcome(exit_code=0, stdout=KeptOutput(told)))


@asynccontextmanager
async def through_grpc(
    router: AuxotRouter, dispatcher: ToolDispatcher, folder: Path
) -> AsyncGenerator[None, None]:
    """A connected worker whose jobs go to another one, with the settings that a command has."""
    address = f"unix:{folder}/w.sock"
    config = load_config(None, {"AUXOT_CONNECT__WORKER": address}, folder).config
    settings = job_settings(config, TOOLS_KEY)
    async with (
        served(dispatcher, address, key=KEY, credential_fault=credential_fault),
        RemoteDispatcher(WorkerTarget(address, KEY)) as remote,
        connected(router, remote, credential_fault=settings.credential_fault),
    ):
        yield


async def test_they_reach_the_program_and_are_taken_out_of_all_that_it_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox = FakeSandbox(_tells_all)
    registry = Registry.load([share_dir("tools")], allowed={"code_executor"})
    equipment = Equipment(credentials=lambda _tool: {"API_KEY": OWN, "OTHER": OWN})
    executor = Executor(registry, sandbox, equipment)
    async with auxot_router() as router, through_grpc(router, executor, tmp_path):
        begun = await router.call("code_executor", CODE, credentials={"API_KEY": SECRET})
        without = await router.call("code_executor", CODE)
        said = repr([frame for frame in router.frames if frame["type"] == "tool_result"])
    assert dict(sandbox.programs[0].env) == {"API_KEY": SECRET, "OTHER": OWN}
    assert dict(sandbox.programs[1].env) == {"API_KEY": OWN, "OTHER": OWN}
    expected = "API_KEY=[credential API_KEY];OTHER=[credential OTHER];"
    assert begun.result()["output"] == expected
    assert without.error() == ""
    for secret in (SECRET, OWN):
        assert secret not in said + caplog.text


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "a b"])
async def test_those_that_no_program_may_have_are_refused_here_and_never_sent(
    tmp_path: Path, name: str
) -> None:
    dispatcher = FakeDispatcher()
    async with auxot_router() as router, through_grpc(router, dispatcher, tmp_path):
        begun = await router.call("echo", {}, credentials={name: SECRET})
    assert begun.error().startswith("The job's credentials cannot be used. ")
    assert begun.error().endswith(" Nothing was run.")
    assert SECRET not in begun.error()
    assert dispatcher.calls == []


async def test_a_job_that_comes_again_with_others_is_still_the_one_job_that_is_run_once(
    tmp_path: Path,
) -> None:
    """A router has one answer to each of its ids: another one would end the round early."""
    gate = anyio.Event()
    dispatcher = FakeDispatcher([FakeTool(tool_spec("wait"), until=gate)])
    async with auxot_router() as router, through_grpc(router, dispatcher, tmp_path):
        begun = await router.begin(("wait", {}), credentials={"API_KEY": SECRET})
        await router.link.send(**begun.jobs[0] | {"credentials": {"API_KEY": "a newer one"}})
        gate.set()
        await router.over(begun)
        await router.link.send(**begun.jobs[0] | {"credentials": {"API_KEY": "a newer one"}})
        await router.call("wait", {})  # the repeats came before it
        assert [call.credentials for call in dispatcher.calls] == [{"API_KEY": SECRET}, {}]
        assert len(router.frames_of("tool_result")) == 2
        assert router.dropped == []


async def test_calls_of_one_model_id_have_each_its_own_and_its_own_answer(tmp_path: Path) -> None:
    who = FakeTool(tool_spec("who"), reply=lambda call: call.credentials["USER_NAME"])
    dispatcher = FakeDispatcher([who])
    async with auxot_router() as router, through_grpc(router, dispatcher, tmp_path):
        said = [
            (await router.call("who", {}, credentials={"USER_NAME": name})).result()
            for name in ("ann", "ben")
        ]
    assert said == ["ann", "ben"]  # both are `call_0` of their round
