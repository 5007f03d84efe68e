"""Runs attacks through the real product: a worker as a process of its own, called over gRPC.

One tool for each isolation and set of limits, made like `code_executor` in a folder of the test's.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.streams.text import TextReceiveStream

from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.share import share_dir
from auxot_tools.types import (
    CallLimits,
    Deadline,
    InputFile,
    OutputChunk,
    ToolCall,
    ToolResult,
)
from auxot_tools.worker.program import SESSION_PROGRAM
from tests.support.attack import Attack, Seen
from tests.support.engine import sandbox_image

WORKER_KEY = "worker-key-of-the-attacks"
PATIENCE_S = 90.0  # of one call: a started container, the longest time limit, and a slow machine
# Small, so that an attack that gets through is small too.
LIMITS: Mapping[str, float] = {
    "memory_bytes": 256 * 2**20,
    "cpus": 1,
    "pids": 64,
    "open_files": 256,
    "disk_bytes": 32 * 2**20,
    "disk_inodes": 1000,
    "shm_bytes": 8 * 2**20,
    "output_stop_bytes": 8 * 2**20,
}
ARTIFACTS = {"files": 16, "file_bytes": 2**20, "total_bytes": 4 * 2**20}


def offered_modes() -> tuple[str, ...]:
    """The isolation modes that a tool.json may ask for."""
    schema = json.loads((share_dir("tools") / "tool.schema.json").read_bytes())
    return tuple(schema["properties"]["isolation"]["enum"])


@dataclass(frozen=True)
class AttackedWorker:
    """A running worker that attacks are sent to."""

    dispatcher: RemoteDispatcher
    facts: Mapping[str, str]  # what `@WORD@` in a program stands for

    async def run(self, attack: Attack, mode: str) -> tuple[Seen, ...]:
        """The runs of its one or two programs."""
        nonce = secrets.token_hex(8)
        programs = attack.programs({**self.facts, "NONCE": nonce})
        calls = [_call(attack, mode, code, number) for number, code in enumerate(programs)]
        if attack.overlaps:
            return await self._while_first_runs(calls)
        return tuple([_seen(await self._result(call)) for call in calls])

    async def _result(self, call: ToolCall) -> ToolResult:
        with anyio.fail_after(PATIENCE_S):
            async with aclosing(self.dispatcher.execute(call, Deadline.after(PATIENCE_S))) as all_:
                events = [event async for event in all_]
        assert isinstance(events[-1], ToolResult)
        return events[-1]

    async def _while_first_runs(self, calls: Sequence[ToolCall]) -> tuple[Seen, ...]:
        said = b""
        with anyio.fail_after(PATIENCE_S):
            first = self.dispatcher.execute(calls[0], Deadline.after(PATIENCE_S))
            async with aclosing(first) as events:
                async for event in events:
                    if isinstance(event, ToolResult):
                        return (_seen(event),)  # it ended, and so it cannot have been planted
                    said += event.data if isinstance(event, OutputChunk) else b""
                    if b"PLANTED" in said:
                        break
                seen = _seen(await self._result(calls[1]))
        return Seen("running", said.decode(errors="replace")), seen


def _call(attack: Attack, mode: str, code: str, number: int) -> ToolCall:
    arguments: dict[str, Any] = {"code": code, "language": attack.language}
    arguments["timeout_seconds"] = attack.timeout_s
    arguments["stdin"] = attack.stdin
    is_other_tenant = attack.overlaps or attack.second == "tenant"
    is_other_session = attack.overlaps or attack.second == "session"
    return ToolCall(
        f"toolu_{secrets.token_hex(6)}",
        tool_name(mode, attack.limits),
        json.dumps(arguments).encode(),
        tenant=f"tenant-{number if is_other_tenant else 0}",
        session=f"{attack.name}-{number if is_other_session else 0}",
        limits=CallLimits(),
        files=tuple(InputFile(*file) for file in attack.files) if not number else (),
    )


def _seen(result: ToolResult) -> Seen:
    text = "".join(block.get("text", "") for block in result.content)
    artifacts = {one.name: one.data for one in result.artifacts}
    return Seen(str(result.status), text, result.exit_code, artifacts)


def tool_name(mode: str, limits: Iterable[tuple[str, float]] = ()) -> str:
    """The tool of this isolation and these changes to the limits."""
    changes = "".join(f"_{name}_{value:g}".replace(".", "-") for name, value in limits)
    return f"attack_{mode}{changes}"


def write_tools(folder: Path, attacks: Iterable[Attack], modes: Iterable[str]) -> None:
    """A tools folder with every tool that these attacks need."""
    source = share_dir("tools") / "code_executor"
    declared = json.loads((source / "tool.json").read_bytes())
    schema = json.loads((share_dir("tools") / "tool.schema.json").read_bytes())
    if "artifacts" in schema["properties"]:
        declared["artifacts"] = ARTIFACTS
    for mode in modes:
        for limits in {attack.limits for attack in attacks}:
            changed = declared["limits"] | LIMITS | dict(limits)
            tool = declared | {"isolation": mode, "limits": changed}
            place = folder / tool_name(mode, limits)
            place.mkdir(parents=True)
            (place / "tool.json").write_text(json.dumps(tool))
            # The box itself is attacked: what keeps Python in a session is the program's own,
            # and it may do with that as it likes.
            for file in source.glob("*.py"):
                if file.name != SESSION_PROGRAM:
                    (place / file.name).write_bytes(file.read_bytes())


@asynccontextmanager
async def attacked_worker(
    home: Path, attacks: Sequence[Attack], facts: Mapping[str, str], channel: str = "auto"
) -> AsyncGenerator[AttackedWorker, None]:
    """A worker with the tools that `attacks` need; two slots."""
    await anyio.to_thread.run_sync(sandbox_image)
    write_tools(home / "tools", attacks, offered_modes())
    config = home / "auxot.toml"
    config.write_text(f"""\
[worker]
listen = ["unix:{home}/w.sock"]
slots = 2
tools_dirs = ["{home}/tools"]
[sandbox]
channel = "{channel}"
[log]
format = "json"
""")
    secrets_ = {"AUXOT_WORKER_KEY": WORKER_KEY, "SECRET_OF_THE_WORKER": facts["SECRET"]}
    async with (
        _worker(config, home / "worker.log", secrets_) as address,
        RemoteDispatcher(WorkerTarget(address, WORKER_KEY)) as dispatcher,
    ):
        yield AttackedWorker(dispatcher, facts)


@asynccontextmanager
async def _worker(
    config: Path, log: Path, environment: Mapping[str, str]
) -> AsyncGenerator[str, None]:
    """`auxot-tools worker`; yields its address."""
    command = [sys.executable, "-m", "auxot_tools.cli.main", "--config", str(config), "worker"]
    with log.open("wb") as log_file:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stderr=log_file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        said = ""
        with anyio.move_on_after(PATIENCE_S):
            async for piece in TextReceiveStream(process.stdout):
                said += piece
                if "\n" in said:
                    break
        logged = await anyio.Path(log).read_text()
        assert said.startswith("worker ready: "), logged[-2000:]
        yield said.split()[2]
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            with anyio.move_on_after(PATIENCE_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()
