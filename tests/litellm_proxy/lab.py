"""Processes for the plugin's tests: a scripted upstream, our worker, LiteLLM's real proxy.

One job: to start each, ready, on loopback, and to end it. The proxy runs from `.venv-bench-router`,
without a network, a database or telemetry. It must not know scenarios.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import anyio
import anyio.to_thread

from auxot_tools.assembly.serving import serving
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, ScriptedRequest, Turn
from auxot_tools.scripted.server import scripted_app
from auxot_tools.types import JSON
from tests.support.running import free_port

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench-router/bin"
MASTER_KEY = "sk-master-of-the-tests"
WORKER_KEY = "worker-key-of-the-tests"
START_S, STOP_S = 120.0, 15.0
_LOOK_S = 0.2  # a server says nothing when it listens

# No network: its lists of models, prices and headers are those in the package.
_LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "PYTHONPATH": str(ROOT),
    "no_proxy": "127.0.0.1",
}


@dataclass
class Upstream:
    """A scripted model for each name that a request may ask for."""

    origin: str = ""
    scenarios: dict[str, Scenario] = field(default_factory=dict)
    asked: dict[str, list[Any]] = field(default_factory=dict)

    def __call__(self, request: ScriptedRequest) -> Turn:
        name = request.body["model"]
        bodies = self.asked.setdefault(name, [])
        bodies.append(request.body)
        return self.scenarios[name](ScriptedRequest(body=request.body, number=len(bodies) - 1))


@contextmanager
def running_upstream(scenarios: Mapping[str, Scenario]) -> Iterator[Upstream]:
    """The models behind one Messages endpoint."""
    upstream = Upstream(scenarios=dict(scenarios))
    with in_thread(scripted_app(ScriptedModel(upstream))) as upstream.origin:
        yield upstream


@contextmanager
def in_thread(app: Any) -> Iterator[str]:
    """An ASGI app, served from an event loop in a thread of its own; its origin."""
    told: Queue[str] = Queue()
    stop = threading.Event()

    async def serve() -> None:
        async with serving(app) as origin:
            told.put(origin)
            await anyio.to_thread.run_sync(stop.wait)

    thread = threading.Thread(target=anyio.run, args=[serve])
    thread.start()
    try:
        yield told.get(timeout=START_S)
    finally:
        stop.set()
        thread.join(STOP_S)


@contextmanager
def running_worker(folder: Path) -> Iterator[str]:
    """A worker with the tools that we ship and real boxes; its address."""
    address = f"unix:{folder}/w.sock"
    environment = {
        "AUXOT_WORKER__LISTEN": address,
        "AUXOT_WORKER_KEY": WORKER_KEY,
        "AUXOT_SANDBOX__READY": "0",
        "AUXOT_CONFIG": str(empty_config(folder)),
    }
    command = [sys.executable, "-m", "auxot_tools.cli.main", "worker"]
    with process(command, folder / "worker.log", environment) as running:
        until(lambda: "worker ready" in read(folder / "worker.log"), running, folder / "worker.log")
        yield address


@contextmanager
def running_proxy(
    folder: Path, models: Sequence[JSON], worker: str, callbacks: str = ""
) -> Iterator[str]:
    """LiteLLM's proxy with these models, and the plugin as its callback; its origin."""
    config, log, port = folder / "litellm.yaml", folder / "litellm.log", free_port()
    config.write_text(json.dumps(proxy_config(models, callbacks)), "utf-8")
    command = [
        *(str(PEERS / "litellm"), "--config", str(config), "--num_workers", "1"),
        *("--telemetry", "False", "--host", "127.0.0.1", "--port", str(port)),
    ]
    with process(command, log, plugin_environment(folder, worker)) as running:
        until(lambda: listens(port), running, log)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running_app(
    folder: Path, app: str, search_path: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """An ASGI app (`module:name`) under uvicorn, in LiteLLM's environment; its origin."""
    log, port = folder / "app.log", free_port()
    command = [str(PEERS / "python"), "-m", "uvicorn", app, "--host", "127.0.0.1"]
    told = _LITELLM_ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{search_path}"} | dict(environment)
    with process([*command, "--port", str(port)], log, told) as running:
        until(lambda: listens(port), running, log)
        yield f"http://127.0.0.1:{port}"


def messages_models(upstream: Upstream) -> list[JSON]:
    """Every scenario's model, as LiteLLM's `model_list` has it."""
    return [model(name, "anthropic", upstream.origin) for name in upstream.scenarios]


def model(name: str, provider: str, api_base: str) -> JSON:
    """A model of a kind of server, at an address."""
    parameters = {"model": f"{provider}/{name}", "api_base": api_base, "api_key": "none"}
    return {"model_name": name, "litellm_params": parameters}


def proxy_config(models: Sequence[JSON], callbacks: str) -> JSON:
    """What a `config.yaml` says."""
    settings: JSON = {"telemetry": False, "num_retries": 0}
    if callbacks:
        settings["callbacks"] = callbacks
    return {
        "model_list": list(models),
        "general_settings": {
            "master_key": MASTER_KEY,
            "disable_spend_logs": True,
            "cancel_on_disconnect": True,  # of blocking requests: without it their tools run on
        },
        "litellm_settings": settings,
    }


def plugin_environment(folder: Path, worker: str) -> dict[str, str]:
    """The environment of LiteLLM, and the plugin's settings in it."""
    return _LITELLM_ENVIRONMENT | {
        "AUXOT_ROUTER__WORKER": worker,
        "AUXOT_WORKER_KEY": WORKER_KEY,
        "AUXOT_ROUTER__ALLOWED_TOOLS": "code_executor",
        "AUXOT_CONFIG": str(empty_config(folder)),
    }


def empty_config(folder: Path) -> Path:
    """A settings file without settings: else that of the folder we are in would count."""
    path = folder / "auxot.toml"
    path.touch()
    return path


@contextmanager
def process(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes to `log`, and is gone afterwards."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=dict(os.environ) | {"PYTHONPATH": str(ROOT)} | dict(environment),
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(STOP_S)


def until(is_so: Any, running: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something is so. Raises with the process's last words when it will not be."""
    end = time.monotonic() + START_S
    while not is_so():
        if running.poll() is not None or time.monotonic() > end:
            raise RuntimeError(
                f"{log.name} says of a process that is not ready: …{read(log)[-3000:]}"
            )
        time.sleep(_LOOK_S)


def read(path: Path) -> str:
    """What is in a log by now."""
    return path.read_text("utf-8", "replace") if path.exists() else ""


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
