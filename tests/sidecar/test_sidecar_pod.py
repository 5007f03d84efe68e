"""The worker of `deploy/kubernetes/worker.yaml` as one container, with the settings of the file.

Its certificate is one that `trustme` made, and its engine is this machine's. Callers come over the
network by the Service's name, and the probes are those of the file.
"""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
import yaml

from auxot_tools.sandbox.profile import LABEL
from tests.deploy.kubernetes_rules import environment
from tests.sidecar.sidecar import ASK_S, ROOT, docker, existing, wait_until
from tests.support.engine import sandbox_image

pytestmark = [pytest.mark.engine, pytest.mark.timeout(200)]

SERVICE = "auxot-worker"
PORT = 50061
LABELLED = f"--label={LABEL}=1"
HARDENED = (
    "--user=10001:10001",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
# Of this engine, not of a pod's own: the image of the boxes was made without a base.
HERE = {"AUXOT_SANDBOX__BASE": ""}
CALL = ("call", "code_executor", "--input", '{"code":"print(6*7)"}')


def documents() -> dict[str, Any]:
    text = (ROOT / "deploy" / "kubernetes" / "worker.yaml").read_text()
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@dataclass(frozen=True)
class Pod:
    """The worker's container, its network, and what callers need."""

    image: str
    network: str
    container: str
    probe: tuple[str, ...]
    files: Path

    def called(self, authority: str = "ca.crt") -> subprocess.CompletedProcess[str]:
        """What a caller in another container is told; ``authority``: whom it trusts, if anybody."""
        settings = [
            f"--env=AUXOT_ROUTER__WORKER={SERVICE}:{PORT}",
            "--env=AUXOT_WORKER_KEY_FILE=/files/worker.key",
        ]
        if authority:
            settings.append(f"--env=AUXOT_ROUTER__WORKER_TLS_CA=/files/{authority}")
        return subprocess.run(
            [
                *("docker", "run", "--rm", LABELLED, *HARDENED, f"--network={self.network}"),
                *(f"--volume={self.files}:/files:ro", *settings, self.image, *CALL),
            ],
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
        )


def secret_files(home: Path, folder: Path) -> None:
    """What the two secrets hold, and the certificates of a right and a wrong authority."""
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert(SERVICE)
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    stranger.cert_pem.write_to_path(folder / "stranger.crt")
    (folder / "worker.key").write_bytes((home / "secrets" / "worker.key").read_bytes())
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o444)


def mounts(worker: Any, secrets: Path, empty: Path) -> Iterator[str]:
    """The volumes of the container, as an engine has them; one that boxes share is so with ours."""
    places = {one["name"]: one["mountPath"] for one in worker["volumeMounts"]}
    yield f"--volume=/var/run/docker.sock:{places.pop('engine-socket')}/docker.sock"
    for name in ("worker-key", "worker-tls"):
        yield f"--volume={secrets}:{places.pop(name)}:ro"
    for name, place in places.items():
        (empty / name).mkdir()
        (empty / name).chmod(0o777)  # as an emptyDir is
        yield f"--volume={empty / name}:{place}"


@pytest.fixture(scope="module")
def pod(home: Path, image: str) -> Iterator[Pod]:
    sandbox_image()
    (worker,) = documents()["Deployment"]["spec"]["template"]["spec"]["containers"]
    settings = environment(worker) | HERE
    group = dict(line.split("=", 1) for line in (home / "env").read_text().splitlines())
    name = f"auxot-pod-{token_hex(4)}"
    with TemporaryDirectory() as files, TemporaryDirectory() as empty, network(name):
        secret_files(home, Path(files))
        Path(empty).chmod(0o755)
        container = docker(
            *("run", "--detach", LABELLED, *HARDENED, f"--group-add={group['DOCKER_GID']}"),
            *(f"--network={name}", f"--network-alias={SERVICE}"),
            *(f"--env={key}={value}" for key, value in settings.items()),
            *(*mounts(worker, Path(files), Path(empty)), image, *worker["args"]),
        )
        try:
            probe = tuple(worker["readinessProbe"]["exec"]["command"])
            yield Pod(image, name, container, probe, Path(files))
        finally:
            docker("rm", "--force", container)


@contextmanager
def network(name: str) -> Iterator[None]:
    docker("network", "create", LABELLED, name)
    try:
        yield
    finally:
        docker("network", "rm", name)


def is_ready(pod: Pod) -> bool:
    asked = subprocess.run(
        ["docker", "exec", pod.container, *pod.probe],
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=False,
    )
    return (asked.returncode, asked.stdout.strip()) == (0, "serving")


def test_the_probe_of_the_file_says_that_it_serves(pod: Pod) -> None:
    wait_until(lambda: is_ready(pod), lambda: log(pod))


def test_a_caller_that_trusts_its_authority_has_its_call_run(pod: Pod) -> None:
    wait_until(lambda: is_ready(pod), lambda: log(pod))
    called = pod.called()
    assert (called.returncode, called.stdout.strip()) == (0, "42"), called.stderr


@pytest.mark.parametrize("authority", ["", "stranger.crt"])
def test_without_tls_or_with_another_authority_nothing_is_called(pod: Pod, authority: str) -> None:
    called = pod.called(authority)
    told = "The tools worker cannot be reached. This call was not run."
    assert (called.returncode, called.stdout.strip()) == (1, told)


def test_a_probe_of_its_port_and_the_end_leave_nothing_in_its_log(pod: Pod) -> None:
    wait_until(lambda: is_ready(pod), lambda: log(pod))
    form = f'{{{{(index .NetworkSettings.Networks "{pod.network}").IPAddress}}}}'
    address = docker("inspect", "--format", form, pod.container)
    before = log(pod)
    for _ in range(3):  # as `tcpSocket` does: it connects and says nothing
        socket.create_connection((address, PORT), ASK_S).close()
    assert is_ready(pod)
    assert log(pod) == before
    docker("stop", "--time", "100", pod.container, within_s=120)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", pod.container) == "0"
    assert "Traceback" not in log(pod)
    assert existing([pod.container]) == [pod.container]


def log(pod: Pod) -> str:
    """All that the container wrote."""
    done = subprocess.run(
        ["docker", "logs", pod.container], capture_output=True, text=True, timeout=ASK_S, check=True
    )
    return done.stdout + done.stderr
