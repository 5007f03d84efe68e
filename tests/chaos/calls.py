"""The calls of the chaos test: planned from a seed, made over gRPC, written down as they were seen.

One job: to drive calls and keep everything that came back. It judges nothing and breaks nothing.
"""

import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.types import (
    CallLimits,
    Deadline,
    OutputChunk,
    Started,
    Status,
    ToolCall,
    ToolResult,
)

TENANT = "chaos"
SESSIONS = 3
DEADLINE_S = 30.0
LATE_LIMIT_S = 1.5  # of a call that runs into its time limit
LONG_TENTHS = 600  # of a program that something else must end
OVERDUE_S = DEADLINE_S + 20.0  # an outcome that comes later than this did not come
PAUSE_S = 0.3  # after a refusal, as callers do: else an outage would eat all calls
NONCE = re.compile(r"nonce-[0-9a-f]{16}")
# kind -> how often, of 100
KINDS = {
    "quick": 30,
    "output": 15,
    "exit": 12,
    "sleep": 15,
    "memory": 6,
    "late": 6,
    "left": 8,
    "child": 8,
}
_TOOL = Path(__file__).with_name("tool")


@dataclass(frozen=True)
class Planned:
    """What a call asks for, and so what a truthful answer is."""

    number: int
    nonce: str
    mode: str
    kind: str
    value: int
    exit_code: int
    session: str
    leaves_after_s: float

    @property
    def tool_use_id(self) -> str:
        return f"toolu_{self.nonce}"


@dataclass
class Seen:
    """What the caller saw of one call; times are of the caller's clock."""

    planned: Planned
    begun: float = 0.0
    ended: float = 0.0
    started: bool = False
    streamed: bytes = b""
    results: list[ToolResult] = field(default_factory=list)
    left: bool = False
    error: str = ""

    @property
    def status(self) -> str:
        if self.results:
            return str(self.results[-1].status)
        return "left by the caller" if self.left else "NO OUTCOME"

    @property
    def text(self) -> str:
        blocks = self.results[-1].content if self.results else ()
        return "\n".join(str(block.get("text", "")) for block in blocks)


def plan(seed: int, count: int, modes: Sequence[str]) -> Iterator[Planned]:
    """``count`` calls; the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        mode = chance.choice(list(modes))
        values = {"output": chance.randint(1, 100), "sleep": chance.randint(1, 15)}
        yield Planned(
            number=number,
            nonce=f"nonce-{chance.getrandbits(64):016x}",
            mode=mode,
            kind=kind,
            value=values.get(kind, LONG_TENTHS),
            exit_code=chance.randint(1, 100) if kind == "exit" else 0,
            session=f"session-{chance.randrange(SESSIONS)}" if mode == "session" else "",
            leaves_after_s=chance.random() * 0.8 if kind == "left" else OVERDUE_S,
        )


def write_tools(folder: Path, modes: Sequence[str]) -> None:
    """The tool, once for each isolation mode."""
    for mode in modes:
        home = folder / f"chaos_{mode}"
        home.mkdir(parents=True)
        (home / "main.py").write_bytes((_TOOL / "main.py").read_bytes())
        declared = {
            "description": "Does what the chaos test asks.",
            "input_schema": {"type": "object"},
            "command": ["python3", "/tool/main.py"],
            "isolation": mode,
            "limits": {
                "timeout_s": 20,
                "memory_bytes": 96 * 2**20,
                "disk_bytes": 8 * 2**20,
                "shm_bytes": 2**20,
            },
        }
        (home / "tool.json").write_text(json.dumps(declared), "utf-8")


async def make(client: RemoteDispatcher, planned: Planned) -> Seen:
    """One call, to its end; never raises for what happens to it."""
    seen = Seen(planned, begun=time.monotonic())
    with anyio.move_on_after(planned.leaves_after_s) as patience:
        try:
            async with aclosing(
                client.execute(_call(planned), Deadline.after(DEADLINE_S))
            ) as events:
                async for event in events:
                    _note(seen, event)
        except Exception as error:  # the port promises that there is none
            seen.error = repr(error)
    seen.left = patience.cancelled_caught and planned.kind == "left"
    seen.ended = time.monotonic()
    return seen


def _note(seen: Seen, event: Started | OutputChunk | ToolResult) -> None:
    if isinstance(event, ToolResult):
        seen.results.append(event)
    elif isinstance(event, OutputChunk):
        seen.streamed = (seen.streamed + event.data)[-(2**20) :]
    else:
        seen.started = True


def _call(planned: Planned) -> ToolCall:
    asked = {
        "nonce": planned.nonce,
        "kind": planned.kind,
        "value": planned.value,
        "exit_code": planned.exit_code,
        "owner": planned.session,
    }
    return ToolCall(
        tool_use_id=planned.tool_use_id,
        name=f"chaos_{planned.mode}",
        input_json=json.dumps(asked).encode(),
        tenant=TENANT,
        session=planned.session or f"none-{planned.number}",
        limits=CallLimits(timeout_s=LATE_LIMIT_S if planned.kind == "late" else None),
    )


async def make_all(
    client: RemoteDispatcher, planned: Iterator[Planned], in_flight: int, seen: list[Seen]
) -> None:
    """Every call, ``in_flight`` side by side; ``seen`` grows in the order of their ends."""

    async def caller() -> None:
        for one in planned:
            seen.append(await make(client, one))
            if seen[-1].status == str(Status.UNAVAILABLE):
                await anyio.sleep(PAUSE_S)

    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(caller)
