"""The example that calls a worker with nothing but what the worker says of itself."""

import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from tests.support.fake_dispatcher import FakeDispatcher, echo_tool
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[2] / "examples" / "call_by_reflection.py"


@pytest.mark.parametrize(("key", "ends_well"), [(KEY, True), ("", False)])
async def test_the_example_calls_code_executor_when_it_has_the_key(
    key: str, ends_well: bool
) -> None:
    fake = FakeDispatcher([echo_tool("code_executor")])
    environment: Mapping[str, str] = {"AUXOT_WORKER_KEY": key}
    async with served(fake, key=KEY) as server:
        command = [sys.executable, str(EXAMPLE), server.addresses[0], '{"code":"1+1"}']
        with anyio.fail_after(30):
            done = await anyio.run_process(command, check=False, env=environment)
    assert (done.returncode == 0) is ends_well
    assert [call.input_json for call in fake.calls] == ([b'{"code": "1+1"}'] if ends_well else [])
    assert (b"STATUS_COMPLETED" in done.stdout) is ends_well
