"""A run whose endpoint does not ask the scripted upstream yet, or ever."""

import anyio
import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.upstream import PlayedUpstream
from tests.support.raw_server import raw_server, reply
from tests.support.roundtrip_run import plan_for_tests

pytestmark = pytest.mark.anyio
KEY = "sk-the-key-of-this-test"
TOO_LONG_S = 30.0


async def test_who_waits_is_told_why_once_and_then_what_to_do() -> None:
    told: list[str] = []
    plan = plan_for_tests()
    async with raw_server(reply(b"{}", "503 Service Unavailable")) as server:
        run = Run(
            plan,
            endpoint_of(server.url(""), KEY),
            PlayedUpstream(plan, Redactor([KEY])),
            on_wait=told.append,
            limit_s=1.0,
        )
        with anyio.fail_after(TOO_LONG_S), pytest.raises(ConfigError) as ended:
            await run.perform()
    assert "status 503 and did not ask the scripted upstream" in str(ended.value)
    assert len(told) == 1
    assert "status 503 and does not ask the scripted upstream yet" in told[0]
