"""compose.yaml is valid for docker-compose, keeps our promises, and breaks visibly when changed."""

import shutil
from collections.abc import Callable
from copy import deepcopy
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


def test_what_is_not_prepared_is_said() -> None:
    said = composed(FOLDER / "compose.yaml", **dict.fromkeys(PREPARED, ""))
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
        ("mem_limit: 1g", "mem_limit: [1g]", "mem_limit"),
        ('user: "10001:10001"', 'user: "0:0"', "runs as root"),
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


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a root to write": (lambda s: s["worker"].pop("read_only"), "worker: can write its root"),
    "capabilities": (lambda s: s["router"].update(cap_drop=["NET_RAW"]), "keeps capabilities"),
    "more rights": (lambda s: s["router"].update(security_opt=[]), "router: may become more"),
    "privilege": (lambda s: s["worker"].update(privileged=True), "worker: is privileged"),
    "no health": (lambda s: s["worker"].pop("healthcheck"), "not asked whether it is well"),
    "a port for all": (lambda s: s["router"].update(ports=["8080:8080/tcp"]), "other machines"),
    "no end": (
        lambda s: s["worker"].update(stop_grace_period="30s"),
        "worker: is killed before it has ended",
    ),
    "a start that waits for the engine": (
        lambda s: s["router"].update(depends_on={"worker": {"condition": "service_healthy"}}),
        "router: does not start while another service is not well",
    ),
    "no bound": (lambda s: s["worker"].pop("pids_limit"), "worker: has no pids_limit"),
    "an unknown setting": (
        lambda s: s["worker"]["environment"].update(AUXOT_WORKER__LISTENS="x"),
        "AUXOT_WORKER__LISTENS is not a setting",
    ),
    "a wrong value": (
        lambda s: s["worker"]["environment"].update(AUXOT_WORKER__GRACE_S="-1"),
        "worker.grace_s is",
    ),
    "a secret's value": (
        lambda s: s["router"]["environment"].update(AUXOT_UPSTREAM_API_KEY="k"),
        "AUXOT_UPSTREAM_API_KEY has a secret as its value",
    ),
    "the engine's socket for the router": (
        lambda s: s["router"]["volumes"].append(f"{ENGINE_SOCKET}:{ENGINE_SOCKET}:rw"),
        "router: has the engine's socket",
    ),
}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return valid(FOLDER / "compose.yaml")


@pytest.mark.parametrize("case", BROKEN)
def test_a_promise_that_is_broken_is_found_out(config: dict[str, Any], case: str) -> None:
    break_it, sentence = BROKEN[case]
    broken = deepcopy(config)
    break_it(broken["services"])
    assert sentence in "\n".join(problems(broken))
