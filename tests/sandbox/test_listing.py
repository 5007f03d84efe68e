"""What a command line can see and clear away, without a sandbox that runs."""

from pathlib import Path

import anyio.to_thread
import pytest

from auxot_tools.errors import EngineUnavailable
from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.listing import list_boxes, reap
from auxot_tools.types import Deadline
from tests.support.engine import containers_of

pytestmark = pytest.mark.anyio


@pytest.mark.engine
async def test_a_living_worker_s_box_is_listed_and_not_reaped(sandbox: DockerSandbox) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(60))
    listed = await anyio.to_thread.run_sync(list_boxes)
    assert box.id in {found.id for found in listed}
    await anyio.to_thread.run_sync(reap)
    assert len(containers_of(sandbox.identity.worker_id)) == 1
    await box.release()


def test_an_engine_that_is_down_is_named(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    for action in (list_boxes, reap):
        with pytest.raises(EngineUnavailable, match=r"nobody\.sock"):
            action(url)
