"""compose.yaml is valid for docker-compose, keeps our promises, and breaks visibly when changed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.compose_rules import ENGINE_SOCKET, environment, mounts, problems
from tests.deploy.programs import Said, run

FOLDER = Path(__file__).resolve().parents[2] / "deploy"
PREPARED = {  # what `deploy/sidecar.sh prepare` writes
    "AUXOT_IMAGE": "auxot-tools/service:tag",
    "AUXOT_HOME": "/home/of/the/sidecar",
    "DOCKER_GID": "998",
}
REMOTE = {"ENGINE_URL": "tcp://engine.example:2376", "ENGINE_CERTIFICATES": "/certificates"}


def composed(*files: Path, **settings: str) -> Said:
    """What docker-compose makes of the files: version 1, or the plugin of version 2."""
    program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    arguments = [word for file in files for word in ("--file", str(file))]
    return run([*program, *arguments, "config"], PREPARED | settings)


def valid(*files: Path, **settings: str) -> dict[str, Any]:
    said = composed(*files, **settings)
    assert said.code == 0, said.err
    config: dict[str, Any] = yaml.safe_load(said.out)
    return config


def test_compose_takes_the_file_and_it_keeps_what_we_promise() -> None:
    config = valid(FOLDER / "compose.yaml")
    assert problems(config) == []
    worker, router = config["services"]["worker"], config["services"]["router"]
    address = environment(worker)["AUXOT_WORKER__LISTEN"]
    assert environment(router)["AUXOT_ROUTER__WORKER"] == address
    folder = str(Path(address.removeprefix("unix:")).parent)
    assert mounts(worker)[folder] == mounts(router)[folder]
    assert mounts(worker)[ENGINE_SOCKET].startswith(ENGINE_SOCKET)
    assert worker["network_mode"] == "none"


def test_a_remote_engine_takes_the_place_of_this_host_s_socket() -> None:
    config = valid(FOLDER / "compose.yaml", FOLDER / "compose.remote-engine.yaml", **REMOTE)
    assert problems(config) == []
    worker = config["services"]["worker"]
    assert mounts(worker)[ENGINE_SOCKET].startswith("/dev/null")
    assert environment(worker)["DOCKER_TLS_VERIFY"] == "1"
    assert environment(worker)["AUXOT_SANDBOX__CHANNEL"] == "attach"


@pytest.mark.parametrize("name", PREPARED)
def test_what_is_not_prepared_is_said(name: str) -> None:
    said = composed(FOLDER / "compose.yaml", **{name: ""})
    assert said.code != 0
    assert "deploy/sidecar.sh prepare" in said.err


def test_a_socket_of_the_engine_is_said_to_be_root_on_the_host() -> None:
    assert "IS ROOT ON THIS HOST" in (FOLDER / "compose.yaml").read_text()
    assert "IS ROOT ON THE" in (FOLDER / "compose.remote-engine.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("command: [worker]", "comand: [worker]", "comand"),
        ("start_period: 20s", "start_period: soon", "start_period"),
        ("read_only: true", "read_only: false", "worker: can write its root"),
        ("cap_drop: [ALL]", "cap_drop: [NET_RAW]", "router: keeps capabilities"),
        ("no-new-privileges:true", "no-new-privileges:false", "may become more"),
        ('user: "10001:10001"', 'user: "0:0"', "runs as root"),
        ("health, worker]", "--version]", "worker: is not asked whether it is well"),
        ("127.0.0.1:${", "0.0.0.0:${", "router: can be reached from other machines"),
        ("stop_grace_period: 95s", "stop_grace_period: 30s", "killed before it has ended"),
        ("pids_limit: 512", "init: true", "worker: has no pids_limit"),
        ("AUXOT_WORKER__LISTEN:", "AUXOT_WORKER__LISTENS:", "AUXOT_WORKER__LISTENS is not"),
        ("WORKER_KEY_FILE: /run/secrets/worker.key", "WORKER_KEY: abc", "secret as its value"),
        ('GRACE_S: "20"', 'GRACE_S: "-1"', "worker.grace_s is"),
        (
            "volumes:\n      - worker-socket:/run/auxot-tools/worker\n      # A",
            "volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n      # A",
            "router: has the engine's socket",
        ),
    ],
)
def test_a_file_that_is_broken_is_found_out(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    text = (FOLDER / "compose.yaml").read_text()
    assert old in text
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace(old, new))
    said = composed(file)
    told = said.err if said.code else "\n".join(problems(yaml.safe_load(said.out)))
    assert sentence in told
