"""A whole round-trip run: our router with a tool in memory, examined by the command."""

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.roundtrip.plan import Plan
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
from tests.support.command import Done, auxot_tools
from tests.support.running import KEY, free_port, http_model, running_router

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


@dataclass(frozen=True)
class CommandRun:
    """How `auxot-tools roundtrip` ended at our router; what it wrote is in `folder`."""

    done: Done
    folder: Path


async def run_command(folder: Path) -> CommandRun:
    """The command, at our router with a tool in memory, recording all that it does."""
    files = {name: str(folder / name) for name in ("run.json", "junit.xml", "page.html")}
    inputs, key = folder / "inputs.json", folder / "key"
    inputs.write_text(json.dumps(INPUTS))
    key.write_text(f"{KEY}\n")
    upstream_port = free_port()
    async with http_model(f"http://127.0.0.1:{upstream_port}") as model:
        providers = Providers([Provider("upstream", model, ["scripted"])])
        limits = RouterLimits(ping_interval_s=PING_S)
        running = running_router(
            folder, model, EchoTool(), allowed=["echo"], limits=limits, providers=providers
        )
        async with running as router:
            done = await anyio.to_thread.run_sync(
                auxot_tools,
                *("roundtrip", "--url", router.base_url, "--key-file", str(key)),
                *("--upstream-listen", f"127.0.0.1:{upstream_port}", "--quiet-s", str(QUIET_S)),
                *("--tool", "echo", "--tool-inputs", str(inputs), "--json"),
                *("--record", files["run.json"], "--junit", files["junit.xml"]),
                *("--html", files["page.html"]),
            )
    return CommandRun(done, folder)
