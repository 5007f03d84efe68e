"""The worker of the chaos test: a real process that can be killed, frozen and started again.

One job: its life. Every pid that it ever had is kept, to look for what those left.
"""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

START_S = 90.0  # the engine may be down meanwhile: then it starts without
STOP_S = 60.0
RUN_DIRS = Path("/run/auxot-tools")


@dataclass
class ChaosWorker:
    """A worker of ``engine_url`` with the tools in ``home``/tools; ``settings`` of [sandbox]."""

    home: Path
    engine_url: str
    settings: dict[str, object] = field(default_factory=dict)
    process: Process | None = None
    pids: list[int] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"unix:{self.home}/w.sock"

    @property
    def log(self) -> Path:
        return self.home / "worker.log"

    @property
    def pid(self) -> int:
        return self.pids[-1]

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        self._write_config()
        command = [sys.executable, "-m", "auxot_tools.cli.main"]
        with self.log.open("ab") as log:
            self.process = await anyio.open_process(
                [*command, "--config", f"{self.home}/auxot.toml", "worker"],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.pids.append(self.process.pid)
        assert self.process.stdout is not None
        said = ""
        with anyio.fail_after(START_S):
            async for piece in TextReceiveStream(self.process.stdout):
                said += piece
                if "worker ready: " in said:
                    return
        log_text = self.log.read_text("utf-8", "replace")
        raise AssertionError(f"the worker did not start:\n{log_text[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`."""
        self.signal(signal.SIGKILL)
        await self._gone()

    async def stop(self) -> None:
        """As an operator does."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        await self._gone()

    async def _gone(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with anyio.move_on_after(STOP_S):
            await process.wait()
        is_late = process.returncode is None
        if is_late:
            process.kill()
            await process.wait()
        await process.aclose()
        assert not is_late, "the worker did not end in time"

    def leftovers(self) -> dict[str, list[str]]:
        """Directories for sockets that any of its processes made and that are still there."""
        pids = {str(pid) for pid in self.pids}
        names = [path.name for path in RUN_DIRS.glob("*") if set(path.name.split("-")) & pids]
        return {"socket directory": names} if names else {}

    def log_tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-3000:]

    def _write_config(self) -> None:
        sandbox = {"engine_url": self.engine_url} | self.settings
        rows = [f"{name} = {json.dumps(value)}" for name, value in sandbox.items()]
        (self.home / "auxot.toml").write_text(
            "\n".join(
                [
                    "[worker]",
                    f'listen = ["{self.target}"]',
                    f'tools_dirs = ["{self.home}/tools"]',
                    "slots = 4",
                    "[sandbox]",
                    *rows,
                ]
            ),
            "utf-8",
        )
