"""Every case of every tool of ours comes out as declared, in real boxes."""

import anyio
import pytest

from auxot_tools.share import share_dir
from auxot_tools.worker.cases import CASES, Case, play, read_cases
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import DefaultIsolation, IsolationPolicy
from auxot_tools.worker.registry import Registry
from tests.support.engine import docker_sandbox

pytestmark = pytest.mark.anyio

TOOLS = sorted(path.parent.name for path in share_dir("tools").glob(f"*/{CASES}"))


def test_there_are_cases() -> None:
    assert "code_executor" in TOOLS


@pytest.mark.engine
@pytest.mark.parametrize("isolation", ["call", "warm"])
async def test_the_cases_of_our_tools_come_out_as_declared(isolation: DefaultIsolation) -> None:
    """Under each isolation that an operator can choose; one sandbox for all, two at a time."""
    registry = Registry.load([share_dir("tools")], policy=IsolationPolicy(isolation))
    faults: dict[str, list[str]] = {}
    places = anyio.CapacityLimiter(2)  # more would push one another's sessions out

    async def tried(executor: Executor, name: str, case: Case) -> None:
        async with places:
            if found := await play(case, name, executor):
                faults[f"{name}: {case.name}"] = found

    async with docker_sandbox() as sandbox, anyio.create_task_group() as tasks:
        executor = Executor(registry, sandbox, slots=2)
        once = [name for name in TOOLS if registry.tools[name].isolation == isolation]
        sessions = [name for name in TOOLS if registry.tools[name].isolation == "session"]
        for name in [*once, *(sessions if isolation == "call" else ())]:
            for case in read_cases(share_dir("tools") / name / CASES):
                tasks.start_soon(tried, executor, name, case)
    assert faults == {}
