"""`auxot-tools worker` takes what a call brings, judges it, and gives it to the program alone."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Status, ToolCall
from tests.support.fake_dispatcher import text_of
from tests.support.served_worker import result_of
from tests.support.whole import WORKER_KEY, whole

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SECRET = "s3cret-of-the-call"
CODE = b"{\"code\":\"import os; print(len(os.environ['API_KEY']), os.environ['API_KEY'])\"}"
CALL = ToolCall("toolu_1", "code_executor", CODE, credentials={"API_KEY": SECRET})


async def test_the_worker_of_the_command_gives_credentials_to_the_program_alone() -> None:
    with TemporaryDirectory(prefix="auxot-") as folder:  # a unix socket's path holds 107 bytes
        async with (
            whole(Path(folder), isolation="warm", allowed_isolation=["warm"]) as product,
            RemoteDispatcher(WorkerTarget(product.stack.worker, key=WORKER_KEY)) as client,
        ):
            result = await result_of(client, CALL)
            refused = await result_of(client, replace(CALL, credentials={"LD_PRELOAD": SECRET}))
    assert text_of(result) == f"{len(SECRET)} [credential API_KEY]"
    assert refused.status is Status.INVALID_ARGUMENTS
    assert "The variable LD_PRELOAD is not for a tool to set" in text_of(refused)
    assert SECRET not in text_of(refused)
