"""The processes of the router's benchmark: stub, ours, LiteLLM, the worker with no-op tools.

One job: to start each on a core of its own choosing, ready, and to read what it uses from /proc.
The routers have the last core for themselves; everything else is on the others.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from benchmarks.machine import TICKS_PER_S, rss_bytes
from benchmarks.router_client import Target

ROOT = Path(__file__).parents[1]
LITELLM = ROOT / ".venv-bench-router/bin/litellm"
_CORES = sorted(os.sched_getaffinity(0))
ROUTER_CORE, STUB_CORE, OWN_CORE = _CORES[-1], _CORES[-2 % len(_CORES)], _CORES[0]
MOST_STREAMS = 2000
_START_S = 120.0
_STOP_S = 15.0
_KEY = "sk-bench"

# The fastest that was found (12 ms of CPU for a blocking answer; 18 as it installs itself): one
# process on uvicorn with uvloop and httptools; everything off that can be: access and spend logs,
# telemetry, pages, retries, collecting streams for logs, counting tokens and costs; the package
# `opentelemetry-sdk` there, because without it each request tries to import it; connections to the
# upstream for as many streams as are opened. Granian was not faster, and LITELLM_RUST=1 slower.
# No network: its lists of models, prices and headers are those in the package.
_LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "AIOHTTP_CONNECTOR_LIMIT": str(MOST_STREAMS),
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": str(MOST_STREAMS),
    "no_proxy": "127.0.0.1",
}


def _litellm_config(upstream: str) -> dict[str, object]:
    parameters = {"model": "anthropic/bench", "api_base": upstream, "api_key": "none"}
    return {
        "model_list": [{"model_name": "bench", "litellm_params": parameters}],
        "general_settings": {"master_key": _KEY, "disable_spend_logs": True},
        "litellm_settings": {
            "telemetry": False,
            "num_retries": 0,
            "disable_streaming_logging": True,
            "disable_end_user_cost_tracking": True,
            "disable_token_counter": True,
            "disable_add_user_agent_to_request_tags": True,
        },
    }


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and where it is asked."""

    pid: int
    target: Target

    @property
    def cpu_s(self) -> float:
        """CPU time of all its threads so far; the kernel counts in hundredths of a second."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    @property
    def memory_kib(self) -> tuple[float, float]:
        """Resident memory, and the same with shared pages divided among those who share them."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return rss_bytes(self.pid) / 1024, float(line.split()[1])
        raise RuntimeError("the kernel does not tell the process's memory")


@asynccontextmanager
async def stub() -> AsyncGenerator[Server, None]:
    """The upstream."""
    async with _started("benchmarks.router_stub", core=STUB_CORE) as (pid, origin):
        yield Server(pid, Target(f"{origin}/v1/messages"))


@asynccontextmanager
async def worker(folder: Path) -> AsyncGenerator[str, None]:
    """The worker with the no-op tools; its address."""
    address = f"unix:{folder}/worker.sock"
    async with _started("benchmarks.router_worker", address, core=OWN_CORE):
        yield address


@asynccontextmanager
async def ours(upstream: Server, **settings: str) -> AsyncGenerator[Server, None]:
    """Our router as users start it; ``settings`` are environment variables."""
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        environment = {
            "AUXOT_CONFIG": str(Path(folder) / "auxot.toml"),
            "AUXOT_ROUTER__LISTEN": "127.0.0.1:0",
            "AUXOT_ROUTER__KEYS_FILE": str(Path(folder) / "keys.toml"),
            "AUXOT_ROUTER__MAX_CONCURRENT_REQUESTS": str(MOST_STREAMS),
            "AUXOT_UPSTREAM__URL": upstream.target.url.removesuffix("/v1/messages"),
            "AUXOT_LOG_LEVEL": "warning",
            **settings,
        }
        (Path(folder) / "auxot.toml").touch()  # else the one of the folder we are in would count
        module, key = "auxot_tools.cli.main", await _new_key(environment)
        started = _started(module, "router", core=ROUTER_CORE, environment=environment)
        async with started as (pid, origin):
            yield Server(pid, Target(f"{origin}/api/anthropic/v1/messages", key))


@asynccontextmanager
async def litellm(upstream: Server) -> AsyncGenerator[Server, None]:
    """LiteLLM's proxy, one process. Raises `RuntimeError` with its last words if it ends."""
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        config, log = Path(folder) / "config.yaml", Path(folder) / "log"
        origin = upstream.target.url.removesuffix("/v1/messages")
        config.write_text(json.dumps(_litellm_config(origin)), "utf-8")
        port = _free_port()
        command = [
            *_on_core(ROUTER_CORE),
            *(str(LITELLM), "--config", str(config), "--num_workers", "1", "--telemetry", "False"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ]
        with log.open("wb") as output:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | _LITELLM_ENVIRONMENT,
            )
        async with _stopped_at_the_end(process):
            with anyio.fail_after(_START_S):
                while not await _listens(port):
                    if process.returncode is not None:
                        raise RuntimeError(f"LiteLLM ended: …{log.read_text('utf-8')[-2000:]}")
                    await anyio.sleep(0.2)  # it says nothing when it is ready
            yield Server(process.pid, Target(f"http://127.0.0.1:{port}/v1/messages", _KEY))


async def _new_key(environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "auxot_tools.cli.main", "keys", "create", "--name", "bench"]
    made = await anyio.run_process(command, check=False, cwd=ROOT, env=os.environ | environment)
    found = re.search(r"rtr_[\w-]+", made.stdout.decode())
    if made.returncode or found is None:
        raise RuntimeError(f"`auxot-tools keys create` made no key: {made.stderr.decode()}")
    return found[0]


def _on_core(core: int) -> Sequence[str]:
    return ("taskset", "-c", str(core))


@asynccontextmanager
async def _started(
    module: str, *arguments: str, core: int, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[int, str], None]:
    """One of our own: its process id, and the last word of the first line that it prints."""
    process = await anyio.open_process(
        [*_on_core(core), sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=None,
        cwd=ROOT,
        env=os.environ | (environment or {}),
    )
    async with _stopped_at_the_end(process):
        if process.stdout is None:
            raise RuntimeError("a child was started without stdout")
        with anyio.fail_after(_START_S):
            try:
                line = (await process.stdout.receive()).decode().splitlines()[0]
            except anyio.EndOfStream:
                raise RuntimeError(f"{module} did not start") from None
        yield process.pid, line.split()[-1]


@asynccontextmanager
async def _stopped_at_the_end(process: Process) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):  # bounded: it is killed
            if process.returncode is None:
                process.terminate()
            with anyio.move_on_after(_STOP_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def _listens(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
