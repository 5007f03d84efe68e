"""The whole product, examined: router and worker as processes, programs in real containers."""

import secrets
from pathlib import Path

import anyio.to_thread
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.cli.stack import running_stack
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.judging import judge
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.upstream import PlayedUpstream
from auxot_tools.roundtrip.verdicts import Verdict
from auxot_tools.router.key_file import KeyEntry, append_key
from tests.support.engine import sandbox_image
from tests.support.running import CHEAP, KEY

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


async def test_the_whole_product_passes_every_check(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(sandbox_image)
    append_key(tmp_path / "keys.toml", KeyEntry(name="tester", hash=CHEAP.hash(KEY)))
    plan = Plan("scripted", secrets.token_hex(4), quiet_s=1.0, hold_s=3.0)
    upstream = PlayedUpstream(plan, Redactor([KEY]))
    async with serving(upstream) as url:
        environment = {
            "AUXOT_CONFIG": str(tmp_path / "auxot.toml"),
            "AUXOT_WORKER_KEY": "worker-key-of-the-tests",
            "AUXOT_WORKER__LISTEN": f"unix:{tmp_path}/w.sock",
            "AUXOT_ROUTER__WORKER": f"unix:{tmp_path}/w.sock",
            "AUXOT_ROUTER__LISTEN": "127.0.0.1:0",
            "AUXOT_ROUTER__KEYS_FILE": str(tmp_path / "keys.toml"),
            "AUXOT_ROUTER__ALLOWED_TOOLS": "code_executor",
            "AUXOT_ROUTER__PING_INTERVAL_S": "0.3",
            "AUXOT_UPSTREAM__URL": url,
            "AUXOT_UPSTREAM_API_KEY": "any",
        }
        (tmp_path / "auxot.toml").touch()
        async with running_stack(tmp_path, environment) as stack:
            endpoint = endpoint_of(f"{stack.origin}/api/anthropic", KEY)
            recording = await Run(plan, endpoint, upstream).perform()
    assert recording.facts.runs_tools
    failed = {j.rule.id: j.outcome.notes for j in judge(recording).judged if j.verdict is _FAIL}
    assert failed == {}


_FAIL = Verdict.FAIL
