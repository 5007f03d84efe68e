"""Router and worker in containers of our image, on this machine's engine, and on others.

`make test-sidecar` runs it; `make test` does not. Each way to the engine carries a whole request to
the router, a tool call in a box of its own, and a session of two calls.
"""

import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio.to_thread
import pytest

from auxot_tools.sandbox.profile import LABEL_PID_NAMESPACE
from tests.sidecar.engine_over_tls import engine_over_tls
from tests.sidecar.sidecar import COMPOSE, Sidecar, boxes_of, docker, existing, sidecar
from tests.support.engine import sandbox_image
from tests.support.second_engine import second_engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

REMOTE = COMPOSE.parent / "compose.remote-engine.yaml"
OVER_A_SOCKET = "boxes are reached over a unix socket"
OVER_ATTACH = "boxes are reached over the engine's attached stream"
RESTART_S = 60.0
_LOOK_S = 0.2


def carries_everything(services: Sidecar) -> None:
    """A conversation whose model calls a tool, then two calls of one session."""
    text = "run this python: print(6*7)"
    body = {"model": "demo", "max_tokens": 1024, "messages": [{"role": "user", "content": text}]}
    message = services.post("/api/anthropic/v1/messages", body)
    (result,) = (one for one in message["content"] if one["type"] == "mcp_tool_result")
    assert (result["is_error"], result["content"][0]["text"]) == (False, "42")
    alone = execute(services, "import os; print(os.path.exists('/work/note'))")
    assert (alone["content"][0]["text"], alone["isolation"]) == ("False", "call")
    execute(services, "open('/work/note', 'w').write('kept')", session=True)
    later = execute(services, "print(open('/work/note').read())", session=True)
    assert (later["content"][0]["text"], later["isolation"]) == ("kept", "session")


def execute(services: Sidecar, code: str, *, session: bool = False) -> Any:
    body: dict[str, object] = {"tool": "code_executor", "input": {"code": code}}
    if session:
        body = {"tool": "code_executor", "input": {"code": code, "session": True}, "session": "s"}
    answer = services.post("/api/tools/v1/execute", body)
    assert answer.get("status") == "completed", answer
    return answer


def test_the_sidecar_carries_everything_over_a_volume_and_leaves_nothing(home: Path) -> None:
    with sidecar(home) as services:
        carries_everything(services)
        assert OVER_A_SOCKET in services.log()
        boxes = services.boxes()
        assert boxes
        for box in boxes:  # the socket that a box is shown lies in the volume, by the engine's name
            mounts = docker("inspect", "--format", "{{range .Mounts}}{{.Source}} {{end}}", box)
            assert f"{services.project}_boxes/_data/" in mounts
        services.compose("stop", within_s=120)
        assert existing(boxes) == []
        log = services.log()
        assert "Traceback" not in log
        assert services.compose("ps", "-q")
        for service in ("worker", "router"):
            code = docker("inspect", "--format", "{{.State.ExitCode}}", services.container(service))
            assert (service, code) == (service, "0")
        assert services.volume("boxes") == []


def test_a_worker_that_is_killed_comes_back_and_clears_away_what_it_left(home: Path) -> None:
    with sidecar(home) as services:
        carries_everything(services)
        first = services.worker_pid()
        namespace, boxes = services.pid_namespace(), services.boxes()
        os.kill(first, signal.SIGKILL)
        wait_for_another(services, first)
        services.wait_until_well()
        carries_everything(services)
        assert len(services.volume("boxes")) == 1  # the living worker's
        running = docker(
            "ps", "-q", "--no-trunc", "--filter", f"label={LABEL_PID_NAMESPACE}={namespace}"
        ).split()
        assert not set(running) & set(boxes)  # a box ends with its channel
        for box in boxes_of(namespace):  # what has ended goes after some minutes; here at once
            if box in boxes:
                docker("rm", "-f", box)


def wait_for_another(services: Sidecar, pid: int) -> None:
    """The engine restarts what was killed; it tells nobody."""
    give_up_at = time.monotonic() + RESTART_S
    while services.worker_pid() in {0, pid}:
        assert time.monotonic() < give_up_at
        time.sleep(_LOOK_S)


def test_without_a_shared_folder_the_attach_stream_is_found_and_carries_everything(
    home: Path,
) -> None:
    alone = {"environment": {"AUXOT_SANDBOX__RUN_DIR": "/tmp/boxes"}}  # of this container alone
    with sidecar(home, alone) as services:
        carries_everything(services)
        log = services.log()
        assert OVER_ATTACH in log
        another = services.script("key", "another")  # which the router takes at once
        body = {"tool": "code_executor", "input": {"code": "print(1)"}}
        for key, told in ((another, "completed"), ("rtr_wrong", None)):
            assert services.post("/api/tools/v1/execute", body, key).get("status") == told
        services.script("revoke", "another")
        assert services.post("/api/tools/v1/execute", body, another).get("status") is None
        assert services.post("/api/tools/v1/execute", body).get("status") == "completed"
        assert "the engine cannot share a folder with this worker" in log


def test_an_engine_elsewhere_is_reached_over_tls_and_carries_everything(
    home: Path, tmp_path: Path
) -> None:
    gateway = docker(
        "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"
    )
    with engine_over_tls(gateway, tmp_path) as port:
        tmp_path.chmod(0o755)
        settings = {"ENGINE_URL": f"tcp://{gateway}:{port}", "ENGINE_CERTIFICATES": str(tmp_path)}
        with sidecar(home, REMOTE, **settings) as services:
            carries_everything(services)
            boxes = services.boxes()
            inside = docker("inspect", "--format", "{{json .Mounts}}", services.container("worker"))
            assert '"Source":"/var/run/docker.sock"' not in inside
            assert boxes
        assert existing(boxes) == []


@pytest.mark.anyio
async def test_an_engine_beside_it_that_shares_a_path_is_used_over_a_socket(home: Path) -> None:
    """As in a pod: the engine knows nothing of the worker's container, and has the folder too."""
    image = await anyio.to_thread.run_sync(sandbox_image)
    async with second_engine(image) as engine:
        await anyio.to_thread.run_sync(on_engine_beside, home, image, engine.url)
        assert await engine.containers() == []


def on_engine_beside(home: Path, image: str, url: str) -> None:
    engine_socket = url.removeprefix("unix://")
    with TemporaryDirectory(prefix="auxot-boxes-") as shared:
        Path(shared).chmod(0o777)  # as an emptyDir is
        environment = {
            "AUXOT_SANDBOX__RUN_DIR": f"{shared}/worker",
            "AUXOT_SANDBOX__BASE": image,
        }
        assert "Built auxot-tools/sandbox:" in build_in_container(home, engine_socket, environment)
        worker = {"volumes": [f"{shared}:{shared}"], "environment": environment}
        with sidecar(home, worker, DOCKER_SOCKET=engine_socket) as services:
            carries_everything(services)
            assert OVER_A_SOCKET in services.log()
            assert services.boxes() == []  # none on this machine's own engine


def build_in_container(home: Path, engine_socket: str, environment: dict[str, str]) -> str:
    """What the init container of a pod does."""
    prepared = dict(line.split("=", 1) for line in (home / "env").read_text().splitlines())
    return docker(
        *("run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp"),
        *(f"--env={name}={value}" for name, value in environment.items()),
        f"--group-add={prepared['DOCKER_GID']}",
        f"--volume={engine_socket}:/var/run/docker.sock",
        *(prepared["AUXOT_IMAGE"], "sandbox", "build"),
        within_s=120,
    )
