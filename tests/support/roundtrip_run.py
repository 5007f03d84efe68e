"""A whole round-trip run in this process: our router, a tool in memory, the scripted upstream."""

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.recording import Recording
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.upstream import PlayedUpstream
from auxot_tools.router.services import RouterLimits
from auxot_tools.types import (
    JSON,
    CallEvent,
    CallHint,
    Deadline,
    Started,
    Status,
    ToolCall,
    ToolSpec,
    text_result,
)
from tests.support.running import KEY, http_model, running_router, serving

INPUTS: dict[str, JSON] = {
    "echo": {"text": "MARK"},
    "bad": {"text": 5},
    "slow": {"text": "MARK", "seconds": "SECONDS"},
    "unique": {"count": True},
    "failing": {"text": "exit code 3: MARK"},
}
QUIET_S, PING_S, HOLD_S = 1.5, 0.2, 3.0


@dataclass
class EchoTool:
    """A dispatcher with one tool, `echo`, whose calls take as long as they say."""

    runs: int = 0
    inputs: list[JSON] = field(default_factory=list)

    async def list_tools(self) -> Sequence[ToolSpec]:
        return (ToolSpec("echo", "Repeats its text.", {"type": "object"}),)

    async def prepare(self, hint: CallHint) -> bool:
        return True

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:
        yield Started(call.tool_use_id, "box", "call")
        try:
            given = json.loads(call.input_json)
            text = f"run {self.runs}" if given.get("count") else given["text"].strip()
        except (ValueError, AttributeError, KeyError):
            words = "The input does not fit: text must be a string."
            yield text_result(call.tool_use_id, Status.INVALID_ARGUMENTS, words)
            return
        await anyio.sleep(given.get("seconds", 0))
        self.runs += 1
        yield text_result(call.tool_use_id, Status.COMPLETED, text)


def plan_for_tests(*, has_upstream: bool = True) -> Plan:
    return Plan(
        model="scripted",
        run_id=secrets.token_hex(4),
        tool="echo",
        inputs=INPUTS,
        has_upstream=has_upstream,
        quiet_s=QUIET_S,
        hold_s=HOLD_S,
    )


async def recorded_run(folder: Path) -> Recording:
    """Everything that our router does in a run."""
    plan = plan_for_tests()
    upstream = PlayedUpstream(plan, Redactor([KEY]))
    async with serving(upstream) as url, http_model(url) as model:
        providers = Providers([Provider("upstream", model, ["scripted"])])
        limits = RouterLimits(ping_interval_s=PING_S)
        running = running_router(
            folder, model, EchoTool(), allowed=["echo"], limits=limits, providers=providers
        )
        async with running as router:
            return await Run(plan, endpoint_of(router.base_url, KEY), upstream).perform()
